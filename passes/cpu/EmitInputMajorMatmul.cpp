// Matrix products with a kernel stored (K, N): columns in lanes. An element has
// one accumulator lane, which takes k in order, so its sum does not depend on
// the tile. For the bf16 dot, rows k and k + 1 of the kernel are interleaved
// within 128 bits, pairs of x are broadcast, and the order of columns that
// this leaves in the accumulators is undone once, at the end.
//
// Longest chain of roundings of an element: K (dot: two for each pair).
#include "passes/cpu/Emitters.h"
#include "passes/cpu/MatmulRows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc::kernel;

namespace {

class InputMajorEmitter {
public:
  InputMajorEmitter(MatmulOp op, const graphc::Target &target)
      : op(op), e(op, target), x(op.getX()), kernel(op.getKernel()), tile(*op.getTile()) {
    auto type = cast<MemRefType>(kernel.getType());
    k = type.getShape()[0];
    n = type.getShape()[1];
    dot = usesDot(op, target);
    unit = dot ? 2 * e.lanes() : e.lanes();
    for (int64_t i = 0; i < 2 * e.lanes(); i += 8)
      for (int64_t j = 0; j < 4; ++j) {
        low.append({i + j, 2 * e.lanes() + i + j});
        high.append({i + 4 + j, 2 * e.lanes() + i + 4 + j});
      }
  }

  void emit() {
    auto [first, last] = e.share(e.index(llvm::divideCeil(n, unit)));
    Value lo = e.mul(first, unit), hi = e.min(e.mul(last, unit), e.index(n));
    const int64_t block = llvm::alignTo(tile.getBlock(), unit);
    e.loop(lo, hi, e.index(block), [&](Value begin) {
      Value end = e.min(e.add(begin, block), hi);
      forRowTiles(e, e.dim(x, 0), tile.getRows(), [&](Value row, int64_t rows) { emitRows(row, rows, begin, end); });
    });
  }

private:
  /// Columns [begin, end) for `rows` rows: as wide as the registers allow, then one
  /// unit at a time, then the last, partial one.
  void emitRows(Value row, int64_t rows, Value begin, Value end) {
    const int64_t budget = tile.getRows().front() * tile.getCols() / rows;
    const int64_t wide = std::max(budget / unit, int64_t(1)) * unit, whole = n / unit * unit, rest = n % unit;
    Value column = begin, stop = rest ? e.min(end, e.index(whole)) : end;
    for (int64_t width : {wide, unit}) {
      if (whole == 0 || (width == unit && wide == unit && column != begin))
        continue;
      Value left = arith::MaxSIOp::create(e.b, e.loc, e.sub(stop, column), e.index(0));
      Value reached = e.add(column, e.mul(e.div(left, width), width));
      e.loop(column, reached, e.index(width), [&](Value at) { emitTile(row, rows, at, width); });
      column = reached;
    }
    if (rest > 0) {
      Value partial = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, end, e.index(whole));
      e.when(partial, [&] { emitTile(row, rows, e.index(whole), rest); });
    }
  }

  /// `rows` rows by `width` columns: whole units, or a part of one.
  void emitTile(Value row, int64_t rows, Value column, int64_t width) {
    const int64_t units = llvm::divideCeil(width, unit), vectors = units * unit / e.lanes();
    SmallVector<Value> sums(rows * vectors, e.splat(0));
    const int64_t step = dot ? 2 : 1, whole = k / step * step;
    if (whole > 0)
      sums = e.loop(e.index(0), e.index(whole), e.index(step), sums, [&](Value at, ValueRange carried) {
        return dot ? addPair(row, rows, column, width, at, /*pair=*/true, carried)
                   : addRow(row, rows, column, width, at, carried);
      });
    if (whole < k)
      sums = addPair(row, rows, column, width, e.index(whole), /*pair=*/false, sums);
    for (int64_t r = 0; r < rows; ++r) {
      SmallVector<Value> interior(ArrayRef(sums).slice(r * vectors, vectors));
      if (dot)
        for (int64_t u = 0; u < units; ++u)
          std::tie(interior[2 * u], interior[2 * u + 1]) = inOrder(interior[2 * u], interior[2 * u + 1]);
      for (int64_t v = 0; v * e.lanes() < width; ++v)
        e.epilogue(op, interior[v], e.add(row, r), e.add(column, v * e.lanes()), std::min(e.lanes(), width - v * e.lanes()));
    }
  }

