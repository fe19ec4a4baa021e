// RMS and layer norm, a row at a time: threads take rows. Statistics are f32
// sums in four chains of vectors; the longest chain of roundings is
// ceil(width / (4 * lanes)) + log2(4 * lanes).
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace graphc::kernel;

namespace {

constexpr int64_t kChains = 4;

class NormEmitter {
public:
  NormEmitter(EpilogueKernel op, Value x, Value scale, APFloat epsilon, const graphc::Target &target)
      : op(op), e(op, target), x(x), scale(scale), epsilon(float(epsilon.convertToDouble())),
        width(cast<MemRefType>(x.getType()).getShape()[1]) {}

  using RowBody = llvm::function_ref<void(Value)>;
  void rows(RowBody body) {
    auto [first, last] = e.share(e.dim(x, 0));
    e.loop(first, last, e.index(1), body);
  }

  /// The mean over a row of `term(vector of x)`, a scalar; elements that do not
  /// exist count as zero.
  Value mean(Value row, llvm::function_ref<Value(Value)> term) {
    const int64_t step = kChains * e.lanes(), whole = width / step * step;
    auto addTerm = [&](Value sum, Value column, int64_t count) {
      Value value = term(e.loadWide(x, {row, column}, count));
      if (count < e.lanes())
        value = e.select(e.maskOf(count, e.lanes()), value, e.splat(0));
      return e.addf(sum, value);
    };
    SmallVector<Value> sums(kChains, e.splat(0));
    if (whole > 0)
      sums = e.loop(e.index(0), e.index(whole), e.index(step), sums, [&](Value column, ValueRange carried) {
        SmallVector<Value> next;
        for (int64_t chain = 0; chain < kChains; ++chain)
          next.push_back(addTerm(carried[chain], e.add(column, chain * e.lanes()), e.lanes()));
        return next;
      });
    for (int64_t column = whole, chain = 0; column < width; column += e.lanes(), ++chain)
      sums[chain] = addTerm(sums[chain], e.index(column), std::min(e.lanes(), width - column));
    Value sum = e.reduceAdd(e.addf(e.addf(sums[0], sums[1]), e.addf(sums[2], sums[3])));
    return e.divf(sum, e.constant(float(width)));
  }

  /// 1 / sqrt(mean of squares + epsilon), in every lane.
  Value reciprocal(Value meanOfSquares) {
    Value root = math::SqrtOp::create(e.b, e.loc, e.addf(meanOfSquares, e.constant(epsilon)));
    return e.broadcast(e.divf(e.constant(1), root));
  }

  /// The row's columns: interior = `value(x, column, count)`.
  void store(Value row, llvm::function_ref<Value(Value, Value, int64_t)> value) {
    e.columns(e.index(0), e.index(width), width, [&](Value column, int64_t count) {
      Value interior = value(e.loadWide(x, {row, column}, count), column, count);
      e.epilogue(op, interior, row, column, count);
    });
  }

  EpilogueKernel op;
  VectorEmitter e;
  Value x, scale;
  float epsilon;
  int64_t width;
};

} // namespace

void graphc::kernel::emitRmsNorm(RmsNormOp op, const Target &target) {
  NormEmitter norm(op, op.getX(), op.getScale(), op.getEpsilon(), target);
  VectorEmitter &e = norm.e;
  const float shift = float(op.getShift().convertToDouble());
  norm.rows([&](Value row) {
    Value reciprocal = norm.reciprocal(norm.mean(row, [&](Value x) { return e.mulf(x, x); }));
    norm.store(row, [&](Value x, Value column, int64_t count) {
      Value scale = e.loadWide(norm.scale, column, count);
      if (shift != 0)
        scale = e.addf(e.splat(shift), scale);
      return e.mulf(e.mulf(x, reciprocal), scale);
    });
  });
  op.erase();
}

void graphc::kernel::emitLayerNorm(LayerNormOp op, const Target &target) {
  NormEmitter norm(op, op.getX(), op.getScale(), op.getEpsilon(), target);
  VectorEmitter &e = norm.e;
  norm.rows([&](Value row) {
    Value mean = e.broadcast(norm.mean(row, [](Value x) { return x; }));
    Value variance = norm.mean(row, [&](Value x) {
      Value centred = e.subf(x, mean);
      return e.mulf(centred, centred);
    });
    Value reciprocal = norm.reciprocal(variance);
    norm.store(row, [&](Value x, Value column, int64_t count) {
      Value y = e.mulf(e.mulf(e.subf(x, mean), reciprocal), e.loadWide(norm.scale, column, count));
      return op.getBias() ? e.addf(y, e.loadWide(op.getBias(), column, count)) : y;
    });
  });
  op.erase();
}
