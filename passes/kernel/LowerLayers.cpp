// One kernel per layer: walks the graph once for each phase.
#include "IR/LayerNames.h"
#include "passes/kernel/Passes.h"
#include "passes/kernel/StepBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/TypeSwitch.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_LOWERLAYERS
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

/// Of the attentions that own no slot: those over a cross slot, and an encoder's,
/// whose calls have all rows of a source.
static bool isLowered(layer::AttentionOp attention) {
  if (!attention.getCache())
    return attention->getParentOfType<layer::GraphOp>().getSymName() == layer::kEncodeGraph && !attention.getWindow();
  auto slot = dyn_cast<layer::AttentionCacheType>(attention.getCache().getType());
  return slot && slot.isCross();
}

LogicalResult StepBuilder::lower(Operation &op) {
  if (seed.handles(op))
    return seed.lower(op);
  return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
      .Case<layer::CacheOffsetOp, layer::PositionsOp, layer::CacheAdvanceOp, layer::ContainerOp, layer::OptionalOp,
            layer::OutputOp, layer::GetBlockCacheOp, layer::GetAttentionCacheOp, layer::PutAttentionCacheOp,
            layer::PutBlockCacheOp>([](auto) { return success(); }) // inputs of the step, and bookkeeping of the session
      .Case<layer::ParamOp, layer::CastOp, layer::EmbeddingOp, layer::DenseOp, layer::RmsNormOp, layer::LayerNormOp,
            layer::RotaryEmbeddingOp, layer::CacheStoreOp>([&](auto layer) { return lower(layer), success(); })
      .Case([&](layer::CachedAttentionOp attention) { return lower(attention); })
      .Case<layer::SplitHeadsOp, layer::MergeHeadsOp, layer::SliceOp>([&](auto layer) { return lowerMovement(*layer), success(); })
      .Default([&](Operation *other) -> LogicalResult {
        if (auto attention = dyn_cast<layer::AttentionOp>(other); attention && isLowered(attention))
          return lower(attention);
        if (other->hasTrait<layer::IsElementwise>())
          return lowerElementwise(*other), success();
        auto named = dyn_cast<layer::NamedLayer>(other);
        if (auto attention = dyn_cast<layer::AttentionOp>(other); attention && !attention.getCache())
          return other->emitError("attention '") << attention.getLayerName() << "' must have a cache to be compiled, got "
                                                 << "none: give the graph one, or run it with 'graphc eval'";
        return other->emitError("layer '") << (named ? named.getLayerName() : other->getName().getStringRef()) << "' ("
                                           << other->getName() << ") has no kernel for these operands";
      });
}

FailureOr<func::FuncOp> StepBuilder::build() {
  function = func::FuncOp::create(builder, graph.getLoc(), name, builder.getFunctionType({}, {}));
  function->setAttr("kernel.phase", PhaseAttr::get(builder.getContext(), phase));
  function->setAttr(kGraphAttr, builder.getStringAttr(graph.getSymName()));
  body.setInsertionPointToStart(function.addEntryBlock());
  for (auto [key, symbol] : {std::pair("ids", "tokens"), std::pair("positions", "tokens"), std::pair("starts", "batch+1"),
                             std::pair("lengths", "batch"), std::pair("row_ids", "rows")})
    input(key, symbol);
  layer::OutputOp output = graph.getOutput();
  for (auto [value, key] : llvm::zip(output.getValues(), output.getNames())) {
    StringRef outputName = cast<StringAttr>(key).getValue();
    Value source = value;
    while (auto optional = source.getDefiningOp<layer::OptionalOp>())
      source = optional.getX();
    auto container = source.getDefiningOp<layer::ContainerOp>();
    if (container && SeedLayers::isCache(container.getType())) {
      seed.findReturned(container);
    } else if (container) {
      for (auto [index, leaf] : llvm::enumerate(container.getXs()))
        if (!outputNames.try_emplace(leaf, (outputName + "." + Twine(index)).str()).second)
          return graph.emitError("output '") << outputName << "." << index << "' is also output '"
                                             << outputNames[leaf] << "': a value has one destination";
    } else if (layer::isFloatTensor(source.getType())) {
      if (!outputNames.try_emplace(source, outputName.str()).second)
        return graph.emitError("output '") << outputName << "' is also output '" << outputNames[source]
                                           << "': a value has one destination";
      if (outputName == "logits")
        findRowsDomain(source);
    }
  }
  // In seed mode the nodes that carry the whole cache tie all blocks together.
  const bool hasBlocks = llvm::none_of(graph.getBody().getArgumentTypes(), SeedLayers::isCache);
  for (Operation &op : graph.getBody().front()) {
    Operation *last = function.front().empty() ? nullptr : &function.front().back();
    if (failed(lower(op)))
      return failure();
    if (!hasBlocks)
      continue;
    // Tag what was made with its block, for outlining.
    auto named = dyn_cast<layer::NamedLayer>(op);
    StringRef block = named ? layer::blockOf(named.getLayerName()) : "";
    if (block.empty() && isa<layer::CastOp>(op) && last)
      if (auto tag = last->getAttrOfType<StringAttr>(kBlockAttr))
        block = tag.getValue();
    for (Operation *made = last ? last->getNextNode() : (function.front().empty() ? nullptr : &function.front().front());
         made && !block.empty(); made = made->getNextNode())
      made->setAttr(kBlockAttr, builder.getStringAttr(block));
  }
  func::ReturnOp::create(body, graph.getLoc());
  function.setFunctionType(builder.getFunctionType(function.front().getArgumentTypes(), {}));
  for (auto [index, binding] : llvm::enumerate(bindings))
    function.setArgAttr(index, kBindingAttr, binding);
  return function;
}

namespace {
struct LowerLayers : graphc::kernel::impl::LowerLayersBase<LowerLayers> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto graphs = llvm::to_vector(module.getOps<layer::GraphOp>());
    if (graphs.empty())
      return;
    auto encoder = module.lookupSymbol<layer::GraphOp>(layer::kEncodeGraph);
    llvm::erase(graphs, encoder);
    if (graphs.size() != 1) {
      emitError(graphs.empty() ? encoder.getLoc() : graphs[1].getLoc())
          << "expected one layer.graph in the module beside @" << layer::kEncodeGraph << ", got " << graphs.size();
      return signalPassFailure();
    }
    layer::GraphOp decoder = graphs[0];
    for (layer::GraphOp graph : {decoder, encoder})
      if (graph && graph.getCasts() != layer::Casts::Explicit) {
        graph.emitError("casts must be explicit before layers become kernels: run layer-materialize-casts");
        return signalPassFailure();
      }
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    // A source is read at once, by the kernels of a prefill.
    if (failed(StepBuilder(decoder, "graphc_prefill", Phase::Prefill, builder).build()) ||
        failed(StepBuilder(decoder, "graphc_decode", Phase::Decode, builder).build()) ||
        (encoder && failed(StepBuilder(encoder, "graphc_encoder", Phase::Prefill, builder).build())))
      return signalPassFailure();
    for (layer::GraphOp graph : {decoder, encoder})
      if (graph)
        graph.erase();
    for (auto parameter : llvm::make_early_inc_range(module.getOps<layer::ParameterOp>()))
      parameter.erase();
  }
};
} // namespace
