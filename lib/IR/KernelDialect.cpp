// Registration and verifiers of the kernel dialect.
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

#include "graphc/IR/KernelDialect.cpp.inc"
#include "graphc/IR/KernelEnums.cpp.inc"
#include "graphc/IR/KernelInterfaces.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "graphc/IR/KernelAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "graphc/IR/KernelOps.cpp.inc"

void KernelDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "graphc/IR/KernelAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "graphc/IR/KernelOps.cpp.inc"
      >();
}

static MemRefType memrefOf(Value value) { return cast<MemRefType>(value.getType()); }

std::optional<DType> kernel::cacheDTypeOf(Type type) {
  auto memref = dyn_cast<BaseMemRefType>(type);
  auto space = memref ? dyn_cast_or_null<IntegerAttr>(memref.getMemorySpace()) : IntegerAttr();
  return space ? cacheDType(space.getInt()) : std::nullopt;
}

/// Sides of the slot that `op` works on, by the names of their bindings.
template <typename Op>
static SmallVector<CacheSide> sidesOf(Op op, bool isCross, bool updated) {
  SmallVector<CacheSide> sides = {{isCross ? "cross_keys" : "keys", &op.getKeysMutable(), updated},
                                  {isCross ? "cross_values" : "values", &op.getValuesMutable(), updated}};
  for (OpOperand &scales : op.getKeyScalesMutable())
    sides.push_back({isCross ? "cross_key_scales" : "key_scales", &scales, updated});
  for (OpOperand &scales : op.getValueScalesMutable())
    sides.push_back({isCross ? "cross_value_scales" : "value_scales", &scales, updated});
  return sides;
}

SmallVector<CacheSide> CachedAttentionOp::getCacheSides() {
  return sidesOf(*this, /*isCross=*/!getKey(), /*updated=*/bool(getKey()));
}

SmallVector<CacheSide> CacheStoreOp::getCacheSides() { return sidesOf(*this, /*isCross=*/true, /*updated=*/true); }

LogicalResult kernel::verifyEpilogue(Operation *op) {
  auto kernel = cast<EpilogueKernel>(op);
  Block &body = kernel.getEpilogue().front();
  if (body.getNumArguments() != 1 + kernel.getFused().size() || !body.getArgument(0).getType().isF32())
    return op->emitOpError("epilogue must take the interior f32 value and one value for each fused operand");
  for (auto [argument, fused] : llvm::zip(body.getArguments().drop_front(), kernel.getFused()))
    if (argument.getType() != memrefOf(fused).getElementType() || memrefOf(fused).getRank() > 2)
      return op->emitOpError("epilogue argument must be an element of ") << fused.getType() << ", got "
                                                                         << argument.getType();
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || yield.getValues().size() != kernel.getOuts().size() || kernel.getOuts().empty())
    return op->emitOpError("epilogue must yield one value for each destination");
  for (auto [value, out] : llvm::zip(yield.getValues(), kernel.getOuts()))
    if (memrefOf(out).getRank() != 2 || memrefOf(out).getElementType() != value.getType())
      return op->emitOpError("epilogue yields ") << value.getType() << " for destination " << out.getType();
  return success();
}

LogicalResult MatmulOp::verify() {
  ArrayRef<int64_t> x = memrefOf(getX()).getShape(), w = memrefOf(getKernel()).getShape();
  if (x.size() != 2 || w.size() != 2 || x[1] != w[getInputMajor() ? 0 : 1])
    return emitOpError("matmul_c1: inner dimensions must agree, got ")
           << getX().getType() << " and " << getKernel().getType();
  for (Value out : getOuts())
    if (memrefOf(out).getShape().back() != w[getInputMajor() ? 1 : 0])
      return emitOpError("matmul_c2: destination must have ")
             << w[getInputMajor() ? 1 : 0] << " columns, got " << out.getType();
  return success();
}

