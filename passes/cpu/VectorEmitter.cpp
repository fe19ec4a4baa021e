// The vector emitter's operations.
#include "passes/cpu/VectorEmitter.h"

#include "graphc/IR/Layer.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

#include <cmath>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

VectorEmitter::VectorEmitter(Operation *op, const Target &target) : b(op), loc(op->getLoc()), target(target) {}

//===-- Index arithmetic -----------------------------------------------------===//

static std::optional<int64_t> constantOf(Value value) {
  if (auto constant = value.getDefiningOp<arith::ConstantIndexOp>())
    return constant.value();
  return std::nullopt;
}

Value VectorEmitter::index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }

Value VectorEmitter::add(Value x, Value y) {
  if (auto p = constantOf(x), q = constantOf(y); p && q)
    return index(*p + *q);
  return arith::AddIOp::create(b, loc, x, y);
}

Value VectorEmitter::sub(Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }

Value VectorEmitter::mul(Value x, int64_t y) {
  if (auto p = constantOf(x))
    return index(*p * y);
  return y == 1 ? x : arith::MulIOp::create(b, loc, x, index(y));
}

Value VectorEmitter::mul(Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
Value VectorEmitter::div(Value x, Value y) { return arith::DivUIOp::create(b, loc, x, y); }
Value VectorEmitter::div(Value x, int64_t y) { return y == 1 ? x : arith::DivUIOp::create(b, loc, x, index(y)); }
Value VectorEmitter::rem(Value x, int64_t y) { return arith::RemUIOp::create(b, loc, x, index(y)); }
Value VectorEmitter::min(Value x, Value y) { return arith::MinSIOp::create(b, loc, x, y); }
Value VectorEmitter::dim(Value memref, int64_t dimension) { return memref::DimOp::create(b, loc, memref, dimension); }

Value VectorEmitter::loadIndex(Value memref, Value at) {
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), memref::LoadOp::create(b, loc, memref, at));
}

//===-- Loops ------------------------------------------------------------------===//

void VectorEmitter::loop(Value from, Value to, Value step, llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForOp::create(b, loc, from, to, step);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

SmallVector<Value> VectorEmitter::loop(Value from, Value to, Value step, ValueRange initial,
                                       llvm::function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, loc, from, to, step, initial);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  scf::YieldOp::create(b, loc, body(loop.getInductionVar(), loop.getRegionIterArgs()));
  return SmallVector<Value>(loop.getResults());
}

void VectorEmitter::when(Value condition, llvm::function_ref<void()> body) {
  auto guarded = scf::IfOp::create(b, loc, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(guarded.thenBlock());
  body();
}

//===-- Arithmetic --------------------------------------------------------------===//

Value VectorEmitter::constant(float value) { return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value)); }

Value VectorEmitter::splat(float value) {
  return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(f32Vector(), value));
}

Value VectorEmitter::broadcast(Value scalar) { return vector::BroadcastOp::create(b, loc, f32Vector(), scalar); }
Value VectorEmitter::addf(Value x, Value y) { return arith::AddFOp::create(b, loc, x, y); }
Value VectorEmitter::subf(Value x, Value y) { return arith::SubFOp::create(b, loc, x, y); }
Value VectorEmitter::mulf(Value x, Value y) { return arith::MulFOp::create(b, loc, x, y); }
Value VectorEmitter::divf(Value x, Value y) { return arith::DivFOp::create(b, loc, x, y); }
Value VectorEmitter::maxf(Value x, Value y) { return arith::MaxNumFOp::create(b, loc, x, y); }

Value VectorEmitter::fma(Value x, Value y, Value z) {
  if (target.fma)
    return math::FmaOp::create(b, loc, x, y, z);
  return addf(mulf(x, y), z);
}

Value VectorEmitter::floor(Value x) {
  return target.hasFloor() ? Value(math::FloorOp::create(b, loc, x)) : floorByTruncation(b, loc, x);
}

Value graphc::kernel::floorByTruncation(OpBuilder &b, Location loc, Value x) {
  auto vector = dyn_cast<VectorType>(x.getType());
  Type integers = vector ? Type(vector.clone(b.getI32Type())) : b.getI32Type();
  auto constant = [&](float value) -> Value {
    TypedAttr attribute = b.getF32FloatAttr(value);
    if (vector)
      attribute = DenseElementsAttr::get(vector, Attribute(attribute));
    return arith::ConstantOp::create(b, loc, attribute);
  };
  // Step down where truncation went up.
  Value whole = arith::SIToFPOp::create(b, loc, x.getType(), arith::FPToSIOp::create(b, loc, integers, x));
  Value above = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, whole, x);
  Value lower = arith::SubFOp::create(b, loc, whole, constant(1));
  Value down = arith::SelectOp::create(b, loc, above, lower, whole);
  // From 2^23 on every value is whole, and the conversion may overflow.
  Value small = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, math::AbsFOp::create(b, loc, x), constant(0x1p23f));
  return arith::SelectOp::create(b, loc, small, down, x);
}

