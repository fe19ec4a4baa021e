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

SmallVector<CacheSide> CachedAttentionOp::getCacheSides() {
  SmallVector<CacheSide> sides = {{"keys", &getKeysMutable(), true}, {"values", &getValuesMutable(), true}};
  for (OpOperand &scales : getKeyScalesMutable())
    sides.push_back({"key_scales", &scales, true});
  for (OpOperand &scales : getValueScalesMutable())
    sides.push_back({"value_scales", &scales, true});
  return sides;
}

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

LogicalResult CachedAttentionOp::verify() {
  const std::optional<DType> compute = layer::dtypeOf(memrefOf(getQuery()).getElementType());
  for (auto [cache, rows, scales, side] : {std::tuple(getKeys(), getKey(), getKeyScales(), "keys"),
                                           std::tuple(getValues(), getValue(), getValueScales(), "values")}) {
    MemRefType type = memrefOf(cache), row = memrefOf(rows);
    if (type.getRank() != 4 || row.getRank() != 2 || type.isDynamicDim(1) || type.isDynamicDim(3) ||
        row.getShape()[1] != type.getShape()[1] * type.getShape()[3])
      return emitOpError("attention_k1: ") << side << " rows " << row << " do not fit the cache " << type;
    const std::optional<DType> dtype = layer::dtypeOf(type.getElementType()), stored = layer::dtypeOf(row.getElementType());
    if (layer::isScaled(type.getElementType())) {
      if (!stored || !compute || !isComputeType(*stored) || !holds(*compute, *stored))
        return emitOpError("attention_k2: ") << side << " rows must fit the query's type, since they are quantised, got "
                                             << row << " for " << getQuery().getType();
    } else if (row.getElementType() != type.getElementType()) {
      return emitOpError("attention_k2: ") << side << " rows must have the cache's type, got " << row << " for " << type;
    }
    if (!dtype || type.getMemorySpaceAsInt() != cacheSpace(*dtype))
      return emitOpError("attention_k3: ") << side << " must be in the memory space of their dtype, got " << type;
    auto expected = MemRefType::get(type.getShape().drop_back(), Float32Type::get(getContext()), MemRefLayoutAttrInterface{},
                                    IntegerAttr::get(IntegerType::get(getContext(), 64), kScaleSpace));
    if (layer::isScaled(type.getElementType()) ? !scales || scales.getType() != expected : bool(scales)) {
      auto diagnostic = emitOpError("attention_k5: ") << side << " of " << type << " must have ";
      if (layer::isScaled(type.getElementType()))
        return diagnostic << "scales " << expected;
      return diagnostic << "no scales";
    }
  }
  MemRefType keys = memrefOf(getKeys());
  const int64_t width = memrefOf(getQuery()).getShape().back(), kv = keys.getShape()[1] * keys.getShape()[3];
  if (width % kv || memrefOf(getOut()).getShape().back() != width)
    return emitOpError("attention_k1: query ") << getQuery().getType() << " does not fit the cache " << keys;
  if (getWeights()) {
    MemRefType weights = memrefOf(getWeights());
    const int64_t heads = width / keys.getShape()[3];
    if (weights.getRank() != 3 || weights.getShape()[1] != heads || !isa<FloatType>(weights.getElementType()))
      return emitOpError("attention_k4: weights must be floats (rows, ") << heads << ", capacity), got " << weights;
  }
  return success();
}
