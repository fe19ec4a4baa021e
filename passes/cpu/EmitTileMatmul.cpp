// Matrix products by tiles of bf16, with a kernel stored (N, K), in two forms. Many
// rows: columns of the kernel are packed to pairs of K, a block of columns that
// stays in L2 while all rows pass, and rows of x are loaded as they are. Few rows,
// alone or behind those: they are packed instead, the kernel is loaded as it is and
// once, and sums are turned. Both forms multiply and add the same terms in
// the same order, so an element's sum depends neither on the rows beside it nor on
// their number.
//
// Longest chain of roundings of an element: K / 32 sums of tiles, + 16 products of
// pairs and their sum (one rounding each).
#include "passes/cpu/Emitters.h"
#include "passes/cpu/MatmulRows.h"
#include "passes/cpu/TileEmitter.h"
#include "passes/cpu/TileTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace graphc::kernel;

namespace {

/// Columns of the interior before the block's first: the last tile of columns begins
/// up to 15 before it when N is no multiple of 16.
constexpr int64_t kBefore = kTileRows;

class TileMatmulEmitter {
public:
  TileMatmulEmitter(MatmulOp op, const graphc::Target &target) : op(op), e(op, target), ops(e), x(op.getX()), kernel(op.getKernel()) {
    auto type = cast<MemRefType>(kernel.getType());
    n = type.getShape()[0];
    k = type.getShape()[1];
    steps = k / kTileDepth;
    block = std::min<int64_t>(tileBlock(k), llvm::alignTo(n, kUnit));
  }

  void emit() {
    panel = e.scratch({block / kTileRows * steps * kTileRows, kTileDepth}, e.b.getBF16Type());
    packed = e.scratch({kFewRows / kTileRows * steps * kTileRows, kTileDepth}, e.b.getBF16Type());
    turned = e.scratch({kBefore + block, kFewRows});
    interior = e.scratch({kFewRows, kBefore + block});
    Value rows = e.dim(x, 0), isMany = isAbove(rows, kFewRows);
    Value whole = e.select(isMany, e.sub(rows, e.rem(rows, 2 * kTileRows)), e.index(0));
    Value rest = e.sub(rows, whole), tiles = e.ceilDiv(rest, kTileRows);
    packRows(whole, rows, tiles);
    auto [first, last] = e.share(e.index(llvm::divideCeil(n, kUnit)));
    Value lo = e.mul(first, kUnit), hi = e.min(e.mul(last, kUnit), e.index(n));
    e.loop(lo, hi, e.index(block), [&](Value column) {
      begin = column;
      end = e.min(e.add(column, block), hi);
      e.when(isMany, [&] { packColumns(); });
      e.loop(e.index(0), whole, e.index(2 * kTileRows), [&](Value row) { emitWhole(row); });
      // Each number of tiles is code of its own: their sums are registers.
      int64_t below = 0;
      for (int64_t some : {1, 2, 4}) {
        Value fits = arith::AndIOp::create(e.b, e.loc, isAbove(tiles, below), isAbove(e.index(some + 1), tiles));
        e.when(fits, [&] { multiplyPacked(some); });
        below = some;
      }
      turn(tiles);
      storeRows(e, op, interior, kBefore, whole, rest, begin, end, n);
    });
  }

private:
  static constexpr int64_t kUnit = 2 * kTileRows;    ///< Columns of a step: two tiles.
  static constexpr int64_t kFewRows = 4 * kTileRows; ///< Up to here rows are packed, not columns.

  Value isAbove(Value a, Value b) { return arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, a, b); }
  Value isAbove(Value a, int64_t b) { return isAbove(a, e.index(b)); }

  /// Elements [at, at + 32) of 16 rows of a memref (.., K), as rows of pairs: packed[to + i, 2r
  /// + j] = memref[ids[r], at + 2i + j].
  void pack(Value memref, ArrayRef<Value> ids, Value at, Value packed, Value to) {
    SmallVector<Value> rows;
    for (Value id : ids)
      rows.push_back(e.load(memref, {id, at}, kTileDepth));
    ops.pack(rows, packed, to);
  }

  /// Ids of 16 rows from `first` on; those from `end` on repeat the last one.
  SmallVector<Value> idsFrom(Value first, Value end) {
    SmallVector<Value> ids;
    for (int64_t i = 0; i < kTileRows; ++i)
      ids.push_back(e.min(e.add(first, i), e.sub(end, 1)));
    return ids;
  }

  /// Packs `tiles` times 16 rows of x from `first` on; those from `rows` on repeat the last one.
  void packRows(Value first, Value rows, Value tiles) {
    e.loop(e.index(0), tiles, e.index(1), [&](Value tile) {
      SmallVector<Value> ids = idsFrom(e.add(first, e.mul(tile, kTileRows)), rows);
      Value to = e.mul(tile, steps);
      e.loop(e.index(0), e.index(steps), e.index(1), [&](Value step) {
        pack(x, ids, e.mul(step, kTileDepth), packed, e.mul(e.add(to, step), kTileRows));
      });
    });
  }

