#include "Import/GraphBuilder.h"

#include "Support/Message.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;
using namespace graphc::layer;

static constexpr int64_t kDynamic = ShapedType::kDynamic;

static int64_t lastDim(Value x) { return cast<RankedTensorType>(x.getType()).getShape().back(); }
static int64_t dim(Value x, unsigned i) { return cast<RankedTensorType>(x.getType()).getDimSize(i); }

GraphBuilder::GraphBuilder(ModuleOp module, Location source, const Checkpoint *checkpoint, DType missingDType,
                           std::string prefix)
    : builder(module.getContext()), declarations(module.getContext()), loc(UnknownLoc::get(module.getContext())),
      source(source), checkpoint(checkpoint), missingDType(missingDType), tensorPrefix(std::move(prefix)) {
  declarations.setInsertionPointToEnd(module.getBody());
}

RankedTensorType GraphBuilder::activationType(ArrayRef<int64_t> shape) {
  return RankedTensorType::get(shape, builder.getF32Type());
}

StringAttr GraphBuilder::layer(const Twine &name) {
  StringAttr path = builder.getStringAttr(name);
  loc = NameLoc::get(path);
  return path;
}

//===-- Parameters ------------------------------------------------------------===//

DType GraphBuilder::storedDType(const std::string &tensor, ArrayRef<int64_t> shape) {
  if (!checkpoint)
    return missingDType;
  auto report = [&](const std::string &found) {
    failed = true;
    emitError(source) << "tensor '" << tensor << "' must be F32, F16, BF16, F8_E4M3 or F8_E5M2 of shape (" << join(shape) << "), got "
                      << found;
    return missingDType;
  };
  const TensorInfo *info = checkpoint->find(tensor);
  if (!info)
    return report("nothing");
  const bool usable = info->dtype && isFloat(*info->dtype) && info->dtype != DType::F64;
  if (!usable || !hasShape(info->shape, shape))
    return report(concat(info->dtypeName, " of shape (", join(info->shape), ") in ", info->file));
  return *info->dtype;
}

Value GraphBuilder::parameter(const Twine &symbol, const Twine &tensor, ArrayRef<int64_t> shape) {
  const std::string name = symbol.str(), stored = tensor.str();
  ParameterOp &declaration = declared[stored];
  if (!declaration) {
    const DType dtype = storedDType(stored, shape);
    bound.insert(stored);
    auto type = RankedTensorType::get(shape, typeOf(builder.getContext(), dtype));
    declaration = ParameterOp::create(declarations, loc, declarations.getStringAttr(name), TypeAttr::get(type),
                                      declarations.getStringAttr(stored));
  }
  return parameters[name] = ParamOp::create(builder, loc, declaration.getType(), declaration.getSymName(),
                                            /*storage=*/TypeAttr());
}

bool GraphBuilder::hasTensor(const Twine &tensor, bool otherwise) const {
  return checkpoint ? checkpoint->find(tensor.str()) != nullptr : otherwise;
}

//===-- Layers ----------------------------------------------------------------===//

Value GraphBuilder::embedding(const Twine &name, Value indices, const Twine &tensor, int64_t rows, int64_t columns,
                              int64_t offset) {
  StringAttr path = layer(name);
  Value kernel = parameter(path.getValue() + ".kernel", tensor + ".weight", {rows, columns});
  return EmbeddingOp::create(builder, loc, activationType({kDynamic, kDynamic, columns}), path, PolicyAttr(), indices,
                             kernel, builder.getI64IntegerAttr(offset));
}

Value GraphBuilder::dense(const Twine &name, Value x, const Twine &tensor, int64_t outputs, bool bias,
                          bool inputMajor) {
  StringAttr path = layer(name);
  SmallVector<int64_t, 2> shape{outputs, lastDim(x)};
  if (inputMajor)
    std::swap(shape[0], shape[1]);
  Value kernel = parameter(path.getValue() + ".kernel", tensor + ".weight", shape);
  Value added = bias ? parameter(path.getValue() + ".bias", tensor + ".bias", {outputs}) : Value();
  return DenseOp::create(builder, loc, activationType({kDynamic, kDynamic, outputs}), path.getValue(), PolicyAttr(), x,
                         kernel, added, inputMajor);
}

