// Matrix products with a kernel stored (N, K): K in lanes. Each element of the
// interior has one accumulator, which takes the vectors of K in order; its lanes
// are then added in a fixed tree. So an element's sum depends neither on the
// tile nor on the rows beside it, and prefill and decode agree bit by bit.
//
// A thread owns columns. It walks them in blocks that stay in L2 while all rows
// pass; a tile of rows fills a scratch of interior values for the block, and the
// epilogue reads that scratch by vectors of columns.
//
// Longest chain of roundings of an element: K / lanes products and sums (fused:
// one rounding each; dot: K / lanes as well, two for each pair), + log2(lanes).
#include "passes/cpu/Emitters.h"
#include "passes/cpu/MatmulRows.h"
#include "passes/cpu/TileTable.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/TypeUtilities.h"

#include <numeric>

using namespace mlir;
using namespace graphc::kernel;

namespace {

class MatmulEmitter {
public:
  MatmulEmitter(MatmulOp op, const graphc::Target &target)
      : op(op), e(op, target), x(op.getX()), kernel(op.getKernel()), tile(*op.getTile()) {
    auto type = cast<MemRefType>(kernel.getType());
    n = type.getShape()[0];
    k = type.getShape()[1];
    dot = usesDot(op, target);
    chunk = dot ? 2 * e.lanes() : e.lanes();
    cols = llvm::alignTo(tile.getCols(), 4);
    unit = std::lcm(cols, e.lanes());
    block = llvm::alignTo(std::min(tile.getBlock(), n), unit);
    deep = tile.getDepth() > 0 && tile.getDepth() < k;
    depth = deep ? llvm::alignTo(tile.getDepth(), chunk * tile.getUnroll()) : k;
  }

  void emit() {
    const int64_t maxRows = tile.getRows().front();
    interior = e.scratch({maxRows, block});
    if (deep)
      partial = e.scratch({maxRows, block, e.lanes()});
    auto [first, last] = e.share(e.index(llvm::divideCeil(n, unit)));
    Value lo = e.mul(first, unit), hi = e.min(e.mul(last, unit), e.index(n));
    e.loop(lo, hi, e.index(block), [&](Value column) {
      begin = column;
      end = e.min(e.add(column, block), hi);
      forRowTiles(e, e.dim(x, 0), tile.getRows(), [&](Value row, int64_t rows) { emitRows(row, rows); });
    });
  }

private:
  /// All columns of the block for `rows` rows.
  void emitRows(Value row, int64_t rows) {
    if (deep)
      emitDeep(row, rows);
    else
      forColumnTiles([&](Value column) {
        SmallVector<Value> sums(rows * cols, e.splat(0));
        storeInterior(column, rows, accumulate(row, rows, column, e.index(0), k, sums));
      });
    storeRows(e, op, interior, {e.index(0), 0}, row, e.index(rows), begin, end, n);
  }

  /// K in passes of `depth`, so that the rows' part stays in L1 while the columns
  /// pass; accumulators rest in scratch in between, whole, which keeps the order.
  void emitDeep(Value row, int64_t rows) {
    const int64_t whole = k / depth * depth;
    auto pass = [&](Value from, int64_t length, bool first) {
      forColumnTiles([&](Value column) {
        SmallVector<Value> sums(rows * cols, e.splat(0));
        if (!first)
          forAccumulators(rows, column, [&](int64_t i, ValueRange at) { sums[i] = e.load(partial, at, e.lanes()); });
        sums = accumulate(row, rows, column, from, length, sums);
        forAccumulators(rows, column, [&](int64_t i, ValueRange at) { e.store(sums[i], partial, at); });
      });
    };
    pass(e.index(0), depth, /*first=*/true);
    if (whole > depth)
      e.loop(e.index(depth), e.index(whole), e.index(depth), [&](Value from) { pass(from, depth, /*first=*/false); });
    if (whole < k)
      pass(e.index(whole), k - whole, /*first=*/false);
    forColumnTiles([&](Value column) {
      SmallVector<Value> sums(rows * cols);
      forAccumulators(rows, column, [&](int64_t i, ValueRange at) { sums[i] = e.load(partial, at, e.lanes()); });
      storeInterior(column, rows, sums);
    });
  }

  void forColumnTiles(llvm::function_ref<void(Value)> body) { e.loop(begin, end, e.index(cols), body); }

  void forAccumulators(int64_t rows, Value column, llvm::function_ref<void(int64_t, ArrayRef<Value>)> body) {
    Value from = e.sub(column, begin), zero = e.index(0);
    for (int64_t i = 0; i < rows * cols; ++i)
      body(i, {e.index(i / cols), e.add(from, i % cols), zero});
  }

