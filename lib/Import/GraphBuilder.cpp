#include "Import/GraphBuilder.h"

#include "Support/Message.h"
#include "graphc/IR/Layer.h"

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
  if (!usable || ArrayRef<int64_t>(info->shape) != shape)
    return report(concat(info->dtypeName, " of shape (", join(info->shape), ") in ", info->file));
  return *info->dtype;
}

Value GraphBuilder::parameter(const Twine &symbol, const Twine &tensor, ArrayRef<int64_t> shape) {
  const std::string name = symbol.str(), stored = tensor.str();
  const DType dtype = storedDType(stored, shape);
  bound.insert(stored);
  auto type = RankedTensorType::get(shape, typeOf(builder.getContext(), dtype));
  ParameterOp::create(declarations, loc, declarations.getStringAttr(name), TypeAttr::get(type),
                      declarations.getStringAttr(stored));
  return parameters[name] = ParamOp::create(builder, loc, type, name, /*storage=*/TypeAttr());
}

//===-- Layers ----------------------------------------------------------------===//

Value GraphBuilder::embedding(const Twine &name, Value indices, const Twine &tensor, int64_t rows, int64_t columns) {
  StringAttr path = layer(name);
  Value kernel = parameter(path.getValue() + ".kernel", tensor + ".weight", {rows, columns});
  return EmbeddingOp::create(builder, loc, activationType({kDynamic, kDynamic, columns}), path, PolicyAttr(), indices,
                             kernel);
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

Value GraphBuilder::attention(const Twine &name, int64_t block, Value query, Value key, Value value) {
  StringAttr path = layer(name);
  const AttentionShape &shape = slots[size_t(block)];
  auto blockType = cast<CacheType>(cache.getType()).getBlocks()[size_t(block)];
  Value taken = GetBlockCacheOp::create(builder, loc, blockType, cache, block);
  Value slot = GetAttentionCacheOp::create(builder, loc, blockType.getSelf(), taken, /*cross=*/false);
  slot = CacheAppendOp::create(builder, loc, slot.getType(), slot, key, value, place);
  auto op = AttentionOp::create(builder, loc, query.getType(),
                                activationType({kDynamic, shape.heads, kDynamic, kDynamic}), path, PolicyAttr(), query,
                                /*key=*/Value(), /*value=*/Value(), slot, place, builder.getF64FloatAttr(shape.scale),
                                builder.getUnitAttr(),
                                shape.window ? builder.getI64IntegerAttr(shape.window) : IntegerAttr());
  taken = PutAttentionCacheOp::create(builder, loc, blockType, taken, slot, /*cross=*/false);
  cache = PutBlockCacheOp::create(builder, loc, cache.getType(), cache, taken, block);
  weights.push_back(op.getWeights());
  return op.getY();
}

//===-- Graph -----------------------------------------------------------------===//

void GraphBuilder::begin(const ModelInfo &info, ArrayRef<AttentionShape> slots) {
  this->info = info;
  this->slots.assign(slots.begin(), slots.end());
  MLIRContext *context = builder.getContext();
  const Type unpinned = mlir::NoneType::get(context); // prints as `auto`
  SmallVector<BlockCacheType> blocks;
  for (const AttentionShape &slot : slots)
    blocks.push_back(BlockCacheType::get(
        context, AttentionCacheType::get(context, slot.kvHeads, slot.headDim, slot.window, unpinned, unpinned),
        AttentionCacheType()));
  auto idsType = RankedTensorType::get({kDynamic, kDynamic}, builder.getI32Type());
  const SmallVector<Type> inputs{idsType, idsType, CacheType::get(context, blocks)};
  const StringRef names[] = {"input_ids", "attention_mask", "cache"};
  auto graph = GraphOp::create(declarations, loc, "main", builder.getFunctionType(inputs, {}),
                               builder.getStrArrayAttr(names), Casts::Implicit, ArrayAttr(), ArrayAttr(), ArrayAttr());
  declarations.setInsertionPoint(graph); // parameters come before it
  Block &body = graph.getBody().emplaceBlock();
  for (Type type : inputs)
    body.addArgument(type, loc);
  builder.setInsertionPointToStart(&body);
  ids = body.getArgument(0);
  cache = body.getArgument(2);
  Value lengths = CacheOffsetOp::create(builder, loc, RankedTensorType::get({kDynamic}, builder.getI32Type()), cache);
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
  cache = CacheAdvanceOp::create(builder, loc, cache.getType(), cache, place);
  Value states = container("hidden_states", hiddenStates);
  Value attentions = container("attentions", weights);
  const StringRef names[] = {"logits", "hidden_states", "attentions", "cache"};
  auto output = OutputOp::create(builder, loc, ValueRange{logits, states, attentions, cache},
                                 builder.getStrArrayAttr(names));
  cast<GraphOp>(output->getParentOp()).updateSignature();
}