Value GraphBuilder::denseWithBias(const Twine &name, Value x, const Twine &kernelTensor, const Twine &biasTensor,
                                  int64_t outputs) {
  StringAttr path = layer(name);
  Value kernel = parameter(path.getValue() + ".kernel", kernelTensor + ".weight", {outputs, lastDim(x)});
  Value added = parameter(path.getValue() + ".bias", biasTensor, {outputs});
  return DenseOp::create(builder, loc, activationType({kDynamic, kDynamic, outputs}), path.getValue(), PolicyAttr(), x,
                         kernel, added);
}

Value GraphBuilder::tiedDense(const Twine &name, Value x, StringRef embedding) {
  StringAttr path = layer(name);
  Value kernel = parameters.lookup((embedding + ".kernel").str());
  return DenseOp::create(builder, loc, activationType({kDynamic, kDynamic, dim(kernel, 0)}), path.getValue(),
                         PolicyAttr(), x, kernel, /*bias=*/Value());
}

Value GraphBuilder::rmsNorm(const Twine &name, Value x, const Twine &tensor, double epsilon) {
  StringAttr path = layer(name);
  Value scale = parameter(path.getValue() + ".scale", tensor + ".weight", {lastDim(x)});
  return RmsNormOp::create(builder, loc, x.getType(), path, PolicyAttr(), x, scale, builder.getF64FloatAttr(epsilon),
                           /*shift=*/builder.getF64FloatAttr(0));
}

Value GraphBuilder::layerNorm(const Twine &name, Value x, const Twine &tensor, double epsilon) {
  StringAttr path = layer(name);
  Value scale = parameter(path.getValue() + ".scale", tensor + ".weight", {lastDim(x)});
  Value bias = parameter(path.getValue() + ".bias", tensor + ".bias", {lastDim(x)});
  return LayerNormOp::create(builder, loc, x.getType(), path, PolicyAttr(), x, scale, bias,
                             builder.getF64FloatAttr(epsilon));
}

Value GraphBuilder::activation(const Twine &name, Activation kind, Value x) {
  StringAttr path = layer(name);
  switch (kind) {
  case Activation::Silu:
    return SiluOp::create(builder, loc, x.getType(), path, PolicyAttr(), x);
  case Activation::Gelu:
    return GeluOp::create(builder, loc, x.getType(), path, PolicyAttr(), x);
  case Activation::GeluTanh:
    return GeluTanhOp::create(builder, loc, x.getType(), path, PolicyAttr(), x);
  case Activation::Relu:
    return ReluOp::create(builder, loc, x.getType(), path, PolicyAttr(), x);
  }
  llvm_unreachable("all activations are above");
}

Value GraphBuilder::add(const Twine &name, Value a, Value b) {
  StringAttr path = layer(name);
  return AddOp::create(builder, loc, a.getType(), path, PolicyAttr(), a, b);
}

Value GraphBuilder::multiply(const Twine &name, Value a, Value b) {
  StringAttr path = layer(name);
  return MultiplyOp::create(builder, loc, a.getType(), path, PolicyAttr(), a, b);
}

Value GraphBuilder::scale(const Twine &name, Value x, double factor) {
  StringAttr path = layer(name);
  return ScaleOp::create(builder, loc, x.getType(), path, PolicyAttr(), x, builder.getF64FloatAttr(factor));
}

Value GraphBuilder::slice(const Twine &name, Value x, int64_t offset, int64_t size) {
  StringAttr path = layer(name);
  return SliceOp::create(builder, loc, activationType({kDynamic, kDynamic, size}), path, PolicyAttr(), x,
                         builder.getI64IntegerAttr(offset), builder.getI64IntegerAttr(size));
}

Value GraphBuilder::splitHeads(const Twine &name, Value x, int64_t heads) {
  StringAttr path = layer(name);
  return SplitHeadsOp::create(builder, loc, activationType({kDynamic, heads, kDynamic, lastDim(x) / heads}), path,
                              PolicyAttr(), x, builder.getI64IntegerAttr(heads));
}

Value GraphBuilder::mergeHeads(const Twine &name, Value x) {
  StringAttr path = layer(name);
  return MergeHeadsOp::create(builder, loc, activationType({kDynamic, kDynamic, dim(x, 1) * lastDim(x)}), path,
                              PolicyAttr(), x);
}