  /// Adds x[row + r, from ..] . kernel[column + c, from ..], `length` elements, to
  /// sums[r * cols + c]. Columns past the last one repeat it; they are not stored.
  SmallVector<Value> accumulate(Value row, int64_t rows, Value column, Value from, int64_t length, SmallVector<Value> sums) {
    SmallVector<Value> rowIds, columnIds;
    for (int64_t r = 0; r < rows; ++r)
      rowIds.push_back(e.add(row, r));
    for (int64_t c = 0; c < cols; ++c) {
      Value id = e.add(column, c);
      columnIds.push_back(n % cols ? e.min(id, e.index(n - 1)) : id);
    }
    auto step = [&](Value at, int64_t width, ValueRange carried) {
      SmallVector<Value> next, w;
      for (int64_t c = 0; c < cols; ++c)
        w.push_back(loadChunk(kernel, columnIds[c], at, width));
      for (int64_t r = 0; r < rows; ++r) {
        Value values = loadChunk(x, rowIds[r], at, width);
        for (int64_t c = 0; c < cols; ++c) {
          Value sum = carried[r * cols + c];
          next.push_back(dot ? e.dotBf16(sum, values, w[c]) : e.fma(values, w[c], sum));
        }
      }
      return next;
    };
    const int64_t stride = chunk * tile.getUnroll(), whole = length / stride * stride;
    if (whole > 0)
      sums = e.loop(from, e.add(from, whole), e.index(stride), sums, [&](Value at, ValueRange carried) {
        SmallVector<Value> next(carried);
        for (int64_t u = 0; u < tile.getUnroll(); ++u) {
          Value here = e.add(at, u * chunk);
          prefetch(column, here);
          next = step(here, chunk, next);
        }
        return next;
      });
    for (int64_t rest = whole; rest < length; rest += chunk)
      sums = step(e.add(from, rest), std::min(chunk, length - rest), sums);
    return sums;
  }

  /// `width` elements of a row of (.., K): bf16 for the dot, else widened.
  Value loadChunk(Value memref, Value row, Value at, int64_t width) {
    return dot ? e.loadRaw(memref, {row, at}, width, chunk) : e.loadWide(memref, {row, at}, width);
  }

  /// Fetches lines of the columns to come, in the order of memory: the cols rows of
  /// the next tile lie behind one another, and this step's share is read as one
  /// stream, while the loads of this tile walk cols streams that are in L2 by then.
  void prefetch(Value column, Value at) {
    if (tile.getPrefetch() == 0)
      return;
    const int64_t bytes = cast<MemRefType>(kernel.getType()).getElementTypeBitWidth() / 8;
    const int64_t ahead = std::max<int64_t>(cols * k, llvm::divideCeil(tile.getPrefetch(), bytes)), line = 64 / bytes;
    Value next = e.add(e.mul(at, cols), ahead);
    for (int64_t offset = 0; offset < cols * chunk; offset += line)
      e.prefetch(kernel, {column, e.add(next, offset)});
  }

  void storeInterior(Value column, int64_t rows, ArrayRef<Value> sums) {
    for (int64_t r = 0; r < rows; ++r)
      e.store(e.horizontalSums(sums.slice(r * cols, cols)), interior, {e.index(r), e.sub(column, begin)});
  }

  MatmulOp op;
  VectorEmitter e;
  Value x, kernel; // (rows, K), (N, K)
  TileAttr tile;
  int64_t n, k;
  bool dot;
  int64_t chunk; // elements of K a vector
  int64_t cols, unit, block, depth;
  bool deep;
  Value interior; // (rows of the tile, block): sums
  Value partial;  // (rows of the tile, block, lanes): accumulators between passes
  Value begin, end; // columns of the block
};

} // namespace

bool graphc::kernel::usesDot(MatmulOp op, const Target &target) {
  return target.bf16Dot && getElementTypeOrSelf(op.getX().getType()).isBF16() &&
         getElementTypeOrSelf(op.getKernel().getType()).isBF16();
}

void graphc::kernel::forRowTiles(VectorEmitter &e, Value rows, ArrayRef<int64_t> tiles,
                                 llvm::function_ref<void(Value, int64_t)> body) {
  Value done = e.index(0);
  for (int64_t tile : tiles) {
    Value rest = e.rem(e.sub(rows, done), tile), reached = e.sub(rows, rest);
    e.loop(done, reached, e.index(tile), [&](Value row) { body(row, tile); });
    done = reached;
  }
}

void graphc::kernel::storeRows(VectorEmitter &e, MatmulOp op, Value interior, InteriorPlace place, Value row,
                               Value rows, Value begin, Value end, int64_t n) {
  e.loop(e.index(0), rows, e.index(1), [&](Value r) {
    e.columns(begin, end, n, [&](Value column, int64_t count) {
      Value value = e.load(interior, {e.add(place.row, r), e.add(e.sub(column, begin), place.column)}, e.lanes());
      e.epilogue(op, value, e.add(row, r), column, count);
    });
  });
}

/// A few rows by dots, more by tiles: the number of rows is known when the kernel runs.
static void emitDotOrTiles(MatmulOp op, const graphc::Target &target) {
  VectorEmitter e(op, target);
  Value few = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ule, e.dim(op.getX(), 0), e.index(kDotRows));
  auto branch = scf::IfOp::create(e.b, e.loc, few, /*withElseRegion=*/true);
  const auto emitIn = [&](Block &block, llvm::function_ref<void(MatmulOp)> emit) {
    auto copy = cast<MatmulOp>(OpBuilder::atBlockBegin(&block).clone(*op));
    emit(copy);
    copy.erase();
  };
  emitIn(branch.getThenRegion().front(), [&](MatmulOp copy) { MatmulEmitter(copy, target).emit(); });
  emitIn(branch.getElseRegion().front(), [&](MatmulOp copy) { emitTileMatmul(copy, target); });
}

void graphc::kernel::emitMatmul(MatmulOp op, const Target &target) {
  if (op.getInputMajor())
    emitInputMajorMatmul(op, target);
  else if (usesTiles(op, target))
    emitDotOrTiles(op, target);
  else
    MatmulEmitter(op, target).emit();
  op.erase();
}
