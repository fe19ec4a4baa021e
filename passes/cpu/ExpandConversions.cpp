// Conversions of 16-bit floats in integer arithmetic, for targets that lack the
// instructions. LLVM would call compiler-rt, one element at a time; and where
// the 16-bit type is not legal it also rounds again whatever it takes apart, so
// masked accesses of parts of a vector become integer elements here.
#include "passes/cpu/Passes.h"

#include "Support/Target.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_EXPANDCONVERSIONS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;

namespace {

/// Integer and f32 arithmetic on scalars or vectors of one shape.
class Bits {
public:
  Bits(Operation *op) : b(op), loc(op->getLoc()), shape(op->getResult(0).getType()) {}

  Type like(Type element) {
    auto vector = dyn_cast<VectorType>(shape);
    return vector ? Type(vector.clone(element)) : element;
  }
  Value constant(uint32_t value) {
    TypedAttr attribute = b.getI32IntegerAttr(int32_t(value));
    if (auto vector = dyn_cast<VectorType>(like(b.getI32Type())))
      attribute = DenseElementsAttr::get(vector, Attribute(attribute));
    return arith::ConstantOp::create(b, loc, attribute);
  }
  Value constantf(float value) { return ofBits(constant(llvm::bit_cast<uint32_t>(value))); }
  Value bits(Value x) { return arith::BitcastOp::create(b, loc, like(b.getI32Type()), x); }
  Value ofBits(Value x) { return arith::BitcastOp::create(b, loc, like(b.getF32Type()), x); }
  Value add(Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, loc, x, y); }
  Value either(Value x, Value y) { return arith::OrIOp::create(b, loc, x, y); }
  Value left(Value x, uint32_t by) { return arith::ShLIOp::create(b, loc, x, constant(by)); }
  Value right(Value x, uint32_t by) { return arith::ShRUIOp::create(b, loc, x, constant(by)); }
  Value select(Value mask, Value x, Value y) { return arith::SelectOp::create(b, loc, mask, x, y); }
  /// Of numbers below 2^31.
  Value atLeast(Value x, uint32_t y) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, x, constant(y));
  }
  Value isNan(Value x) { return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNO, x, x); }
  /// 16-bit float to the low half of i32, and back.
  Value widen(Value x) {
    Value half = arith::BitcastOp::create(b, loc, like(b.getIntegerType(16)), x);
    return arith::ExtUIOp::create(b, loc, like(b.getI32Type()), half);
  }
  Value narrow(Value x, Type element) {
    Value half = arith::TruncIOp::create(b, loc, like(b.getIntegerType(16)), x);
    return arith::BitcastOp::create(b, loc, like(element), half);
  }

  OpBuilder b;
  Location loc;
  Type shape;
};

Value bf16ToF32(Bits &e, Value x) { return e.ofBits(e.left(e.widen(x), 16)); }

/// To nearest, ties to even: the carry of the addition is the rounding. NaN is
/// kept apart, since the carry would make infinity or zero of it.
Value f32ToBf16(Bits &e, Value x) {
  Value bits = e.bits(x), odd = e.both(e.right(bits, 16), e.constant(1));
  Value rounded = e.add(e.add(bits, e.constant(0x7fff)), odd);
  Value quiet = e.either(bits, e.constant(0x00400000));
  return e.narrow(e.right(e.select(e.isNan(x), quiet, rounded), 16), e.b.getBF16Type());
}

/// The exponent is biased by 112 more; twice for infinity and NaN; subnormals are
/// whole multiples of 2^-24.
Value f16ToF32(Bits &e, Value x) {
  Value half = e.widen(x), size = e.both(half, e.constant(0x7fff));
  Value sign = e.left(e.both(half, e.constant(0x8000)), 16);
  Value normal = e.add(e.left(size, 13), e.constant(0x38000000));
  Value special = e.add(normal, e.constant(0x38000000));
  Value whole = arith::SIToFPOp::create(e.b, e.loc, e.like(e.b.getF32Type()), size);
  Value subnormal = e.bits(arith::MulFOp::create(e.b, e.loc, whole, e.constantf(0x1p-24f)));
  Value value = e.select(e.atLeast(size, 0x7c00), special, e.select(e.atLeast(size, 0x400), normal, subnormal));
  return e.ofBits(e.either(value, sign));
}

