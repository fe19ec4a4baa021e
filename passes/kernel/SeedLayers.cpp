// The values of a cache are carried: the step reads `before` and writes `after`,
// and the session makes the one the other between steps.
#include "IR/LayerNames.h"
#include "passes/kernel/StepBuilder.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

static RankedTensorType tensorOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The operand that `result` is, rounded; none for layers that compute.
static Value movedBy(OpResult result) {
  Operation *op = result.getOwner();
  const unsigned index = result.getResultNumber();
  if (auto get = dyn_cast<layer::SeedGetOp>(op))
    return get.getXs()[get.getFirst() + index];
  if (auto put = dyn_cast<layer::SeedPutOp>(op)) {
    const uint64_t leaves = put.getYs().size(), first = put.getFirst();
    const bool replaced = index >= first && index - first < put.getXs().size() - leaves;
    return put.getXs()[replaced ? leaves + index - first : index];
  }
  if (auto advance = dyn_cast<layer::SeedAdvanceOp>(op))
    return index < advance.getYs().size() ? advance.getXs()[index] : Value();
  if (auto offset = dyn_cast<layer::SeedOffsetOp>(op))
    return offset.getOffset();
  return {};
}

/// The value whose memory `value` is, if only views lie between.
static Value origin(Value value) {
  while (auto result = dyn_cast<OpResult>(value)) {
    Value from = movedBy(result);
    if (!from || tensorOf(from).getElementType() != tensorOf(value).getElementType())
      break;
    value = from;
  }
  return value;
}

bool SeedLayers::isCache(Type type) {
  auto container = dyn_cast<layer::ContainerType>(type);
  return container && llvm::any_of(container.getTypes(), [](Type leaf) {
           auto tensor = dyn_cast<RankedTensorType>(leaf);
           return tensor && tensor.getRank() == 0; // the offset
         });
}

void SeedLayers::findReturned(layer::ContainerOp cache) {
  for (auto [index, value] : llvm::enumerate(cache.getXs())) {
    Value from = origin(value);
    // A cache is f32 at rest; what comes back in another type is cast once more.
    const bool fits = !isa<FloatType>(tensorOf(from).getElementType()) || tensorOf(from).getElementType().isF32();
    if (fits && !from.getDefiningOp<layer::UnpackOp>())
      returned.try_emplace(from, index);
  }
}

bool SeedLayers::handles(Operation &op) {
  if (auto cast = dyn_cast<layer::CastOp>(op))
    return leaves.contains(cast.getX());
  if (auto container = dyn_cast<layer::ContainerOp>(op))
    return isCache(container.getType());
  return isa<layer::UnpackOp, layer::RepeatHeadsOp, layer::SeedGetOp, layer::SeedPutOp, layer::SeedOffsetOp,
             layer::SeedAdvanceOp, layer::SeedUpdateOp, layer::SeedMergeMaskOp, layer::SeedLengthsOp,
             layer::SeedKeyPositionsOp, layer::SeedAttentionOp>(op);
}

void SeedLayers::trace(Operation *kernel, Value value) {
  kernel->setAttr(kValuesAttr, step.body.getStrArrayAttr({layer::valueName(value)}));
}

/// Memory of a value of the cache: leaves (batch * maxLen, heads * headDim), the
/// mask (batch * maxLen), the offset (1).
static MemRefType memoryType(RankedTensorType tensor) {
  if (tensor.getRank() == 4)
    return MemRefType::get({ShapedType::kDynamic, tensor.getDimSize(2) * tensor.getDimSize(3)}, tensor.getElementType());
  return MemRefType::get({tensor.getRank() == 0 ? 1 : ShapedType::kDynamic}, tensor.getElementType());
}

Value SeedLayers::carried(StringRef when, unsigned index, Type tensor) {
  OpBuilder &builder = step.body;
  MemRefType type = memoryType(cast<RankedTensorType>(tensor));
  SmallVector<Attribute> dims;
  for (int64_t dim : type.getShape())
    dims.push_back(ShapedType::isDynamic(dim) ? Attribute(builder.getStringAttr("cache_rows")) : builder.getI64IntegerAttr(dim));
  return step.argument("carry " + Twine(index) + when, type, "carry", when, dims,
                       {builder.getNamedAttr("carry", builder.getI64IntegerAttr(index))});
}

/// Where a value of the cache goes: back to the session, or to a buffer.
Value SeedLayers::destination(Value value) {
  auto found = returned.find(value);
  Value memory = found != returned.end()
                     ? carried("after", found->second, value.getType())
                     : Value(BufferOp::create(step.body, value.getLoc(), memoryType(tensorOf(value)),
                                              step.body.getStringAttr("cache_rows")));
  step.buffers[value] = memory;
  return memory;
}

void SeedLayers::move(Operation &op, Value from, Value value) {
  Value source = step.buffers.lookup(from), out = destination(value);
  auto kernel = SeedMoveOp::create(step.body, op.getLoc(), source, out, step.layersOf(&op));
  trace(kernel, value);
}

