// Walks a graph in order: binds inputs, evaluates each op, frees values after
// their last use, collects outputs.
#include "Reference/Interpreter.h"

#include "Reference/Run.h"

#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;

namespace graphc::reference {

const std::vector<Tensor> *Outputs::find(std::string_view name) const {
  for (const auto &[key, tensors] : values)
    if (key == name)
      return &tensors;
  return nullptr;
}

Interpreter::Interpreter(std::unique_ptr<InterpreterState> state) : state(std::move(state)) {}
Interpreter::Interpreter(Interpreter &&) = default;
Interpreter::~Interpreter() = default;
layer::GraphOp Interpreter::graph() const { return state->graph; }
const Options &Interpreter::options() const { return state->options; }

absl::StatusOr<Interpreter> Interpreter::create(ModuleOp module, ParameterSource &parameters, Options options,
                                                std::string_view graph) {
  layer::GraphOp found;
  for (auto candidate : module.getOps<layer::GraphOp>()) {
    if (!graph.empty() && candidate.getSymName() != llvm::StringRef(graph))
      continue;
    if (found)
      return invalidArgument("module has several graphs; name one of them, such as '", candidate.getSymName().str(), "'");
    found = candidate;
  }
  if (!found)
    return absl::NotFoundError(graph.empty() ? std::string("module has no layer.graph")
                                             : concat("module has no graph '", graph, "'"));
  if (options.bounds && (options.mode != Mode::PolicyExact || options.semantics != Semantics::Graphc))
    return invalidArgument("bounds are defined in policy-exact mode under graphc's own semantics only");
  auto state = std::make_unique<InterpreterState>();
  state->graph = found;
  state->module = module;
  state->parameters = &parameters;
  state->arithmetic = Arithmetic(options.mode, options.orderSeed, options.bounds);
  state->options = std::move(options);
  state->storesSource = !found.getBody().front().getOps<layer::CacheStoreOp>().empty();
  for (Operation &op : found.getBody().front())
    for (Value operand : op.getOperands())
      state->lastUse[operand] = &op;
  return Interpreter(std::move(state));
}

/// The argument that is a cache: of cache type, or seed mode's container.
static BlockArgument cacheOf(layer::GraphOp graph) {
  for (BlockArgument argument : graph.getBody().getArguments())
    if (isa<layer::CacheType, layer::ContainerType>(argument.getType()))
      return argument;
  return {};
}

static absl::StatusOr<CacheState> createCacheFor(Type type, int64_t batch, int64_t capacity, int64_t sourceCapacity) {
  if (auto container = dyn_cast<layer::ContainerType>(type))
    return createSeedCache(container, batch, capacity);
  return createCache(cast<layer::CacheType>(type), batch, capacity, sourceCapacity);
}

absl::StatusOr<CacheState> Interpreter::createCache(int64_t batch, int64_t capacity, int64_t sourceCapacity) const {
  BlockArgument argument = cacheOf(state->graph);
  if (!argument)
    return absl::NotFoundError("graph takes no cache");
  return createCacheFor(argument.getType(), batch, capacity, sourceCapacity);
}

/// True if `cache` is one that createCache makes of `type`.
static bool isOfType(const CacheState &cache, Type type) {
  if (auto container = dyn_cast<layer::ContainerType>(type))
    return cache.seed.size() == container.getTypes().size();
  const auto fits = [](const CacheSlot &slot, layer::AttentionCacheType type) {
    return slot.keys.rows.dim(1) == type.getKvHeads() && slot.keys.rows.dim(3) == type.getHeadDim() &&
           slot.keys.pin == layer::dtypeOf(type.getKeys()) && slot.values.pin == layer::dtypeOf(type.getValues());
  };
  ArrayRef<layer::BlockCacheType> blocks = cast<layer::CacheType>(type).getBlocks();
  if (cache.blocks.size() != blocks.size())
    return false;
  return llvm::all_of(llvm::zip(cache.blocks, blocks), [&](auto pair) {
    const auto &[block, expected] = pair;
    return fits(block.self, expected.getSelf()) && bool(block.cross) == bool(expected.getCross()) &&
           (!block.cross || fits(*block.cross, expected.getCross()));
  });
}

/// The cache must be one of the graph's type, for these sequences, with room:
/// behind the rows there are, or for a whole source if the graph `stores`.
static absl::Status checkCache(const CacheState &cache, Type type, const Tensor &ids, const Tensor *mask, bool stores) {
  const int64_t batch = ids.dim(0), tokens = ids.dim(1);
  if (!isOfType(cache, type))
    return invalidArgument("cache was made for another model or pin");
  if (cache.batch() != batch)
    return invalidArgument("cache holds ", cache.batch(), " sequences, got ids of ", batch);
  for (int64_t b = 0; b < batch; ++b) {
    int64_t rows = stores ? 0 : cache.lengths[b];
    const int64_t capacity = stores ? cache.sourceCapacity : cache.capacity;
    for (int64_t t = 0; t < tokens; ++t) // seed mode stores padding too
      rows += !mask || mask->data[b * tokens + t] != 0 || !cache.seed.empty();
    if (rows > capacity)
      return invalidArgument("sequence ", b, " needs ", rows, " cache rows, the session was declared with ", capacity);
  }
  return absl::OkStatus();
}

absl::StatusOr<Outputs> Interpreter::run(const Tensor &ids, const Tensor *mask, CacheState *cache) {
  if (ids.shape.size() != 2 || ids.dim(0) < 1 || ids.dim(1) < 1)
    return invalidArgument("ids must be (batch, tokens) with at least one token, got ", describe(ids));
  if (mask && mask->shape != ids.shape)
    return invalidArgument("mask must have the ids' shape, got ", describe(*mask), " for ", describe(ids));
  std::optional<CacheState> temporary;
  if (BlockArgument argument = cacheOf(state->graph)) {
    if (!cache) {
      auto made = createCacheFor(argument.getType(), ids.dim(0), ids.dim(1), ids.dim(1));
      if (!made.ok())
        return made.status();
      cache = &temporary.emplace(*std::move(made));
    }
    if (absl::Status status = checkCache(*cache, argument.getType(), ids, mask, state->storesSource); !status.ok())
      return status;
  } else {
    cache = nullptr;
  }
  return Run(*state, ids, mask ? std::make_shared<const Tensor>(*mask) : nullptr, cache).run();
}

absl::Status Run::bindInputs() {
  bool hasCache = false;
  for (auto [argument, key] : llvm::zip(state.graph.getBody().getArguments(), state.graph.getInputNames())) {
    const StringRef name = cast<StringAttr>(key).getValue();
    Item &input = items[argument];
    if (isa<layer::NoneType>(argument.getType()))
      continue;
    if (isa<layer::CacheType, layer::ContainerType>(argument.getType())) {
      if (std::exchange(hasCache, true))
        return invalidArgument("graph takes several caches, the interpreter one");
      input.kind = cache->seed.empty() ? Item::Kind::Cache : Item::Kind::Group;
      for (Tensor &leaf : cache->seed)
        input.group.push_back({Item::Kind::Tensor, std::make_shared<const Tensor>(leaf)});
    } else if (name == "input_ids") {
      input = {Item::Kind::Tensor, std::make_shared<const Tensor>(ids)};
    } else if (name == "attention_mask") {
      if (!mask)
        mask = std::make_shared<const Tensor>(DType::I32, ids.shape, std::vector<double>(ids.size(), 1.0));
      input = {Item::Kind::Tensor, mask};
    } else {
      return invalidArgument("graph input '", name.str(), "' is not one of input_ids, attention_mask and the cache");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Outputs> Run::run() {
  if (absl::Status status = bindInputs(); !status.ok())
    return status;
  if (cache)
    for (CacheBlock &block : cache->blocks) // rows of earlier runs are exact inputs
      for (CacheSlot *slot : {&block.self, block.cross ? &*block.cross : &block.self})
        for (CacheRows *side : {&slot->keys, &slot->values})
          side->rows.dropBounds(), side->scales.dropBounds();
  for (Operation &op : state.graph.getBody().front().without_terminator()) {
    if (absl::Status status = evaluate(op); !status.ok())
      return status;
    release(op);
  }
  // Seed mode's cache goes out under the name it came in by.
  StringRef seedName;
  if (BlockArgument argument = cacheOf(state.graph))
    seedName = cast<StringAttr>(state.graph.getInputNames()[argument.getArgNumber()]).getValue();
  Outputs outputs;
  layer::OutputOp output = state.graph.getOutput();
  for (auto [value, key] : llvm::zip(output.getValues(), output.getNames())) {
    const Item &result = item(value);
    if (cache && !cache->seed.empty() && cast<StringAttr>(key).getValue() == seedName) {
      if (absl::Status status = keepSeedCache(*cache, result.group); !status.ok())
        return status;
      continue;
    }
    std::vector<Tensor> tensors;
    if (result.kind == Item::Kind::Tensor)
      tensors.push_back(*result.tensor);
    for (const Item &member : result.group)
      if (member.tensor)
        tensors.push_back(*member.tensor);
    if (result.kind == Item::Kind::Tensor || result.kind == Item::Kind::Group)
      outputs.values.emplace_back(cast<StringAttr>(key).getValue().str(), std::move(tensors));
  }
  return outputs;
}

void Run::release(Operation &op) {
  for (Value operand : op.getOperands())
    if (state.lastUse.lookup(operand) == &op)
      items.erase(operand);
  for (Value result : op.getResults())
    if (result.use_empty())
      items.erase(result);
}

absl::Status Run::define(OpResult result, Tensor value) {
  return defineShared(result, std::make_shared<const Tensor>(std::move(value)));
}

absl::Status Run::defineShared(OpResult result, TensorPtr value) {
  ArrayRef<int64_t> declared = cast<RankedTensorType>(result.getType()).getShape();
  bool fits = declared.size() == value->shape.size();
  for (size_t i = 0; fits && i < declared.size(); ++i)
    fits = ShapedType::isDynamic(declared[i]) || declared[i] == value->shape[i];
  if (!fits)
    return layerError(result.getOwner(), "result must be ", spell(result.getType()), ", got ",
                      describe(*value));
  if (state.options.observe)
    state.options.observe(result.getOwner(), result.getResultNumber(), *value);
  if (state.options.force)
    if (const Tensor *forced = state.options.force(result.getOwner(), result.getResultNumber());
        forced && forced->shape == value->shape)
      value = std::make_shared<const Tensor>(*forced);
  const bool boundary = !state.options.isBoundary || state.options.isBoundary(result.getOwner());
  if (boundary && !value->radius.empty()) {
    auto exact = std::make_shared<Tensor>(*value);
    exact->dropBounds();
    value = std::move(exact);
  }
  items[result] = {Item::Kind::Tensor, std::move(value)};
  return absl::OkStatus();
}

void Run::defineCache(Value value, int64_t block, bool cross) {
  items[value] = isa<layer::NoneType>(value.getType()) ? Item()
                                                       : Item{Item::Kind::Cache, nullptr, block, cross, {}};
}

absl::Status Run::evaluate(Operation &op) {
  // None spreads through ordinary layers; those that stop it handle it themselves.
  if (isa<layer::PolicyLayer, layer::CastOp>(op))
    for (Value operand : op.getOperands())
      if (isAbsent(operand)) {
        for (Value result : op.getResults())
          items[result] = {};
        return absl::OkStatus();
      }
  return llvm::TypeSwitch<Operation *, absl::Status>(&op)
      .Case<layer::ParamOp, layer::CastOp, layer::ContainerOp, layer::EmbeddingOp, layer::DenseOp, layer::RmsNormOp,
            layer::LayerNormOp, layer::SplitHeadsOp, layer::MergeHeadsOp, layer::SliceOp, layer::RotaryEmbeddingOp,
            layer::UnpackOp, layer::RepeatHeadsOp, layer::SeedGetOp, layer::SeedPutOp, layer::SeedOffsetOp,
            layer::SeedAdvanceOp, layer::SeedUpdateOp, layer::SeedMergeMaskOp, layer::SeedLengthsOp,
            layer::SeedKeyPositionsOp, layer::SeedAttentionOp, layer::CacheOffsetOp, layer::PositionsOp,
            layer::CacheAppendOp, layer::CacheStoreOp, layer::CacheAdvanceOp, layer::AttentionOp,
            layer::CachedAttentionOp, layer::ScaleOp>([&](auto layer) { return visit(layer); })
      .Case([&](layer::AddOp) { return visitPair(&op, add); })
      .Case([&](layer::MultiplyOp) { return visitPair(&op, multiply); })
      .Case([&](layer::SiluOp) { return visitActivation(&op, Activation::Silu); })
      .Case([&](layer::GeluOp) { return visitActivation(&op, Activation::Gelu); })
      .Case([&](layer::GeluTanhOp) { return visitActivation(&op, Activation::GeluTanh); })
      .Case([&](layer::ReluOp) { return visitActivation(&op, Activation::Relu); })
      .Case([&](layer::NoneOp none) { return items[none.getY()] = Item(), absl::OkStatus(); })
      .Case([&](layer::OptionalOp optional) {
        Item value = item(optional.getX());
        items[optional.getY()] = std::move(value);
        return absl::OkStatus();
      })
      .Case([&](layer::GetBlockCacheOp get) {
        return defineCache(get.getPart(), int64_t(get.getBlock()), false), absl::OkStatus();
      })
      .Case([&](layer::GetAttentionCacheOp get) {
        return defineCache(get.getPart(), item(get.getCache()).block, get.getCross()), absl::OkStatus();
      })
      .Case([&](layer::PutAttentionCacheOp put) {
        return defineCache(put.getUpdated(), item(put.getCache()).block, false), absl::OkStatus();
      })
      .Case([&](layer::PutBlockCacheOp put) { return defineCache(put.getUpdated(), -1, false), absl::OkStatus(); })
      .Default([&](Operation *other) { return layerError(other, "the interpreter does not define this op"); });
}

} // namespace graphc::reference
