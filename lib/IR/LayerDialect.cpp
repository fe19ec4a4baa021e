// Types, attributes and registration of the layer dialect.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

bool layer::isFloatTensor(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa<FloatType>(tensor.getElementType());
}

bool layer::isScaled(Type element) {
  const std::optional<DType> dtype = dtypeOf(element);
  return dtype && isEightBit(*dtype);
}

bool layer::isCache(Type type) { return isa<CacheType, BlockCacheType, AttentionCacheType>(type); }

std::optional<DType> layer::dtypeOf(Type element) {
  if (element.isF32())
    return DType::F32;
  if (element.isF16())
    return DType::F16;
  if (element.isBF16())
    return DType::BF16;
  if (element.isF64())
    return DType::F64;
  if (element.isInteger(32))
    return DType::I32;
  if (element.isInteger(64))
    return DType::I64;
  if (element.isInteger(8))
    return DType::I8;
  if (isa<Float8E4M3FNType>(element))
    return DType::F8E4M3FN;
  if (isa<Float8E5M2Type>(element))
    return DType::F8E5M2;
  return std::nullopt;
}

Type layer::typeOf(MLIRContext *context, DType dtype) {
  switch (dtype) {
  case DType::F32: return Float32Type::get(context);
  case DType::F16: return Float16Type::get(context);
  case DType::BF16: return BFloat16Type::get(context);
  case DType::F64: return Float64Type::get(context);
  case DType::I32: return IntegerType::get(context, 32);
  case DType::I64: return IntegerType::get(context, 64);
  case DType::I8: return IntegerType::get(context, 8);
  case DType::F8E4M3FN: return Float8E4M3FNType::get(context);
  case DType::F8E5M2: return Float8E5M2Type::get(context);
  }
  llvm_unreachable("every dtype has a type");
}

Type layer::withElement(Type tensor, Type element) {
  return cast<RankedTensorType>(tensor).clone(element);
}

void layer::nameResults(Operation *op, OpAsmSetValueNameFn set) {
  auto name = op->getAttrOfType<StringAttr>("name");
  if (!name || op->getNumResults() == 0)
    return;
  const StringRef leaf = name.getValue().rsplit('.').second;
  const StringRef shown = leaf.empty() ? name.getValue() : leaf;
  set(op->getResult(0), shown);
  if (isa<AttentionOp, CachedAttentionOp, SeedAttentionOp>(op)) // other packs print as %name:n
    for (Value result : op->getResults().drop_front())
      set(result, isa<CacheType>(result.getType()) ? "cache" : "weights");
}

//===-- Custom pieces of the cache types' text ----------------------------===//

static ParseResult parseCapacity(AsmParser &parser, int64_t &window) {
  if (succeeded(parser.parseOptionalKeyword("full"))) {
    window = 0;
    return success();
  }
  if (succeeded(parser.parseOptionalKeyword("cross"))) {
    window = -1;
    return success();
  }
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword("window") || parser.parseInteger(window))
    return failure();
  if (window < 1)
    return parser.emitError(loc, "window must be positive, got ") << window;
  return success();
}

static void printCapacity(AsmPrinter &printer, int64_t window) {
  if (window == 0)
    printer << "full";
  else if (window < 0)
    printer << "cross";
  else
    printer << "window " << window;
}

static ParseResult parseCacheElement(AsmParser &parser, Type &type) {
  if (succeeded(parser.parseOptionalKeyword("auto"))) {
    type = mlir::NoneType::get(parser.getContext());
    return success();
  }
  if (succeeded(parser.parseOptionalKeyword("int8"))) {
    type = IntegerType::get(parser.getContext(), 8);
    return success();
  }
  return parser.parseType(type);
}

static void printCacheElement(AsmPrinter &printer, Type type) {
  if (isa<mlir::NoneType>(type))
    printer << "auto";
  else if (type.isInteger(8))
    printer << "int8";
  else
    printer << type;
}

