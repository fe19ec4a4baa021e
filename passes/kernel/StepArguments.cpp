// What a step function is given: arguments with their bindings, made when a
// layer first asks for them, and the buffers and rows behind layer values.
#include "passes/kernel/StepBuilder.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

Value StepBuilder::argument(const Twine &key, MemRefType type, StringRef kind, StringRef name, Dims dims,
                            ArrayRef<NamedAttribute> more) {
  Value &value = arguments[key.str()];
  if (value)
    return value;
  SmallVector<NamedAttribute> entries(more);
  entries.push_back(builder.getNamedAttr("kind", builder.getStringAttr(kind)));
  entries.push_back(builder.getNamedAttr("name", builder.getStringAttr(name)));
  entries.push_back(builder.getNamedAttr("dims", builder.getArrayAttr(dims)));
  bindings.push_back(builder.getDictionaryAttr(entries));
  value = function.front().addArgument(type, graph.getLoc());
  return value;
}

Value StepBuilder::input(StringRef name, StringRef symbol) {
  auto type = MemRefType::get({ShapedType::kDynamic}, builder.getI32Type());
  return argument("input " + name, type, "input", name, {builder.getStringAttr(symbol)});
}

Value StepBuilder::parameter(Value value) {
  Parameter parameter = parameters.lookup(value);
  parameter.dropWidenings();
  auto type = cast<RankedTensorType>(parameter.declaration.getType());
  std::string key = ("parameter " + parameter.declaration.getSymName()).str();
  SmallVector<Attribute> transform;
  for (Type rounding : parameter.roundings) {
    StringRef name = info(*layer::dtypeOf(rounding)).name;
    key += (" " + name).str();
    transform.push_back(builder.getStringAttr(name));
  }
  Dims dims;
  for (int64_t dim : type.getShape())
    dims.push_back(builder.getI64IntegerAttr(dim));
  return argument(key, MemRefType::get(type.getShape(), parameter.element()), "parameter",
                  parameter.declaration.getSymName(), dims,
                  {builder.getNamedAttr("source", builder.getStringAttr(parameter.declaration.getTensorName())),
                   builder.getNamedAttr("stored", builder.getStringAttr(StringRef(info(*layer::dtypeOf(parameter.storedElement())).name))),
                   builder.getNamedAttr("transform", builder.getArrayAttr(transform))});
}

Value StepBuilder::ropeTable(layer::RopeAttr rope, StringRef part) {
  std::string key = "rope ";
  llvm::raw_string_ostream(key) << rope << part;
  auto type = MemRefType::get({ShapedType::kDynamic, rope.getDim() / 2}, builder.getF32Type());
  return argument(key, type, "rope", part, {builder.getStringAttr("capacity"), builder.getI64IntegerAttr(rope.getDim() / 2)},
                  {builder.getNamedAttr("rope", rope)});
}

static std::string lengthOf(layer::AttentionCacheType slot) {
  return slot.isRing() ? "window:" + std::to_string(slot.getWindow()) : slot.isCross() ? "source" : "capacity";
}

StepBuilder::SlotMemory StepBuilder::cacheMemory(layer::AttentionCacheType slot, int64_t block) {
  const std::string owner = slot.isCross() ? "cross_" : "";
  SlotMemory memory;
  memory.keys = cacheSide(slot, block, owner + "keys", slot.getKeys());
  memory.values = cacheSide(slot, block, owner + "values", slot.getValues());
  memory.keyScales = cacheScales(slot, block, owner + "key_scales", slot.getKeys());
  memory.valueScales = cacheScales(slot, block, owner + "value_scales", slot.getValues());
  return memory;
}

Value StepBuilder::cacheSide(layer::AttentionCacheType slot, int64_t block, const std::string &side, Type element) {
  auto type = MemRefType::get({ShapedType::kDynamic, slot.getKvHeads(), ShapedType::kDynamic, slot.getHeadDim()}, element,
                              MemRefLayoutAttrInterface{},
                              builder.getI64IntegerAttr(cacheSpace(*layer::dtypeOf(element))));
  return argument("cache " + Twine(block) + side, type, "cache", side,
                  {builder.getStringAttr("batch"), builder.getI64IntegerAttr(slot.getKvHeads()),
                   builder.getStringAttr(lengthOf(slot)), builder.getI64IntegerAttr(slot.getHeadDim())},
                  {builder.getNamedAttr("block", builder.getI64IntegerAttr(block))});
}