/// Cache memory and the new rows for it, which may be absent: attention_k1 to k3
/// and k5. `compute` is the type that rows of 8-bit memory must fit.
template <typename Op>
static LogicalResult verifyCache(Op op, Type compute) {
  for (auto [cache, rows, scales, side] : {std::tuple(op.getKeys(), op.getKey(), op.getKeyScales(), "keys"),
                                           std::tuple(op.getValues(), op.getValue(), op.getValueScales(), "values")}) {
    MemRefType type = memrefOf(cache);
    const bool scaled = layer::isScaled(type.getElementType());
    if (type.getRank() != 4 || type.isDynamicDim(1) || type.isDynamicDim(3))
      return op.emitOpError("attention_k1: ") << side << " must be (batch, kvHeads, rows, headDim), got " << type;
    const std::optional<DType> dtype = layer::dtypeOf(type.getElementType());
    if (rows) {
      MemRefType row = memrefOf(rows);
      const std::optional<DType> stored = layer::dtypeOf(row.getElementType()), fits = layer::dtypeOf(compute);
      if (row.getRank() != 2 || row.getShape()[1] != type.getShape()[1] * type.getShape()[3])
        return op.emitOpError("attention_k1: ") << side << " rows " << row << " do not fit the cache " << type;
      if (scaled && (!stored || !fits || !isComputeType(*stored) || !holds(*fits, *stored)))
        return op.emitOpError("attention_k2: ") << side << " rows must fit the query's type, since they are quantised, got "
                                                << row << " for " << compute;
      if (!scaled && row.getElementType() != type.getElementType())
        return op.emitOpError("attention_k2: ") << side << " rows must have the cache's type, got " << row << " for " << type;
    }
    if (!dtype || type.getMemorySpaceAsInt() != cacheSpace(*dtype))
      return op.emitOpError("attention_k3: ") << side << " must be in the memory space of their dtype, got " << type;
    auto expected = MemRefType::get(type.getShape().drop_back(), Float32Type::get(op.getContext()),
                                    MemRefLayoutAttrInterface{},
                                    IntegerAttr::get(IntegerType::get(op.getContext(), 64), kScaleSpace));
    if (scaled ? !scales || scales.getType() != expected : bool(scales)) {
      auto diagnostic = op.emitOpError("attention_k5: ") << side << " of " << type << " must have ";
      if (scaled)
        return diagnostic << "scales " << expected;
      return diagnostic << "no scales";
    }
  }
  return success();
}

template <typename Op>
static LogicalResult verifyBias(Op op, int64_t heads) {
  if (!op.getBias())
    return success();
  MemRefType bias = memrefOf(op.getBias());
  if (bias.getRank() != 2 || bias.isDynamicDim(0) || bias.getShape()[1] != heads || !op.getMaxDistance())
    return op.emitOpError("attention_k7: bias must be (buckets, ") << heads << ") with a max_distance, got " << bias;
  return success();
}

template <typename Op>
static LogicalResult verifyWeights(Op op, int64_t heads) {
  if (!op.getWeights())
    return success();
  MemRefType weights = memrefOf(op.getWeights());
  if (weights.getRank() != 3 || weights.getShape()[1] != heads || !isa<FloatType>(weights.getElementType()))
    return op.emitOpError("attention_k4: weights must be floats (rows, ") << heads << ", keys), got " << weights;
  return success();
}

/// Partial sums of (batch, heads * segments) rows, or none.
static LogicalResult verifyScratch(CachedAttentionOp op, int64_t kvHeads, int64_t heads, int64_t headDim) {
  auto scratch = op.getScratch();
  if (scratch.empty())
    return success();
  const int64_t rows = heads * segmentsOf(kvHeads), widths[] = {rows * sumsWidth(headDim), rows, rows};
  for (size_t i = 0; i < 3; ++i) {
    auto expected = MemRefType::get({ShapedType::kDynamic, widths[i]}, Float32Type::get(op.getContext()));
    if (scratch.size() != 3 || scratch[i].getType() != expected)
      return op.emitOpError("attention_k9: scratch must be sums, maxima and totals, #") << i << " " << expected << ", got " << scratch.getTypes();
  }
  return success();
}

LogicalResult CachedAttentionOp::verify() {
  if (bool(getKey()) != bool(getValue()) || (!getKey() && getCausal()))
    return emitOpError("attention_k6: key and value must come together, and be there for causal");
  if (failed(verifyCache(*this, memrefOf(getQuery()).getElementType())))
    return failure();
  MemRefType keys = memrefOf(getKeys());
  const int64_t width = memrefOf(getQuery()).getShape().back(), kv = keys.getShape()[1] * keys.getShape()[3];
  if (width % kv || memrefOf(getOut()).getShape().back() != width)
    return emitOpError("attention_k1: query ") << getQuery().getType() << " does not fit the cache " << keys;
  const int64_t headDim = keys.getShape()[3], heads = width / headDim;
  if (failed(verifyWeights(*this, heads)) || failed(verifyBias(*this, heads)))
    return failure();
  return verifyScratch(*this, keys.getShape()[1], heads, headDim);
}

LogicalResult kernel::AttentionOp::verify() {
  const int64_t width = memrefOf(getQuery()).getShape().back(), kv = memrefOf(getKey()).getShape().back();
  const int64_t headDim = int64_t(getHeadDim());
  if (headDim < 1 || kv % headDim || width % kv || memrefOf(getValue()).getShape().back() != kv ||
      memrefOf(getOut()).getShape().back() != width)
    return emitOpError("attention_k8: query ") << getQuery().getType() << ", key " << getKey().getType() << ", value "
                                               << getValue().getType() << " do not fit heads of " << headDim;
  return failed(verifyWeights(*this, width / headDim)) ? failure() : verifyBias(*this, width / headDim);
}

LogicalResult CacheStoreOp::verify() { return verifyCache(*this, memrefOf(getKey()).getElementType()); }