/// Adding 0.5 rounds a subnormal result to multiples of 2^-24, as f32 does.
Value f32ToF16(Bits &e, Value x) {
  Value bits = e.bits(x), size = e.both(bits, e.constant(0x7fffffff));
  Value sign = e.both(e.right(bits, 16), e.constant(0x8000));
  Value odd = e.both(e.right(size, 13), e.constant(1));
  Value normal = e.right(e.add(e.add(size, e.constant(0xfffu - 0x38000000u)), odd), 13);
  Value sum = arith::AddFOp::create(e.b, e.loc, e.ofBits(size), e.constantf(0.5f));
  Value subnormal = e.add(e.bits(sum), e.constant(0u - 0x3f000000u));
  Value finite = e.select(e.atLeast(size, 0x38800000), normal, subnormal);
  Value value = e.select(e.atLeast(size, 0x47800000), e.constant(0x7c00), finite);
  return e.narrow(e.either(e.select(e.isNan(x), e.constant(0x7e00), value), sign), e.b.getF16Type());
}

/// Elements of a constant mask's prefix.
std::optional<int64_t> widthOf(Value mask) {
  auto constant = mask.getDefiningOp<vector::ConstantMaskOp>();
  return constant ? std::optional(constant.getMaskDimSizes()[0]) : std::nullopt;
}

SmallVector<Value> advance(OpBuilder &b, Location loc, ValueRange indices, int64_t by) {
  SmallVector<Value> result(indices);
  Value offset = arith::ConstantIndexOp::create(b, loc, by);
  result.back() = arith::AddIOp::create(b, loc, result.back(), offset);
  return result;
}

bool isHalf(Type type) {
  Type element = getElementTypeOrSelf(type);
  return element.isBF16() || element.isF16();
}

void expandLoad(vector::MaskedLoadOp op, int64_t width) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<VectorType>(op.getType()), integers = type.clone(b.getIntegerType(16));
  Value all = arith::ConstantOp::create(b, loc, b.getZeroAttr(integers));
  for (int64_t i = 0; i < width; ++i) {
    Value element = memref::LoadOp::create(b, loc, op.getBase(), advance(b, loc, op.getIndices(), i));
    Value bits = arith::BitcastOp::create(b, loc, b.getIntegerType(16), element);
    all = vector::InsertOp::create(b, loc, bits, all, i);
  }
  op.replaceAllUsesWith(Value(arith::BitcastOp::create(b, loc, type, all)));
  op.erase();
}

void expandStore(vector::MaskedStoreOp op, int64_t width) {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto type = cast<VectorType>(op.getValueToStore().getType());
  Value integers = arith::BitcastOp::create(b, loc, type.clone(b.getIntegerType(16)), op.getValueToStore());
  for (int64_t i = 0; i < width; ++i) {
    Value bits = vector::ExtractOp::create(b, loc, integers, i);
    Value element = arith::BitcastOp::create(b, loc, type.getElementType(), bits);
    memref::StoreOp::create(b, loc, element, op.getBase(), advance(b, loc, op.getIndices(), i));
  }
  op.erase();
}

struct ExpandConversions : cpu::impl::ExpandConversionsBase<ExpandConversions> {
  using ExpandConversionsBase::ExpandConversionsBase;

  void runOnOperation() override {
    const Target *target = cpu::targetOrError(getOperation(), this->target);
    if (!target)
      return signalPassFailure();
    const bool maskedHalves = target->vectorBits >= 512;
    getOperation().walk([&](Operation *op) {
      if (isa<arith::ExtFOp, arith::TruncFOp>(op))
        return expand(op, *target);
      if (auto load = dyn_cast<vector::MaskedLoadOp>(op); load && !maskedHalves && isHalf(load.getType())) {
        if (auto width = widthOf(load.getMask()))
          expandLoad(load, *width);
      } else if (auto store = dyn_cast<vector::MaskedStoreOp>(op);
                 store && !maskedHalves && isHalf(store.getValueToStore().getType())) {
        if (auto width = widthOf(store.getMask()))
          expandStore(store, *width);
      }
    });
  }

  static void expand(Operation *op, const Target &target) {
    Value x = op->getOperand(0);
    Type from = getElementTypeOrSelf(x.getType()), to = getElementTypeOrSelf(op->getResult(0).getType());
    Value (*expansion)(Bits &, Value) = nullptr;
    if (from.isBF16() && to.isF32() && target.vectorBits < 512)
      expansion = bf16ToF32;
    else if (from.isF32() && to.isBF16() && !target.bf16Dot)
      expansion = f32ToBf16;
    else if (from.isF16() && to.isF32() && !target.f16Convert)
      expansion = f16ToF32;
    else if (from.isF32() && to.isF16() && !target.f16Convert)
      expansion = f32ToF16;
    if (!expansion)
      return;
    Bits builder(op);
    op->getResult(0).replaceAllUsesWith(expansion(builder, x));
    op->erase();
  }
};

} // namespace