Value VectorEmitter::widen(Value x) {
  auto type = cast<VectorType>(x.getType()), wide = type.clone(b.getF32Type());
  if (type.getElementType().isInteger())
    return arith::SIToFPOp::create(b, loc, wide, x);
  return type == wide ? x : arith::ExtFOp::create(b, loc, wide, x);
}

Value VectorEmitter::shuffle(Value x, Value y, ArrayRef<int64_t> order) {
  return vector::ShuffleOp::create(b, loc, x, y, order);
}

Value VectorEmitter::select(Value mask, Value yes, Value no) { return arith::SelectOp::create(b, loc, mask, yes, no); }

Value VectorEmitter::maskOf(int64_t count, int64_t lanes) {
  return vector::ConstantMaskOp::create(b, loc, VectorType::get({lanes}, b.getI1Type()), ArrayRef<int64_t>{count});
}

Value VectorEmitter::maskBelow(Value count, int64_t lanes) {
  return vector::CreateMaskOp::create(b, loc, VectorType::get({lanes}, b.getI1Type()), count);
}

Value VectorEmitter::dotBf16(Value acc, Value x, Value y) {
  return x86vector::DotBF16Op::create(b, loc, acc.getType(), acc, x, y);
}

Value VectorEmitter::narrowTwo(Value low, Value high) {
  return LLVM::CallIntrinsicOp::create(b, loc, VectorType::get({2 * lanes()}, b.getBF16Type()),
                                       b.getStringAttr("llvm.x86.avx512bf16.cvtne2ps2bf16.512"), ValueRange{high, low})
      .getResult(0);
}

Value VectorEmitter::roundThrough(Value x, Type type) {
  if (type.isF32())
    return x;
  Value narrow = arith::TruncFOp::create(b, loc, VectorType::get({lanes()}, type), x);
  return arith::ExtFOp::create(b, loc, x.getType(), narrow);
}

Value VectorEmitter::roundSignificand(Value x, Type type) {
  if (type.isF32())
    return x;
  const unsigned precision = cast<FloatType>(type).getFPMantissaWidth();
  Value large = splat(std::ldexp(1.5f, 24 - int(precision))); // as many places above 1 as `type` lacks
  return subf(addf(x, large), large);
}

Value VectorEmitter::exp2Fraction(Value f) {
  // Degree 6, fitted to 2^f on [0, 1) for least relative error; with f32
  // Horner steps the largest error seen over 2^22 points is 0.96 ulp.
  constexpr float c[] = {1.0f,          0x1.62e42ap-1f, 0x1.ebfd9ep-3f, 0x1.c685p-5f,
                         0x1.3d28p-7f,  0x1.461958p-10f, 0x1.c72118p-13f};
  Value y = splat(c[6]);
  for (int i = 5; i >= 0; --i)
    y = fma(y, f, splat(c[i]));
  return y;
}

Value VectorEmitter::powerOfTwo(Value e) {
  auto integers = VectorType::get({lanes()}, b.getI32Type());
  auto whole = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(integers, value));
  };
  Value bounded = arith::FPToSIOp::create(b, loc, integers, maxf(e, splat(-127)));
  Value bits = arith::ShLIOp::create(b, loc, arith::AddIOp::create(b, loc, bounded, whole(127)), whole(23));
  return vector::BitCastOp::create(b, loc, f32Vector(), bits);
}

Value VectorEmitter::timesPowerOfTwo(Value x, Value e) {
  if (target.vectorBits < 512)
    return mulf(x, powerOfTwo(e));
  // vscalefps; x86vector.avx512.mask.scalef hands its operands on in another order than the intrinsic's.
  Value all = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1));
  Value byMxcsr = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(4));
  return LLVM::CallIntrinsicOp::create(b, loc, x.getType(), b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
                                       ValueRange{x, e, x, all, byMxcsr})
      .getResult(0);
}

/// Adds elements two apart within each four, then neighbours, then halves.
static Value sumsOfFour(VectorEmitter &e, ArrayRef<Value> x) {
  const int64_t lanes = e.lanes();
  SmallVector<int64_t> low, high, even, odd;
  for (int64_t i = 0; i < lanes; i += 4) {
    low.append({i, lanes + i, i + 1, lanes + i + 1});
    high.append({i + 2, lanes + i + 2, i + 3, lanes + i + 3});
    even.append({i, i + 1, lanes + i, lanes + i + 1});
    odd.append({i + 2, i + 3, lanes + i + 2, lanes + i + 3});
  }
  Value left = e.addf(e.shuffle(x[0], x[1], low), e.shuffle(x[0], x[1], high));
  Value right = e.addf(e.shuffle(x[2], x[3], low), e.shuffle(x[2], x[3], high));
  Value sums = e.addf(e.shuffle(left, right, even), e.shuffle(left, right, odd));
  for (int64_t size = lanes / 2; size >= 4; size /= 2) {
    auto half = [&](int64_t from) {
      return e.shuffle(sums, sums, llvm::to_vector(llvm::seq<int64_t>(from, from + size)));
    };
    sums = e.addf(half(0), half(size));
  }
  return sums;
}

