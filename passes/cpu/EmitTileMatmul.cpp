// Matrix products by tiles of bf16, with a kernel stored (N, K). Sixteen tokens
// and more: columns of the kernel are packed to pairs of K, a block of columns
// that stays in L2 while all rows pass, and rows of x are loaded as they are. Fewer
// than sixteen, alone or behind those: their rows are packed instead, the kernel
// is loaded as it is, and the tile of sums is turned. Both forms multiply and add
// the same terms in the same order, so an element's sum depends neither on the
// rows beside it nor on their number.
//
// Longest chain of roundings of an element: K / 32 sums of tiles, + 16 products of
// pairs and their sum (one rounding each).
#include "passes/cpu/Emitters.h"
#include "passes/cpu/MatmulRows.h"
#include "passes/cpu/TileTable.h"

#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc::kernel;

namespace {

/// Columns of the interior before the block's first: the last tile of columns begins
/// up to 15 before it when N is no multiple of 16.
constexpr int64_t kBefore = kTileRows;

/// 16 vectors of 16 elements of 32 bits, transposed.
SmallVector<Value> transpose(VectorEmitter &e, SmallVector<Value> rows) {
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

class TileMatmulEmitter {
public:
  TileMatmulEmitter(MatmulOp op, const graphc::Target &target) : op(op), e(op, target), x(op.getX()), kernel(op.getKernel()) {
    auto type = cast<MemRefType>(kernel.getType());
    n = type.getShape()[0];
    k = type.getShape()[1];
    steps = k / kTileDepth;
    block = std::min<int64_t>(tileBlock(k), llvm::alignTo(n, kUnit));
    operand = amx::TileType::get({kTileRows, kTileDepth}, e.b.getBF16Type());
    sum = amx::TileType::get({kTileRows, kTileRows}, e.b.getF32Type());
  }

  void emit() {
    panel = e.scratch({block / kTileRows * steps * kTileRows, kTileDepth}, e.b.getBF16Type());
    packedRows = e.scratch({steps * kTileRows, kTileDepth}, e.b.getBF16Type());
    turned = e.scratch({kUnit, kTileRows});
    interior = e.scratch({2 * kTileRows, kBefore + block});
    Value rows = e.dim(x, 0), rest = e.rem(rows, kTileRows), whole = e.sub(rows, rest);
    Value anyRest = isPositive(rest), anyWhole = isPositive(whole);
    e.when(anyRest, [&] { packRows(whole, rows); });
    auto [first, last] = e.share(e.index(llvm::divideCeil(n, kUnit)));
    Value lo = e.mul(first, kUnit), hi = e.min(e.mul(last, kUnit), e.index(n));
    e.loop(lo, hi, e.index(block), [&](Value column) {
      begin = column;
      end = e.min(e.add(column, block), hi);
      e.when(anyWhole, [&] {
        packColumns();
        Value pairs = e.sub(whole, e.rem(whole, 2 * kTileRows));
        e.loop(e.index(0), pairs, e.index(2 * kTileRows), [&](Value row) { emitWhole(row, 2); });
        e.loop(pairs, whole, e.index(kTileRows), [&](Value row) { emitWhole(row, 1); });
      });
      e.when(anyRest, [&] { emitRest(whole, rest); });
    });
  }

private:
  static constexpr int64_t kUnit = 2 * kTileRows; ///< Columns of a step: two tiles.

  Value isPositive(Value count) {
    return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, count, e.index(0));
  }

  Value loadTile(Value memref, Value row, Value column) {
    return amx::TileLoadOp::create(e.b, e.loc, operand, memref, ValueRange{row, column});
  }
  Value zeroTile() { return amx::TileZeroOp::create(e.b, e.loc, sum); }
  Value multiply(Value a, Value b, Value sums) { return amx::TileMulFOp::create(e.b, e.loc, sum, a, b, sums); }

  /// Elements [at, at + 32) of 16 rows of a memref (.., K), as rows of pairs: packed[to + i, 2r
  /// + j] = memref[ids[r], at + 2i + j].
  void pack(Value memref, ArrayRef<Value> ids, Value at, Value packed, Value to) {
    auto pairs = VectorType::get({kTileRows}, e.b.getI32Type());
    auto elements = VectorType::get({kTileDepth}, e.b.getBF16Type());
    SmallVector<Value> rows;
    for (Value id : ids)
      rows.push_back(vector::BitCastOp::create(e.b, e.loc, pairs, e.load(memref, {id, at}, kTileDepth)));
    rows = transpose(e, std::move(rows));
    for (int64_t i = 0; i < kTileRows; ++i)
      e.store(vector::BitCastOp::create(e.b, e.loc, elements, rows[i]), packed, {e.add(to, i), e.index(0)});
  }

  /// Ids of 16 rows from `first` on; those from `end` on repeat the last one.
  SmallVector<Value> idsFrom(Value first, Value end) {
    SmallVector<Value> ids;
    for (int64_t i = 0; i < kTileRows; ++i)
      ids.push_back(e.min(e.add(first, i), e.sub(end, 1)));
    return ids;
  }

  void packRows(Value first, Value rows) {
    SmallVector<Value> ids = idsFrom(first, rows);
    e.loop(e.index(0), e.index(steps), e.index(1),
           [&](Value step) { pack(x, ids, e.mul(step, kTileDepth), packedRows, e.mul(step, kTileRows)); });
  }

  /// Packs the block's columns; tiles behind the last column repeat it, and are not stored.
  void packColumns() {
    Value width = e.mul(e.ceilDiv(e.sub(end, begin), kUnit), kUnit);
    e.loop(e.index(0), width, e.index(kTileRows), [&](Value column) {
      Value first = e.add(begin, column), to = e.mul(column, steps);
      SmallVector<Value> ids = idsFrom(first, e.index(n));
      e.loop(e.index(0), e.index(steps), e.index(1), [&](Value step) {
        prefetch(first, step, kTileRows);
        pack(kernel, ids, e.mul(step, kTileDepth), panel, e.add(to, e.mul(step, kTileRows)));
      });
    });
  }

  /// Fetches a step's share of the `columns` columns behind those from `column` on, in
  /// the order of memory.
  void prefetch(Value column, Value step, int64_t columns) {
    constexpr int64_t kLine = 64 / 2;
    Value next = e.add(e.mul(step, columns * kTileDepth), columns * k);
    for (int64_t offset = 0; offset < columns * kTileDepth; offset += kLine)
      e.prefetch(kernel, {column, e.add(next, offset)});
  }

  /// 16 * height rows of x with the packed block.
  void emitWhole(Value row, int64_t height) {
    Value width = e.sub(end, begin);
    e.loop(e.index(0), width, e.index(kUnit), [&](Value column) {
      Value left = e.mul(column, steps), right = e.add(left, steps * kTileRows);
      SmallVector<Value> sums;
      for (int64_t i = 0; i < 2 * height; ++i)
        sums.push_back(zeroTile());
      sums = e.loop(e.index(0), e.index(steps), e.index(1), sums, [&](Value step, ValueRange carried) {
        Value at = e.mul(step, kTileDepth), packed = e.mul(step, kTileRows);
        SmallVector<Value> next(carried);
        Value top = loadTile(x, row, at), first = loadTile(panel, e.add(left, packed), e.index(0));
        next[0] = multiply(top, first, next[0]);
        Value second = loadTile(panel, e.add(right, packed), e.index(0));
        next[1] = multiply(top, second, next[1]);
        if (height == 2) {
          Value bottom = loadTile(x, e.add(row, kTileRows), at);
          next[2] = multiply(bottom, first, next[2]);
          next[3] = multiply(bottom, second, next[3]);
        }
        return next;
      });
      for (int64_t i = 0; i < 2 * height; ++i)
        storeTile(sums[i], interior, e.index(i / 2 * kTileRows), e.add(column, kBefore + i % 2 * kTileRows));
    });
    storeRows(e, op, interior, kBefore, row, e.index(kTileRows * height), begin, end, n);
  }

  /// The last `count` < 16 rows, packed, with the block's columns as they are stored.
  void emitRest(Value row, Value count) {
    e.loop(begin, end, e.index(kUnit), [&](Value column) {
      SmallVector<Value> firsts;
      for (int64_t tile : {0, 1})
        firsts.push_back(e.min(e.add(column, tile * kTileRows), e.index(n - kTileRows)));
      SmallVector<Value> sums{zeroTile(), zeroTile()};
      sums = e.loop(e.index(0), e.index(steps), e.index(1), sums, [&](Value step, ValueRange carried) {
        prefetch(column, step, kUnit);
        SmallVector<Value> next;
        Value tokens = loadTile(packedRows, e.mul(step, kTileRows), e.index(0));
        for (int64_t tile : {0, 1})
          next.push_back(multiply(loadTile(kernel, firsts[tile], e.mul(step, kTileDepth)), tokens, carried[tile]));
        return next;
      });
      for (int64_t tile : {0, 1}) {
        storeTile(sums[tile], turned, e.index(tile * kTileRows), e.index(0));
        SmallVector<Value> columns;
        for (int64_t c = 0; c < kTileRows; ++c)
          columns.push_back(e.load(turned, {e.index(tile * kTileRows + c), e.index(0)}, kTileRows));
        Value to = e.add(e.sub(firsts[tile], begin), kBefore);
        for (auto [r, values] : llvm::enumerate(transpose(e, std::move(columns))))
          e.store(values, interior, {e.index(int64_t(r)), to});
      }
    });
    storeRows(e, op, interior, kBefore, row, count, begin, end, n);
  }

  void storeTile(Value tile, Value memref, Value row, Value column) {
    amx::TileStoreOp::create(e.b, e.loc, memref, ValueRange{row, column}, tile);
  }

  MatmulOp op;
  VectorEmitter e;
  Value x, kernel; // (rows, K), (N, K)
  int64_t n, k, steps, block;
  amx::TileType operand, sum;
  Value panel;      // (block / 16 * steps * 16, 32): columns of the block, packed
  Value packedRows; // (steps * 16, 32): the last rows of x, packed
  Value turned;     // (32, 16): two tiles of sums, columns by rows
  Value interior;   // (32, 16 + block): sums of up to 32 rows
  Value begin, end; // columns of the block
};

} // namespace

void graphc::kernel::emitTileMatmul(MatmulOp op, const Target &target) { TileMatmulEmitter(op, target).emit(); }