  /// sums += x[row + r, at] * kernel[at, columns], in f32.
  SmallVector<Value> addRow(Value row, int64_t rows, Value column, int64_t width, Value at, ValueRange carried) {
    SmallVector<Value> w, next;
    for (int64_t v = 0; v * e.lanes() < width; ++v)
      w.push_back(e.loadWide(kernel, {at, e.add(column, v * e.lanes())}, std::min(e.lanes(), width - v * e.lanes())));
    for (int64_t r = 0; r < rows; ++r) {
      Value values = e.broadcast(widenScalar(e.loadScalar(x, {e.add(row, r), at})));
      for (size_t v = 0; v < w.size(); ++v)
        next.push_back(e.fma(values, w[v], carried[r * w.size() + v]));
    }
    return next;
  }

  Value widenScalar(Value scalar) {
    return scalar.getType().isF32() ? scalar : arith::ExtFOp::create(e.b, e.loc, e.b.getF32Type(), scalar);
  }

  /// sums += x[row + r, at .. at + 1] . kernel[at .. at + 1, columns]; the second of
  /// the pair counts as zero where K ends with the first.
  SmallVector<Value> addPair(Value row, int64_t rows, Value column, int64_t width, Value at, bool pair, ValueRange carried) {
    SmallVector<Value> w, next;
    Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(VectorType::get({unit}, e.b.getBF16Type())));
    for (int64_t c = 0; c < width; c += unit) {
      Value from = e.add(column, c);
      const int64_t count = std::min(unit, width - c);
      Value first = e.loadRaw(kernel, {at, from}, count, unit);
      Value second = pair ? e.loadRaw(kernel, {e.add(at, 1), from}, count, unit) : zero;
      w.push_back(e.shuffle(first, second, low));
      w.push_back(e.shuffle(first, second, high));
    }
    auto words = VectorType::get({e.lanes()}, e.b.getI32Type()), word = VectorType::get({1}, e.b.getI32Type());
    for (int64_t r = 0; r < rows; ++r) {
      Value two = e.loadRaw(x, {e.add(row, r), at}, pair ? 2 : 1, 2);
      Value bits = e.extract(vector::BitCastOp::create(e.b, e.loc, word, two));
      Value values = vector::BitCastOp::create(e.b, e.loc, VectorType::get({unit}, e.b.getBF16Type()),
                                               vector::BroadcastOp::create(e.b, e.loc, words, bits));
      for (size_t v = 0; v < w.size(); ++v)
        next.push_back(e.dotBf16(carried[r * w.size() + v], values, w[v]));
    }
    return next;
  }

  /// Accumulators of the low and high halves of each 8 columns, as two vectors of
  /// neighbouring columns.
  std::pair<Value, Value> inOrder(Value lowSums, Value highSums) {
    SmallVector<int64_t> order;
    for (int64_t i = 0; i < e.lanes(); i += 4) {
      for (int64_t j = 0; j < 4; ++j)
        order.push_back(i + j);
      for (int64_t j = 0; j < 4; ++j)
        order.push_back(e.lanes() + i + j);
    }
    ArrayRef<int64_t> all(order);
    return {e.shuffle(lowSums, highSums, all.take_front(e.lanes())), e.shuffle(lowSums, highSums, all.drop_front(e.lanes()))};
  }

  MatmulOp op;
  VectorEmitter e;
  Value x, kernel; // (rows, K), (K, N)
  TileAttr tile;
  int64_t n, k;
  bool dot;
  int64_t unit;                   // columns of the least tile: a vector of the stored type
  SmallVector<int64_t> low, high; // interleaving of two rows of the kernel
};

} // namespace

void graphc::kernel::emitInputMajorMatmul(MatmulOp op, const Target &target) { InputMajorEmitter(op, target).emit(); }