static ParseResult parseBlocks(AsmParser &parser, SmallVector<BlockCacheType> &blocks) {
  return parser.parseCommaSeparatedList([&]() -> ParseResult {
    int64_t count = 1;
    SMLoc loc = parser.getCurrentLocation();
    OptionalParseResult number = parser.parseOptionalInteger(count);
    if (number.has_value() && (failed(*number) || parser.parseKeyword("x")))
      return failure();
    if (count < 1 || count > 4096 || blocks.size() + count > 4096)
      return parser.emitError(loc, "block count must be between 1 and 4096");
    Type type;
    if (parser.parseCustomTypeWithFallback(type))
      return failure();
    auto block = dyn_cast<BlockCacheType>(type);
    if (!block)
      return parser.emitError(loc, "expected a block cache, got ") << type;
    blocks.append(count, block);
    return success();
  });
}

static void printBlocks(AsmPrinter &printer, ArrayRef<BlockCacheType> blocks) {
  for (size_t i = 0, next; i < blocks.size(); i = next) {
    for (next = i; next < blocks.size() && blocks[next] == blocks[i];)
      ++next;
    if (i)
      printer << ", ";
    if (next - i > 1)
      printer << (next - i) << " x ";
    printer << Type(blocks[i]);
  }
}

#include "graphc/IR/LayerDialect.cpp.inc"
#include "graphc/IR/LayerEnums.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "graphc/IR/LayerTypes.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "graphc/IR/LayerAttrs.cpp.inc"

//===-- Types --------------------------------------------------------------===//

LogicalResult AttentionCacheType::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t kvHeads,
                                         int64_t headDim, int64_t window, Type keys, Type values) {
  if (kvHeads < 1 || headDim < 1)
    return emitError() << "cache heads and head size must be positive, got " << kvHeads << " x " << headDim;
  for (Type element : {keys, values}) {
    const std::optional<DType> dtype = dtypeOf(element);
    if (!isa<mlir::NoneType>(element) && !(dtype && (isComputeType(*dtype) || isEightBit(*dtype))))
      return emitError() << "cache dtype must be f32, f16, bf16, int8, f8E4M3FN, f8E5M2 or auto, got " << element;
  }
  return success();
}

bool AttentionCacheType::isPinned() const {
  return !isa<mlir::NoneType>(getKeys()) && !isa<mlir::NoneType>(getValues());
}

AttentionCacheType AttentionCacheType::withElements(Type keys, Type values) const {
  return get(getContext(), getKvHeads(), getHeadDim(), getWindow(), keys, values);
}

AttentionCacheType CacheType::getSlot(int64_t index, bool cross) const {
  if (index < 0 || index >= int64_t(getBlocks().size()))
    return {};
  return cross ? getBlocks()[index].getCross() : getBlocks()[index].getSelf();
}

//===-- Attributes ----------------------------------------------------------===//

LogicalResult PolicyAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, Type params, Type compute,
                                 Type output) {
  for (Type type : {params, compute, output})
    if (type && !isa<FloatType>(type))
      return emitError() << "policy dtype must be a float type, got " << type;
  for (Type type : {compute, output})
    if (type && isScaled(type))
      return emitError() << "policy dtype " << type << " must be params': it only stores parameters";
  return success();
}

//===-- Dialect -------------------------------------------------------------===//

namespace {
/// Short names for the cache types: `!slot`, `!block`, `!cache`.
struct LayerAsmInterface : OpAsmDialectInterface {
  using OpAsmDialectInterface::OpAsmDialectInterface;
  AliasResult getAlias(Type type, raw_ostream &os) const override {
    if (isa<CacheType>(type))
      os << "cache";
    else if (isa<BlockCacheType>(type))
      os << "block";
    else if (isa<AttentionCacheType>(type))
      os << "slot";
    else
      return AliasResult::NoAlias;
    return isa<CacheType>(type) ? AliasResult::FinalAlias : AliasResult::OverridableAlias;
  }
};
} // namespace

void LayerDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "graphc/IR/LayerTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "graphc/IR/LayerAttrs.cpp.inc"
      >();
  registerOperations();
  addInterfaces<LayerAsmInterface>();
}