Value VectorEmitter::horizontalSums(ArrayRef<Value> sums) {
  assert(sums.size() % 4 == 0 && "horizontal sums are taken by fours");
  Value all;
  for (size_t i = 0; i < sums.size(); i += 4) {
    Value four = sumsOfFour(*this, sums.slice(i, 4));
    all = i == 0 ? four : shuffle(all, four, llvm::to_vector(llvm::seq<int64_t>(0, i + 4)));
  }
  return all;
}

/// Halves are added until one lane is left: the order of the sum is the same on
/// every target of one width, and no fast-math flag is needed.
Value VectorEmitter::reduceAdd(Value x) {
  for (int64_t width = lanes() / 2; width >= 1; width /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < width; ++i)
      low.push_back(i), high.push_back(i + width);
    x = addf(vector::ShuffleOp::create(b, loc, x, x, low), vector::ShuffleOp::create(b, loc, x, x, high));
  }
  return extract(x);
}

Value VectorEmitter::reduceMax(Value x) {
  return vector::ReductionOp::create(b, loc, vector::CombiningKind::MAXNUMF, x);
}

Value VectorEmitter::extract(Value x) { return vector::ExtractOp::create(b, loc, x, int64_t(0)); }

//===-- Memory --------------------------------------------------------------------===//

Value VectorEmitter::loadScalar(Value memref, ValueRange at) { return memref::LoadOp::create(b, loc, memref, at); }

void VectorEmitter::storeScalar(Value value, Value memref, ValueRange at) {
  memref::StoreOp::create(b, loc, value, memref, at);
}

Value VectorEmitter::scratch(ArrayRef<int64_t> shape, Type element) {
  OpBuilder::InsertionGuard guard(b);
  Operation *parent = b.getInsertionBlock()->getParentOp();
  auto function = isa<func::FuncOp>(parent) ? cast<func::FuncOp>(parent) : parent->getParentOfType<func::FuncOp>();
  b.setInsertionPointToStart(&function.front());
  return memref::AllocaOp::create(b, loc, MemRefType::get(shape, element ? element : b.getF32Type()), b.getI64IntegerAttr(64));
}

Value VectorEmitter::load(Value memref, ValueRange at, int64_t width) {
  auto type = VectorType::get({width}, getElementTypeOrSelf(memref.getType()));
  return vector::LoadOp::create(b, loc, type, memref, at);
}

void VectorEmitter::store(Value value, Value memref, ValueRange at) {
  vector::StoreOp::create(b, loc, value, memref, at);
}

Value VectorEmitter::loadRaw(Value memref, ValueRange at, int64_t width, int64_t size) {
  if (size == width)
    return load(memref, at, width);
  Type element = getElementTypeOrSelf(memref.getType());
  auto type = VectorType::get({size}, element);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, loc, type, memref, at, maskOf(width, size), zero);
}

void VectorEmitter::storeRaw(Value value, Value memref, ValueRange at, int64_t width) {
  const int64_t size = cast<VectorType>(value.getType()).getDimSize(0);
  if (size == width)
    store(value, memref, at);
  else
    vector::MaskedStoreOp::create(b, loc, memref, at, maskOf(width, size), value);
}

Value VectorEmitter::loadWide(Value memref, ValueRange at, int64_t width) {
  return widen(loadRaw(memref, at, width, lanes()));
}

Value VectorEmitter::loadWideAs(Value memref, ValueRange at, int64_t width, Type type) {
  Value wide = loadWide(memref, at, width);
  if (holds(*layer::dtypeOf(type), *layer::dtypeOf(getElementTypeOrSelf(memref.getType()))))
    return wide;
  return roundThrough(wide, type);
}

Value VectorEmitter::narrowTo(Value value, Value memref) {
  Type element = getElementTypeOrSelf(memref.getType());
  return element.isF32() ? value : arith::TruncFOp::create(b, loc, VectorType::get({lanes()}, element), value);
}

void VectorEmitter::storeNarrow(Value value, Value memref, ValueRange at, int64_t width) {
  storeRaw(narrowTo(value, memref), memref, at, width);
}

void VectorEmitter::storeNarrowBelow(Value value, Value memref, ValueRange at, Value count) {
  vector::MaskedStoreOp::create(b, loc, memref, at, maskBelow(count, lanes()), narrowTo(value, memref));
}

void VectorEmitter::prefetch(Value memref, ValueRange at) {
  memref::PrefetchOp::create(b, loc, memref, at, /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

void VectorEmitter::prefetchEpilogue(EpilogueKernel kernel, Value row, Value column, int64_t width) {
  auto fetch = [&](Value memref, bool isWrite) {
    auto type = cast<MemRefType>(memref.getType());
    for (int64_t at = 0; type.getRank() == 2 && at < width; at += 64 * 8 / type.getElementTypeBitWidth())
      memref::PrefetchOp::create(b, loc, memref, ValueRange{row, add(column, at)}, isWrite, /*localityHint=*/3, /*isDataCache=*/true);
  };
  for (Value memref : kernel.getFused())
    fetch(memref, /*isWrite=*/false);
  for (Value memref : kernel.getOuts())
    fetch(memref, /*isWrite=*/true);
}
