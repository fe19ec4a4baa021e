// Conversions of 16-bit floats in integer arithmetic, for targets that lack the
// instructions, and those of 8-bit floats, which no stock pass lowers. LLVM would
// call compiler-rt, one element at a time; and where the 16-bit type is not legal
// it also rounds again whatever it takes apart, so masked accesses of parts of a
// vector become integer elements here.
#include "passes/cpu/Passes.h"

#include "Support/Target.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
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
  /// An 8- or 16-bit float to the low bits of i32, and back.
  Value widen(Value x) { return arith::ExtUIOp::create(b, loc, like(b.getI32Type()), small(x)); }
  Value narrow(Value x, Type element) {
    Value bits = arith::TruncIOp::create(b, loc, like(b.getIntegerType(element.getIntOrFloatBitWidth())), x);
    return arith::BitcastOp::create(b, loc, like(element), bits);
  }
  /// Its bits as an integer of its own width.
  Value small(Value x) {
    const unsigned width = getElementTypeOrSelf(x.getType()).getIntOrFloatBitWidth();
    return arith::BitcastOp::create(b, loc, like(b.getIntegerType(width)), x);
  }
  Value constant16(uint16_t value) {
    TypedAttr attribute = b.getI16IntegerAttr(int16_t(value));
    if (auto vector = dyn_cast<VectorType>(like(b.getIntegerType(16))))
      attribute = DenseElementsAttr::get(vector, Attribute(attribute));
    return arith::ConstantOp::create(b, loc, attribute);
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
/// whole multiples of 2^-24. `half` holds the bits, in i32.
Value f16BitsToF32(Bits &e, Value half) {
  Value size = e.both(half, e.constant(0x7fff));
  Value sign = e.left(e.both(half, e.constant(0x8000)), 16);
  Value normal = e.add(e.left(size, 13), e.constant(0x38000000));
  Value special = e.add(normal, e.constant(0x38000000));
  Value whole = arith::SIToFPOp::create(e.b, e.loc, e.like(e.b.getF32Type()), size);
  Value subnormal = e.bits(arith::MulFOp::create(e.b, e.loc, whole, e.constantf(0x1p-24f)));
  Value value = e.select(e.atLeast(size, 0x7c00), special, e.select(e.atLeast(size, 0x400), normal, subnormal));
  return e.ofBits(e.either(value, sign));
}

Value f16ToF32(Bits &e, Value x) { return f16BitsToF32(e, e.widen(x)); }

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

/// The upper half of an f16.
Value f8E5M2ToF32(Bits &e, Value x) { return f16BitsToF32(e, e.left(e.widen(x), 8)); }

Value f8E5M2ThroughF16(Bits &e, Value x) {
  Value wide = arith::ExtUIOp::create(e.b, e.loc, e.like(e.b.getIntegerType(16)), e.small(x));
  Value bits = arith::ShLIOp::create(e.b, e.loc, wide, e.constant16(8));
  Value half = arith::BitcastOp::create(e.b, e.loc, e.like(e.b.getF16Type()), bits);
  return arith::ExtFOp::create(e.b, e.loc, e.like(e.b.getF32Type()), half);
}

/// `value` with NaN where its magnitude is 480: the bits that follow those of 448.
Value f8E4M3FNWithNan(Bits &e, Value value) {
  Value bits = e.bits(value), size = e.both(bits, e.constant(0x7fffffff));
  return e.ofBits(e.select(e.atLeast(size, 0x43f00000), e.either(bits, e.constant(0x7fc00000)), bits));
}

/// The exponent is biased by 120 more; subnormals are whole multiples of 2^-9.
Value f8E4M3FNToF32(Bits &e, Value x) {
  Value byte = e.widen(x), size = e.both(byte, e.constant(0x7f));
  Value sign = e.left(e.both(byte, e.constant(0x80)), 24);
  Value normal = e.add(e.left(size, 20), e.constant(120u << 23));
  Value whole = arith::SIToFPOp::create(e.b, e.loc, e.like(e.b.getF32Type()), size);
  Value subnormal = e.bits(arith::MulFOp::create(e.b, e.loc, whole, e.constantf(0x1p-9f)));
  return f8E4M3FNWithNan(e, e.ofBits(e.either(e.select(e.atLeast(size, 8), normal, subnormal), sign)));
}

/// With exponent and fraction in an f16's places the value is 2^8 too small.
Value f8E4M3FNThroughF16(Bits &e, Value x) {
  Value wide = arith::ExtSIOp::create(e.b, e.loc, e.like(e.b.getIntegerType(16)), e.small(x));
  Value moved = arith::ShLIOp::create(e.b, e.loc, wide, e.constant16(7)); // the sign is in bits 14 and 15
  Value bits = arith::AndIOp::create(e.b, e.loc, moved, e.constant16(0xbf80));
  Value half = arith::BitcastOp::create(e.b, e.loc, e.like(e.b.getF16Type()), bits);
  Value small = arith::ExtFOp::create(e.b, e.loc, e.like(e.b.getF32Type()), half);
  return f8E4M3FNWithNan(e, arith::MulFOp::create(e.b, e.loc, small, e.constantf(256)));
}

/// Two bytes for each of 128 magnitudes, of which a NaN stays one; the upper one takes
/// the sign. Of 32 or 64 elements.
Value f8E4M3FNToBf16ByTables(Bits &e, Value x) {
  constexpr int64_t kBytes = 64;
  auto type = VectorType::get({kBytes}, e.b.getI8Type());
  SmallVector<int8_t> tables[2]; // lower bytes, upper bytes
  for (uint64_t magnitude = 0; magnitude < 2 * kBytes; ++magnitude) {
    llvm::APFloat value(llvm::APFloat::Float8E4M3FN(), llvm::APInt(8, magnitude));
    bool losesInfo;
    value.convert(llvm::APFloat::BFloat(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    const uint64_t bits = value.bitcastToAPInt().getZExtValue();
    tables[0].push_back(int8_t(bits));
    tables[1].push_back(int8_t(bits >> 8));
  }
  auto shuffle = [&](Value a, Value b, ArrayRef<int64_t> order) -> Value {
    return vector::ShuffleOp::create(e.b, e.loc, a, b, order);
  };
  // Bytes are interleaved within lanes of 16, so lanes take eight of each half.
  const int64_t count = cast<VectorType>(x.getType()).getDimSize(0);
  SmallVector<int64_t> order, low, high;
  for (int64_t lane = 0; lane < kBytes; lane += 16)
    for (int64_t i = 0; i < 16; ++i) {
      order.push_back((lane / 2 + i % 8 + i / 8 * kBytes / 2) % count);
      low.push_back(lane + i / 2 + i % 2 * kBytes);
      high.push_back(lane + 8 + i / 2 + i % 2 * kBytes);
    }
  Value bytes = shuffle(e.small(x), e.small(x), order);
  auto lookUp = [&](ArrayRef<int8_t> table) -> Value {
    Value halves[2];
    for (int64_t i : {0, 1})
      halves[i] = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, table.slice(i * kBytes, kBytes)));
    return LLVM::CallIntrinsicOp::create(e.b, e.loc, type, e.b.getStringAttr("llvm.x86.avx512.vpermi2var.qi.512"),
                                         ValueRange{halves[0], bytes, halves[1]})
        .getResult(0);
  };
  Value signs = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, int8_t(-128)));
  Value lower = lookUp(tables[0]), upper = e.either(lookUp(tables[1]), e.both(bytes, signs));
  Value words = shuffle(lower, upper, low);
  if (count == kBytes) {
    SmallVector<int64_t> both = llvm::to_vector(llvm::seq<int64_t>(0, 2 * kBytes));
    words = shuffle(words, shuffle(lower, upper, high), both);
  }
  return vector::BitCastOp::create(e.b, e.loc, e.like(e.b.getBF16Type()), words);
}