/// One f32 a row of 8-bit elements; null for other elements.
Value StepBuilder::cacheScales(layer::AttentionCacheType slot, int64_t block, const std::string &side, Type element) {
  if (!layer::isScaled(element))
    return {};
  auto type = MemRefType::get({ShapedType::kDynamic, slot.getKvHeads(), ShapedType::kDynamic}, builder.getF32Type(),
                              MemRefLayoutAttrInterface{}, builder.getI64IntegerAttr(kScaleSpace));
  return argument("cache " + Twine(block) + side, type, "cache", side,
                  {builder.getStringAttr("batch"), builder.getI64IntegerAttr(slot.getKvHeads()),
                   builder.getStringAttr(lengthOf(slot))},
                  {builder.getNamedAttr("block", builder.getI64IntegerAttr(block))});
}

/// Where the kernel of `value` writes: the output of that name, or a buffer.
Value StepBuilder::destination(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  StringRef symbol = domainOf(value);
  auto memref = MemRefType::get({ShapedType::kDynamic, widthOf(type)}, type.getElementType());
  Value &buffer = buffers[value];
  if (auto name = outputNames.find(value); name != outputNames.end())
    buffer = argument("output " + name->second, memref, "output", name->second,
                      {builder.getStringAttr(symbol), builder.getI64IntegerAttr(widthOf(type))});
  else
    buffer = BufferOp::create(body, value.getLoc(), memref, builder.getStringAttr(symbol));
  return buffer;
}

/// Where attention writes its weights, (tokens, heads, `symbol`); null if there
/// are none. They must be an output as they are and nothing else.
FailureOr<Value> StepBuilder::weightsDestination(layer::NamedLayer layer, Value weights, StringRef symbol) {
  if (!weights)
    return Value();
  auto name = outputNames.find(weights);
  if (name == outputNames.end() || !weights.hasOneUse())
    return layer.emitError("weights of layer '") << layer.getLayerName() << "' must be an output and nothing else";
  auto type = cast<RankedTensorType>(weights.getType());
  const int64_t heads = type.getShape()[1];
  return argument("output " + name->second,
                  MemRefType::get({ShapedType::kDynamic, heads, ShapedType::kDynamic}, type.getElementType()), "output",
                  name->second,
                  {builder.getStringAttr("tokens"), builder.getI64IntegerAttr(heads), builder.getStringAttr(symbol)});
}

//===-- Values ------------------------------------------------------------------===//

/// (batch, tokens, width) and (batch, heads, tokens, headDim) are rows of
/// `width` and of heads * headDim.
int64_t StepBuilder::widthOf(Type type) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  return shape.size() == 4 ? shape[1] * shape[3] : shape.back();
}

bool StepBuilder::isParameter(Value value) { return parameters.contains(value); }

/// The rows of `value` in the domain of `symbol`: gathered if it has all tokens.
Value StepBuilder::rows(Value value, StringRef symbol) {
  Value buffer = buffers.lookup(value);
  if (symbol == domainOf(value))
    return buffer;
  Value &result = gathered[value];
  if (!result) {
    auto type = MemRefType::get(cast<MemRefType>(buffer.getType()).getShape(), getElementTypeOrSelf(buffer.getType()));
    Value ids = input("row_ids", "rows");
    result = BufferOp::create(body, value.getLoc(), type, builder.getStringAttr("rows"));
    GatherRowsOp::create(body, value.getLoc(), buffer, ids, result, builder.getStrArrayAttr({"wanted_rows"}));
  }
  return result;
}

/// Marks `value` and the elementwise chain up to its matrix product as computed
/// for the wanted rows only; it must have no other use.
void StepBuilder::findRowsDomain(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse() || !layer::isFloatTensor(value.getType()))
    return;
  if (isa<layer::DenseOp>(op)) {
    rowsDomain.insert(value);
    return;
  }
  if (!isa<layer::CastOp>(op) && !op->hasTrait<layer::IsElementwise>())
    return;
  rowsDomain.insert(value);
  for (Value operand : op->getOperands())
    findRowsDomain(operand);
}
