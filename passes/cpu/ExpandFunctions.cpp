// Functions as polynomials, on vectors; and what the polynomials ask of targets
// that lack it: LLVM would call fmaf and floorf, one element at a time.
#include "passes/cpu/Passes.h"

#include "Support/Target.h"
#include "passes/cpu/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Approximation.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <type_traits>

namespace graphc::cpu {
#define GEN_PASS_DEF_EXPANDFUNCTIONS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;

namespace {

/// e^x = 2^n e^a with n = floor(x log2 e + 1/2), so abs(a) <= ln 2 / 2 and a little; e^a = 1 + a
/// + a^2 q(a), q of degree 4 fitted for least relative error of e^a (2^-28). At most
/// 1.02 ulp, up to the last x whose power is finite: upstream's expansion is 2^-16 off
/// behind 88.37, where n is 128. Below 2^-126 it is 0 (numerics N2).
void expandExp(math::ExpOp op) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto vector = dyn_cast<VectorType>(op.getType());
  auto constant = [&](auto value) -> Value {
    TypedAttr attribute;
    if constexpr (std::is_same_v<decltype(value), float>)
      attribute = b.getF32FloatAttr(value);
    else
      attribute = b.getI32IntegerAttr(value);
    if (vector)
      attribute = DenseElementsAttr::get(vector.clone(attribute.getType()), Attribute(attribute));
    return arith::ConstantOp::create(b, loc, attribute);
  };
  auto fma = [&](Value x, Value y, Value z) -> Value { return math::FmaOp::create(b, loc, x, y, z); };
  auto select = [&](arith::CmpFPredicate predicate, Value x, float y, Value yes, Value no) -> Value {
    return arith::SelectOp::create(b, loc, arith::CmpFOp::create(b, loc, predicate, x, constant(y)), yes, no);
  };
  // Unordered, so that NaN stays what it is.
  Value x = select(arith::CmpFPredicate::UGE, op.getOperand(), -88.0f, op.getOperand(), constant(-88.0f));
  x = select(arith::CmpFPredicate::ULE, x, 89.0f, x, constant(89.0f));
  Value n = math::FloorOp::create(b, loc, fma(x, constant(0x1.715476p+0f), constant(0.5f)));
  // ln 2 in two parts, n times the first of which is exact.
  Value a = fma(n, constant(2.12194440e-4f), fma(n, constant(-0.693359375f), x));
  Value q = constant(0x1.6a4d48p-10f);
  for (float coefficient : {0x1.123984p-7f, 0x1.5558bp-5f, 0x1.555492p-3f, 0x1.fffffcp-2f})
    q = fma(q, a, constant(coefficient));
  Value squared = arith::MulFOp::create(b, loc, a, a);
  Value power = arith::AddFOp::create(b, loc, fma(q, squared, a), constant(1.0f));
  // 2^128 is no f32 number, though its product with e^a may be one.
  power = select(arith::CmpFPredicate::OGT, n, 127.0f, arith::AddFOp::create(b, loc, power, power), power);
  n = select(arith::CmpFPredicate::OLT, n, 127.0f, n, constant(127.0f)); // NaN too: it is no integer
  Type integers = vector ? Type(vector.clone(b.getI32Type())) : b.getI32Type();
  Value biased = arith::AddIOp::create(b, loc, arith::FPToSIOp::create(b, loc, integers, n), constant(127));
  Value scale = arith::BitcastOp::create(b, loc, op.getType(), arith::ShLIOp::create(b, loc, biased, constant(23)));
  op.replaceAllUsesWith(Value(arith::MulFOp::create(b, loc, power, scale)));
  op.erase();
}

/// A product, then a sum: two roundings, which bounds allow for (numerics L2).
void expandFma(math::FmaOp op) {
  OpBuilder b(op);
  Value product = arith::MulFOp::create(b, op.getLoc(), op.getA(), op.getB());
  op.replaceAllUsesWith(Value(arith::AddFOp::create(b, op.getLoc(), product, op.getC())));
  op.erase();
}

void expandFloor(math::FloorOp op) {
  OpBuilder b(op);
  op.replaceAllUsesWith(kernel::floorByTruncation(b, op.getLoc(), op.getOperand()));
  op.erase();
}

struct ExpandFunctions : cpu::impl::ExpandFunctionsBase<ExpandFunctions> {
  using ExpandFunctionsBase::ExpandFunctionsBase;

  void runOnOperation() override {
    const Target *target = cpu::targetOrError(getOperation(), this->target);
    if (!target)
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(
        patterns, [](StringRef name) { return llvm::is_contained({"math.erf", "math.tanh"}, name); });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    getOperation().walk(expandExp);
    if (!target->fma)
      getOperation().walk(expandFma);
    if (!target->hasFloor())
      getOperation().walk(expandFloor);
  }
};
} // namespace