/// What tells the two 8-bit floats apart when f32 is rounded to them.
struct F8Format {
  uint32_t fraction; ///< Explicit bits of the significand.
  uint32_t bias;
  float units;       ///< Has the ulp of the type's subnormals.
  uint32_t limit;    ///< Bits of the least f32 that overflows.
  uint32_t overflow, nan;
};
constexpr F8Format kF8E4M3FN = {3, 7, 0x1p14f, 0x43e80001, 0x7f, 0x7f}; // beyond 464
constexpr F8Format kF8E5M2 = {2, 15, 0x1p7f, 0x47700000, 0x7c, 0x7e};   // from 61440 on

/// As f32ToF16, the sum with `units` rounding the subnormals.
Value f32ToF8(Bits &e, Value x, const F8Format &format, Type type) {
  const uint32_t dropped = 23 - format.fraction, half = (1u << (dropped - 1)) - 1, rebias = (127 - format.bias) << 23;
  Value bits = e.bits(x), size = e.both(bits, e.constant(0x7fffffff));
  Value sign = e.both(e.right(bits, 24), e.constant(0x80));
  Value odd = e.both(e.right(size, dropped), e.constant(1));
  Value normal = e.right(e.add(e.add(size, e.constant(half - rebias)), odd), dropped);
  Value sum = arith::AddFOp::create(e.b, e.loc, e.ofBits(size), e.constantf(format.units));
  Value subnormal = e.add(e.bits(sum), e.constant(0u - llvm::bit_cast<uint32_t>(format.units)));
  Value finite = e.select(e.atLeast(size, rebias + (1u << 23)), normal, subnormal);
  Value value = e.select(e.atLeast(size, format.limit), e.constant(format.overflow), finite);
  return e.narrow(e.either(e.select(e.isNan(x), e.constant(format.nan), value), sign), type);
}

Value f32ToF8E4M3FN(Bits &e, Value x) { return f32ToF8(e, x, kF8E4M3FN, Float8E4M3FNType::get(e.b.getContext())); }
Value f32ToF8E5M2(Bits &e, Value x) { return f32ToF8(e, x, kF8E5M2, Float8E5M2Type::get(e.b.getContext())); }

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
    else if (isa<Float8E4M3FNType>(from) && to.isBF16() && target.byteTables)
      expansion = f8E4M3FNToBf16ByTables;
    else if (isa<Float8E4M3FNType>(from) && to.isF32())
      expansion = target.f16Convert ? f8E4M3FNThroughF16 : f8E4M3FNToF32;
    else if (isa<Float8E5M2Type>(from) && to.isF32())
      expansion = target.f16Convert ? f8E5M2ThroughF16 : f8E5M2ToF32;
    else if (from.isF32() && isa<Float8E4M3FNType>(to))
      expansion = f32ToF8E4M3FN;
    else if (from.isF32() && isa<Float8E5M2Type>(to))
      expansion = f32ToF8E5M2;
    if (!expansion)
      return;
    Bits builder(op);
    op->getResult(0).replaceAllUsesWith(expansion(builder, x));
    op->erase();
  }
};

} // namespace