Value GraphBuilder::rotary(const Twine &name, Value x, const RopeSpec &rope) {
  StringAttr path = layer(name);
  return RotaryEmbeddingOp::create(builder, loc, x.getType(), path, PolicyAttr(), x, place,
                                   ropeAttr(builder.getContext(), rope));
}

//===-- Attention -------------------------------------------------------------===//

Value GraphBuilder::relativeBias(StringAttr path, const RelativeTable *relative, int64_t heads) {
  if (!relative)
    return {};
  return parameter(path.getValue() + ".relative_bias", relative->tensor + ".weight", {relative->buckets, heads});
}

RelativeBiasAttr GraphBuilder::relativeAttr(const RelativeTable *relative) {
  if (!relative)
    return {};
  return RelativeBiasAttr::get(builder.getContext(), relative->maxDistance,
                               relative->bidirectional ? builder.getUnitAttr() : UnitAttr());
}

std::pair<Value, Value> GraphBuilder::takeSlot(int64_t block, bool cross) {
  auto type = cast<CacheType>(cache.getType()).getBlocks()[size_t(block)];
  Value taken = GetBlockCacheOp::create(builder, loc, type, cache, block);
  return {taken, GetAttentionCacheOp::create(builder, loc, cross ? type.getCross() : type.getSelf(), taken, cross)};
}

void GraphBuilder::putSlot(int64_t block, bool cross, Value taken, Value slot) {
  taken = PutAttentionCacheOp::create(builder, loc, taken.getType(), taken, slot, cross);
  cache = PutBlockCacheOp::create(builder, loc, cache.getType(), cache, taken, block);
}

Value GraphBuilder::attention(const Twine &name, int64_t block, Value query, Value key, Value value,
                              const RelativeTable *relative) {
  StringAttr path = layer(name);
  const AttentionShape &shape = slots[size_t(block)];
  Value bias = relativeBias(path, relative, shape.heads);
  auto [taken, slot] = takeSlot(block, /*cross=*/false);
  slot = CacheAppendOp::create(builder, loc, slot.getType(), slot, key, value, place);
  auto op = AttentionOp::create(builder, loc, query.getType(),
                                activationType({kDynamic, shape.heads, kDynamic, kDynamic}), path, PolicyAttr(), query,
                                /*key=*/Value(), /*value=*/Value(), slot, place, bias, relativeAttr(relative),
                                builder.getF64FloatAttr(shape.scale), builder.getUnitAttr(),
                                shape.window ? builder.getI64IntegerAttr(shape.window) : IntegerAttr());
  putSlot(block, /*cross=*/false, taken, slot);
  weights.push_back(op.getWeights());
  return op.getY();
}

Value GraphBuilder::encoderAttention(const Twine &name, const AttentionShape &shape, Value query, Value key,
                                     Value value, const RelativeTable *relative) {
  StringAttr path = layer(name);
  Value bias = relativeBias(path, relative, shape.heads);
  auto op = AttentionOp::create(builder, loc, query.getType(),
                                activationType({kDynamic, shape.heads, kDynamic, kDynamic}), path, PolicyAttr(), query,
                                key, value, /*cache=*/Value(), place, bias, relativeAttr(relative),
                                builder.getF64FloatAttr(shape.scale), /*causal=*/UnitAttr(), /*window=*/IntegerAttr());
  weights.push_back(op.getWeights());
  return op.getY();
}

void GraphBuilder::storeCross(const Twine &name, int64_t block, Value key, Value value) {
  StringAttr path = layer(name);
  auto [taken, slot] = takeSlot(block, /*cross=*/true);
  slot = CacheStoreOp::create(builder, loc, slot.getType(), path, PolicyAttr(), key, value, place, slot);
  putSlot(block, /*cross=*/true, taken, slot);
}

Value GraphBuilder::crossAttention(const Twine &name, int64_t block, Value query) {
  StringAttr path = layer(name);
  const AttentionShape &shape = cross[size_t(block)];
  auto [taken, slot] = takeSlot(block, /*cross=*/true);
  auto op = AttentionOp::create(builder, loc, query.getType(),
                                activationType({kDynamic, shape.heads, kDynamic, kDynamic}), path, PolicyAttr(), query,
                                /*key=*/Value(), /*value=*/Value(), slot, place, /*bias=*/Value(), RelativeBiasAttr(),
                                builder.getF64FloatAttr(shape.scale), /*causal=*/UnitAttr(), /*window=*/IntegerAttr());
  putSlot(block, /*cross=*/true, taken, slot);
  crossWeights.push_back(op.getWeights());
  return op.getY();
}