  /// Packs the block's columns; tiles behind the last column repeat it, and are not stored.
  void packColumns() {
    Value width = e.mul(e.ceilDiv(e.sub(end, begin), kUnit), kUnit);
    e.loop(e.index(0), width, e.index(kTileRows), [&](Value column) {
      Value first = e.add(begin, column), to = e.mul(column, steps);
      SmallVector<Value> ids = idsFrom(first, e.index(n));
      e.loop(e.index(0), e.index(steps), e.index(1), [&](Value step) {
        prefetchNext(first, step);
        pack(kernel, ids, e.mul(step, kTileDepth), panel, e.add(to, e.mul(step, kTileRows)));
      });
    });
  }

  /// Fetches a step's share of the 16 columns behind those from `column` on, in the order of memory.
  void prefetchNext(Value column, Value step) {
    constexpr int64_t kLine = 64 / 2;
    Value next = e.add(e.mul(step, kTileRows * kTileDepth), kTileRows * k);
    for (int64_t offset = 0; offset < kTileRows * kTileDepth; offset += kLine)
      e.prefetch(kernel, {column, e.add(next, offset)});
  }

  /// 32 rows of x with the packed block.
  void emitWhole(Value row) {
    Value width = e.sub(end, begin);
    e.loop(e.index(0), width, e.index(kUnit), [&](Value column) {
      Value left = e.mul(column, steps), right = e.add(left, steps * kTileRows);
      SmallVector<Value> sums{ops.zero(), ops.zero(), ops.zero(), ops.zero()};
      sums = e.loop(e.index(0), e.index(steps), e.index(1), sums, [&](Value step, ValueRange carried) -> SmallVector<Value> {
        Value at = e.mul(step, kTileDepth), from = e.mul(step, kTileRows);
        Value top = ops.load(x, row, at), first = ops.load(panel, e.add(left, from), e.index(0));
        Value topFirst = ops.multiply(top, first, carried[0]);
        Value second = ops.load(panel, e.add(right, from), e.index(0));
        Value topSecond = ops.multiply(top, second, carried[1]);
        Value bottom = ops.load(x, e.add(row, kTileRows), at);
        return {topFirst, topSecond, ops.multiply(bottom, first, carried[2]), ops.multiply(bottom, second, carried[3])};
      });
      for (int64_t i = 0; i < 4; ++i)
        ops.store(sums[i], interior, e.index(i / 2 * kTileRows), e.add(column, kBefore + i % 2 * kTileRows));
    });
    storeRows(e, op, interior, kBefore, row, e.index(2 * kTileRows), begin, end, n);
  }

  /// The packed rows, `tiles` tiles, with the block's columns as they are stored: sums
  /// to `turned`.
  void multiplyPacked(int64_t tiles) {
    e.loop(begin, end, e.index(kTileRows), [&](Value column) {
      Value first = firstColumn(column);
      SmallVector<Value> sums;
      for (int64_t tile = 0; tile < tiles; ++tile)
        sums.push_back(ops.zero());
      sums = e.loop(e.index(0), e.index(steps), e.index(1), sums, [&](Value step, ValueRange carried) {
        Value at = e.mul(step, kTileDepth);
        if (k >= kLongDepth)
          for (int64_t c = 0; c < kTileRows; ++c)
            e.prefetch(kernel, {e.add(first, c), e.add(at, kStepsAhead * kTileDepth)});
        else
          prefetchNext(column, step);
        SmallVector<Value> next;
        Value columns = ops.load(kernel, first, at);
        for (int64_t tile = 0; tile < tiles; ++tile) {
          Value rows = ops.load(packed, e.mul(e.add(step, tile * steps), kTileRows), e.index(0));
          next.push_back(ops.multiply(columns, rows, carried[tile]));
        }
        return next;
      });
      for (int64_t tile = 0; tile < tiles; ++tile)
        ops.store(sums[tile], turned, offset(first), e.index(tile * kTileRows));
    });
  }

  /// interior = turned, transposed, for `tiles` tiles of rows.
  void turn(Value tiles) {
    e.loop(e.index(0), e.mul(tiles, kTileRows), e.index(kTileRows), [&](Value row) {
      e.loop(begin, end, e.index(kTileRows), [&](Value column) {
        Value from = offset(firstColumn(column));
        SmallVector<Value> columns;
        for (int64_t c = 0; c < kTileRows; ++c)
          columns.push_back(e.load(turned, {e.add(from, c), row}, kTileRows));
        for (auto [r, values] : llvm::enumerate(ops.transpose(std::move(columns))))
          e.store(values, interior, {e.add(row, int64_t(r)), from});
      });
    });
  }

  /// Where a tile of columns begins that would at `column`: the last one ends with the last column.
  Value firstColumn(Value column) { return e.min(column, e.index(n - kTileRows)); }
  /// A column's place among the sums of the block.
  Value offset(Value column) { return e.add(e.sub(column, begin), kBefore); }

  MatmulOp op;
  VectorEmitter e;
  TileEmitter ops;
  Value x, kernel; // (rows, K), (N, K)
  int64_t n, k, steps, block;
  Value panel;      // (block / 16 * steps * 16, 32): columns of the block, packed
  Value packed;     // (4 * steps * 16, 32): rows, packed
  Value turned;     // (16 + block, 64): sums of packed rows
  Value interior;   // (64, 16 + block): sums
  Value begin, end; // columns of the block
};

} // namespace

void graphc::kernel::emitTileMatmul(MatmulOp op, const Target &target) { TileMatmulEmitter(op, target).emit(); }