/// A leaf that `op` carries: a view, unless it is cast.
void SeedLayers::carry(Operation &op, Value from, OpResult result) {
  leaves.insert(result);
  if (tensorOf(from).getElementType() == tensorOf(result).getElementType())
    step.buffers[result] = step.buffers.lookup(from);
  else
    move(op, from, result);
}

LogicalResult SeedLayers::giveBack(layer::ContainerOp cache) {
  for (auto [index, value] : llvm::enumerate(cache.getXs())) {
    const bool isLeaf = tensorOf(value).getRank() == 4;
    Type atRest = isLeaf ? Type(tensorOf(value).clone(step.body.getF32Type())) : value.getType();
    Value source = step.buffers.lookup(value), after = carried("after", index, atRest);
    if (source == after)
      continue;
    if (!isLeaf)
      return cache.emitOpError("must hold what the step made of its offset and mask: seed mode needs a graph that "
                               "appends to its cache");
    SeedMoveOp::create(step.body, cache.getLoc(), source, after, step.layersOf(cache));
  }
  return success();
}

void SeedLayers::lowerRepeat(layer::RepeatHeadsOp op) {
  const int64_t headDim = tensorOf(op.getX()).getDimSize(3);
  auto kernel = RepeatHeadsOp::create(step.body, op.getLoc(), step.buffers.lookup(op.getX()), step.destination(op.getY()),
                                      op.getTimes(), headDim, step.layersOf(op));
  trace(kernel, op.getY());
}

LogicalResult SeedLayers::lowerAttention(layer::SeedAttentionOp op) {
  if (op.getWeights())
    return op.emitOpError("'") << op.getLayerName() << "' has no kernel that returns attentions in seed mode; leave "
                               << "them out of --outputs, or compile with --cache-mode=pinned";
  auto kernel = SeedAttentionOp::create(step.body, op.getLoc(), step.buffers.lookup(op.getQuery()), step.buffers.lookup(op.getKeys()),
                                        step.buffers.lookup(op.getValues()), step.input("positions", "tokens"),
                                        step.buffers.lookup(op.getKeyPositions()), step.input("starts", "batch+1"),
                                        step.destination(op.getY()), step.body.getI64IntegerAttr(tensorOf(op.getQuery()).getDimSize(3)),
                                        op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(), step.layersOf(op));
  trace(kernel, op.getY());
  return success();
}

LogicalResult SeedLayers::lower(Operation &op) {
  OpBuilder &builder = step.body;
  const Location loc = op.getLoc();
  auto starts = [&] { return step.input("starts", "batch+1"); };
  auto positions = [&] { return step.input("positions", "tokens"); };
  if (auto unpack = dyn_cast<layer::UnpackOp>(op)) {
    for (auto [index, value] : llvm::enumerate(unpack.getYs())) {
      step.buffers[value] = carried("before", index, value.getType());
      if (layer::isFloatTensor(value.getType()))
        leaves.insert(value);
    }
  } else if (auto cast = dyn_cast<layer::CastOp>(op)) {
    leaves.insert(cast.getY());
    move(op, cast.getX(), cast.getY());
  } else if (auto container = dyn_cast<layer::ContainerOp>(op)) {
    return giveBack(container);
  } else if (auto repeat = dyn_cast<layer::RepeatHeadsOp>(op)) {
    lowerRepeat(repeat);
  } else if (auto update = dyn_cast<layer::SeedUpdateOp>(op)) {
    leaves.insert(update.getY());
    auto kernel = SeedUpdateOp::create(builder, loc, step.buffers.lookup(update.getX()), step.buffers.lookup(update.getRows()),
                                       step.buffers.lookup(update.getOffset()), starts(), destination(update.getY()),
                                       step.layersOf(&op));
    trace(kernel, update.getY());
  } else if (auto merge = dyn_cast<layer::SeedMergeMaskOp>(op)) {
    SeedMergeMaskOp::create(builder, loc, step.buffers.lookup(merge.getMask()), positions(), step.buffers.lookup(merge.getOffset()),
                            starts(), destination(merge.getY()), step.layersOf(&op));
  } else if (auto keys = dyn_cast<layer::SeedKeyPositionsOp>(op)) {
    SeedKeyPositionsOp::create(builder, loc, step.buffers.lookup(keys.getMask()), starts(), destination(keys.getY()),
                               step.layersOf(&op));
  } else if (auto attention = dyn_cast<layer::SeedAttentionOp>(op)) {
    return lowerAttention(attention);
  } else {
    // seed_lengths is what the session knows as lengths; the rest carries leaves.
    for (OpResult result : op.getResults())
      if (Value from = movedBy(result))
        carry(op, from, result);
    if (auto advance = dyn_cast<layer::SeedAdvanceOp>(op))
      SeedAdvanceOp::create(builder, loc, step.buffers.lookup(advance.getOffset()), starts(),
                            destination(advance.getUpdated()), step.layersOf(&op));
  }
  return success();
}