//===-- Graph -----------------------------------------------------------------===//

void GraphBuilder::begin(const ModelInfo &info, ArrayRef<AttentionShape> slots, ArrayRef<AttentionShape> cross,
                         GraphRole role) {
  this->info = info;
  this->role = role;
  this->slots.assign(slots.begin(), slots.end());
  this->cross.assign(cross.begin(), cross.end());
  hiddenStates.clear(), weights.clear(), crossWeights.clear(), parameters.clear();
  MLIRContext *context = builder.getContext();
  const Type unpinned = mlir::NoneType::get(context); // prints as `auto`
  const auto slotType = [&](const AttentionShape &shape, int64_t window) {
    return AttentionCacheType::get(context, shape.kvHeads, shape.headDim, window, unpinned, unpinned);
  };
  SmallVector<BlockCacheType> blocks;
  for (auto [index, slot] : llvm::enumerate(slots))
    blocks.push_back(BlockCacheType::get(context, slotType(slot, slot.window),
                                         cross.empty() ? AttentionCacheType() : slotType(cross[index], /*window=*/-1)));
  auto idsType = RankedTensorType::get({kDynamic, kDynamic}, builder.getI32Type());
  const SmallVector<Type> inputs{idsType, idsType, CacheType::get(context, blocks)};
  const StringRef names[] = {"input_ids", "attention_mask", "cache"};
  loc = UnknownLoc::get(context);
  declarations.setInsertionPointToEnd(declarations.getBlock());
  auto graph = GraphOp::create(declarations, loc, role == GraphRole::Encoder ? kEncodeGraph : kMainGraph,
                               builder.getFunctionType(inputs, {}), builder.getStrArrayAttr(names), Casts::Implicit,
                               ArrayAttr(), ArrayAttr(), ArrayAttr());
  firstGraph = firstGraph ? firstGraph : graph.getOperation();
  declarations.setInsertionPoint(firstGraph); // parameters come before it
  Block &body = graph.getBody().emplaceBlock();
  for (Type type : inputs)
    body.addArgument(type, loc);
  builder.setInsertionPointToStart(&body);
  ids = body.getArgument(0);
  cache = body.getArgument(2);
  Value lengths; // a source begins at position 0
  if (role != GraphRole::Encoder)
    lengths = CacheOffsetOp::create(builder, loc, RankedTensorType::get({kDynamic}, builder.getI32Type()), cache);
  place = PositionsOp::create(builder, loc, idsType, lengths, ids, body.getArgument(1));
}

Value GraphBuilder::container(StringRef name, ValueRange values) {
  StringAttr path = layer(name);
  auto type = ContainerType::get(builder.getContext(), SmallVector<Type>(values.getTypes()));
  Value group = ContainerOp::create(builder, loc, type, path, PolicyAttr(), values);
  return OptionalOp::create(builder, loc, type, path, PolicyAttr(), group);
}

void GraphBuilder::finish(Value normalized, Value logits) {
  hiddenStates.back() = normalized;
  loc = UnknownLoc::get(builder.getContext());
  if (role != GraphRole::Encoder)
    cache = CacheAdvanceOp::create(builder, loc, cache.getType(), cache, place);
  const std::string owner = role == GraphRole::Encoder ? "encoder_" : role == GraphRole::Decoder ? "decoder_" : "";
  SmallVector<Value> values;
  SmallVector<StringRef> names;
  const std::string states = owner + "hidden_states", attentions = owner + "attentions";
  if (logits)
    values.push_back(logits), names.push_back("logits");
  values.push_back(container(states, hiddenStates)), names.push_back(states);
  values.push_back(container(attentions, weights)), names.push_back(attentions);
  if (!crossWeights.empty())
    values.push_back(container("cross_attentions", crossWeights)), names.push_back("cross_attentions");
  values.push_back(cache), names.push_back("cache");
  auto output = OutputOp::create(builder, loc, values, builder.getStrArrayAttr(names));
  cast<GraphOp>(output->getParentOp()).updateSignature();
}
