// Matrix products by tiles of bf16, with a kernel stored (N, K), in two forms. Many
// rows: columns of the kernel are packed to pairs of K, a block of columns that
// stays in L2 while all rows pass, and rows of x are loaded as they are. Tiles are
// multiplied beside the vector units, so a step also does what those have to do: it
// packs a part of the block to come, and stores a part of the sums before. Few rows,
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
    packsAhead = k <= kPackAheadDepth;
    block = std::min<int64_t>(tileBlock(k), llvm::alignTo(n, kUnit));
    half = block * steps;
    stored = std::max<int64_t>(llvm::bit_ceil(uint64_t(llvm::divideCeil(kUnit, steps))), 1);
  }

  void emit() {
    panel = e.scratch({packsAhead ? 2 * half : half, kTileDepth}, e.b.getBF16Type());
    waiting = e.scratch({2 * kUnit, kUnit});
    packed = e.scratch({kFewRows / kTileRows * steps * kTileRows, kTileDepth}, e.b.getBF16Type());
    turned = e.scratch({kBefore + block, kFewRows});
    interior = e.scratch({kFewRows, kBefore + block});
    Value rows = e.dim(x, 0), isMany = isAbove(rows, kFewRows);
    Value whole = e.select(isMany, e.sub(rows, e.rem(rows, 2 * kTileRows)), e.index(0));
    Value rest = e.sub(rows, whole), tiles = e.ceilDiv(rest, kTileRows);
    packRows(whole, rows, tiles);
    auto [first, last] = e.share(e.index(llvm::divideCeil(n, kUnit)));
    Value lo = e.mul(first, kUnit), hi = e.min(e.mul(last, kUnit), e.index(n));
    if (packsAhead)
      e.when(isMany, [&] { packAll(lo, e.min(e.add(lo, block), hi), e.index(0)); });
    e.loop(lo, hi, e.index(block), ValueRange{e.index(0)}, [&](Value column, ValueRange at) -> SmallVector<Value> {
      begin = column;
      end = e.min(e.add(column, block), hi);
      Value other = packsAhead ? e.sub(e.index(half), at[0]) : at[0];
      e.when(isMany, [&] {
        if (!packsAhead)
          packAll(begin, end, at[0]);
        Columns next{end, packsAhead ? e.min(e.add(end, block), hi) : end, other};
        emitWhole(whole, at[0], next);
      });
      // Each number of tiles is code of its own: their sums are registers.
      int64_t below = 0;
      for (int64_t some : {1, 2, 4}) {
        Value fits = arith::AndIOp::create(e.b, e.loc, isAbove(tiles, below), isAbove(e.index(some + 1), tiles));
        e.when(fits, [&] { multiplyPacked(some); });
        below = some;
      }
      turn(tiles);
      storeRows(e, op, interior, {e.index(0), kBefore}, whole, rest, begin, end, n);
      return {other};
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

  /// Ids of 16 rows from `first` on.
  SmallVector<Value> idsFrom(Value first) {
    SmallVector<Value> ids;
    for (int64_t i = 0; i < kTileRows; ++i)
      ids.push_back(e.add(first, i));
    return ids;
  }

  /// Ids of 16 rows from `first` on; those from `end` on repeat the last one.
  SmallVector<Value> idsFrom(Value first, Value end) {
    SmallVector<Value> ids = idsFrom(first);
    for (Value &id : ids)
      id = e.min(id, e.sub(end, 1));
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

  /// Columns [begin, end) that are packed to the panel's rows from `at` on.
  struct Columns {
    Value begin, end, at;
  };

  /// Steps of 16 columns: how often packStep packs them.
  Value packSteps(const Columns &columns) {
    return e.mul(e.ceilDiv(e.sub(columns.end, columns.begin), kUnit), kUnit / kTileRows * steps);
  }

  /// Packs a step's 32 elements of 16 columns; tiles behind the last column repeat it, and are not stored.
  void packStep(const Columns &columns, Value index) {
    Value first = e.add(columns.begin, e.mul(e.div(index, steps), kTileRows)), step = e.rem(index, steps);
    prefetchNext(first, step);
    pack(kernel, n % kUnit ? idsFrom(first, e.index(n)) : idsFrom(first), e.mul(step, kTileDepth), panel,
         e.add(columns.at, e.mul(index, kTileRows)));
  }

  void packAll(Value begin, Value end, Value at) {
    Columns columns{begin, end, at};
    e.loop(e.index(0), packSteps(columns), e.index(1), [&](Value index) { packStep(columns, index); });
  }

  /// Fetches a step's share of the 16 columns behind those from `column` on, in the order of memory.
  void prefetchNext(Value column, Value step) {
    constexpr int64_t kLine = 64 / 2;
    Value next = e.add(e.mul(step, kTileRows * kTileDepth), kTileRows * k);
    for (int64_t offset = 0; offset < kTileRows * kTileDepth; offset += kLine)
      e.prefetch(kernel, {column, e.add(next, offset)});
  }

  /// Packed columns. The rows' elements are loaded again for each two tiles of columns, so
  /// they stay in L1 if they fit there, and the columns pass beside it.
  Value loadColumns(Value at) {
    return k <= kResidentDepth ? ops.loadStreaming(panel, at, e.index(0)) : ops.load(panel, at, e.index(0));
  }

  /// Sums of 32 rows and 32 columns that are yet to be stored: `rows` of them, 32 or none, at
  /// [row, column] of the result, in waiting[at ..].
  struct Waiting {
    Value rows, row, column, at;
  };

  void storeWaiting(const Waiting &sums, Value from, Value rows) {
    Value last = e.min(e.add(sums.column, kUnit), end);
    storeRows(e, op, waiting, {e.add(sums.at, from), 0}, e.add(sums.row, from), rows, sums.column, last, n);
  }

  /// Rows [0, whole) of x with the block packed at `at`, while `next` is packed: it is no wider and
  /// there are 64 rows at least, so a product has no more to pack than it has steps.
  void emitWhole(Value whole, Value at, const Columns &next) {
    Value width = e.sub(end, begin), all = packSteps(next), none = e.index(0);
    Value products = e.mul(e.div(whole, kUnit), e.ceilDiv(width, kUnit));
    Value share = e.div(e.sub(e.add(all, products), 1), products); // steps of packing a product
    SmallVector<Value> state{none, none, begin, none, none};       // Waiting, and how many steps are packed
    state = e.loop(none, whole, e.index(kUnit), state, [&](Value row, ValueRange outer) {
      return e.loop(none, width, e.index(kUnit), outer, [&](Value column, ValueRange carried) -> SmallVector<Value> {
        const Waiting before{carried[0], carried[1], carried[2], carried[3]};
        Value packed = carried[4], target = e.min(e.add(packed, share), all);
        Value place = e.sub(e.index(kUnit), before.at);
        multiplyWhole(row, e.add(at, e.mul(column, steps)), place, [&](Value step) {
          Value done = e.mul(step, stored);
          e.when(isAbove(before.rows, done), [&] { storeWaiting(before, done, e.index(stored)); });
          e.when(isAbove(e.index(kUnit), done), [&] {
            for (int64_t r = 0; r < stored; ++r)
              e.prefetchEpilogue(op, e.add(row, e.add(done, r)), e.add(begin, column), kUnit);
          });
          if (!packsAhead)
            return;
          Value index = e.add(packed, step);
          e.when(isAbove(target, index), [&] { packStep(next, index); });
        });
        return {e.index(kUnit), row, e.add(begin, column), place, target};
      });
    });
    storeWaiting({state[0], state[1], state[2], state[3]}, none, state[0]);
  }

  /// waiting[place ..] = 32 rows of x from `row` on with the 32 columns packed at `left`; calls
  /// `beside` in each step.
  void multiplyWhole(Value row, Value left, Value place, llvm::function_ref<void(Value)> beside) {
    Value right = e.add(left, steps * kTileRows);
    SmallVector<Value> sums{ops.zero(), ops.zero(), ops.zero(), ops.zero()};
    sums = e.loop(e.index(0), e.index(steps), e.index(1), sums, [&](Value step, ValueRange carried) -> SmallVector<Value> {
      beside(step);
      Value at = e.mul(step, kTileDepth), from = e.mul(step, kTileRows);
      Value top = ops.load(x, row, at), first = loadColumns(e.add(left, from));
      Value topFirst = ops.multiply(top, first, carried[0]);
      Value second = loadColumns(e.add(right, from));
      Value topSecond = ops.multiply(top, second, carried[1]);
      Value bottom = ops.load(x, e.add(row, kTileRows), at);
      return {topFirst, topSecond, ops.multiply(bottom, first, carried[2]), ops.multiply(bottom, second, carried[3])};
    });
    for (int64_t i = 0; i < 4; ++i)
      ops.store(sums[i], waiting, e.add(place, i / 2 * kTileRows), e.index(i % 2 * kTileRows));
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
  bool packsAhead;  // the next block, while this one is multiplied
  int64_t stored;   // rows that a step stores, of those before
  int64_t half;     // rows of the panel that a block takes
  Value panel;      // (half or 2 * half, 32): columns of a block or two, packed
  Value waiting;    // (64, 32): sums of the last two products of whole tiles
  Value packed;     // (4 * steps * 16, 32): rows, packed
  Value turned;     // (16 + block, 64): sums of packed rows
  Value interior;   // (64, 16 + block): sums
  Value begin, end; // columns of the block
};

} // namespace

void graphc::kernel::emitTileMatmul(MatmulOp op, const Target &target) { TileMatmulEmitter(op, target).emit(); }
