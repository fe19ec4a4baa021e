// Tiles in MLIR's amx dialect, and the shuffles that make rows of pairs.
#include "passes/cpu/TileEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc::kernel;

TileEmitter::TileEmitter(VectorEmitter &e)
    : e(e), operand(amx::TileType::get({kTileRows, kTileDepth}, e.b.getBF16Type())),
      sums(amx::TileType::get({kTileRows, kTileRows}, e.b.getF32Type())) {}

Value TileEmitter::load(Value memref, Value row, Value column) {
  return amx::TileLoadOp::create(e.b, e.loc, operand, memref, ValueRange{row, column});
}

Value TileEmitter::loadStreaming(Value memref, Value row, Value column) {
  Value tile = load(memref, row, column);
  tile.getDefiningOp()->setAttr(kStreams, e.b.getUnitAttr());
  return tile;
}

Value TileEmitter::loadSums(Value memref, Value row, Value column) {
  return amx::TileLoadOp::create(e.b, e.loc, sums, memref, ValueRange{row, column});
}

Value TileEmitter::zero() { return amx::TileZeroOp::create(e.b, e.loc, sums); }

Value TileEmitter::multiply(Value a, Value b, Value sum) { return amx::TileMulFOp::create(e.b, e.loc, sums, a, b, sum); }

void TileEmitter::store(Value sum, Value memref, Value row, Value column) {
  amx::TileStoreOp::create(e.b, e.loc, memref, ValueRange{row, column}, sum);
}

SmallVector<Value> TileEmitter::transpose(SmallVector<Value> rows) {
  SmallVector<int64_t> low32, high32, low64, high64, even, odd;
  for (int64_t lane = 0; lane < 16; lane += 4) {
    low32.append({lane, 16 + lane, lane + 1, 17 + lane});
    high32.append({lane + 2, 18 + lane, lane + 3, 19 + lane});
    low64.append({lane, lane + 1, 16 + lane, 17 + lane});
    high64.append({lane + 2, lane + 3, 18 + lane, 19 + lane});
  }
  for (int64_t from : {0, 16})
    for (int64_t lane : {0, 8})
      for (int64_t i = 0; i < 4; ++i)
        even.push_back(from + lane + i), odd.push_back(from + lane + 4 + i);
  SmallVector<Value> next(16);
  for (int64_t i = 0; i < 16; i += 2) {
    next[i] = e.shuffle(rows[i], rows[i + 1], low32);
    next[i + 1] = e.shuffle(rows[i], rows[i + 1], high32);
  }
  for (int64_t i = 0; i < 16; i += 4) // rows[i + c]: column c of each four, of rows i .. i + 3
    for (int64_t half : {0, 1}) {
      rows[i + 2 * half] = e.shuffle(next[i + half], next[i + half + 2], low64);
      rows[i + 2 * half + 1] = e.shuffle(next[i + half], next[i + half + 2], high64);
    }
  for (int64_t c = 0; c < 4; ++c)
    for (int64_t half : {0, 8}) {
      next[half + c] = e.shuffle(rows[half + c], rows[half + c + 4], even);
      next[half + c + 4] = e.shuffle(rows[half + c], rows[half + c + 4], odd);
    }
  for (int64_t c = 0; c < 8; ++c) {
    rows[c] = e.shuffle(next[c], next[c + 8], even);
    rows[c + 8] = e.shuffle(next[c], next[c + 8], odd);
  }
  return rows;
}

void TileEmitter::pack(ArrayRef<Value> rows, Value packed, Value to) {
  auto pairs = VectorType::get({kTileRows}, e.b.getI32Type());
  auto elements = VectorType::get({kTileDepth}, e.b.getBF16Type());
  SmallVector<Value> columns;
  for (Value row : rows)
    columns.push_back(vector::BitCastOp::create(e.b, e.loc, pairs, row));
  for (auto [i, column] : llvm::enumerate(transpose(std::move(columns))))
    e.store(vector::BitCastOp::create(e.b, e.loc, elements, column), packed, {e.add(to, int64_t(i)), e.index(0)});
}
