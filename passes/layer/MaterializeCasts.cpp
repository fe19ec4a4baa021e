// Policies become casts: from here on types are the whole truth.
#include "IR/Counters.h"
#include "passes/layer/Casts.h"
#include "passes/layer/Passes.h"

namespace graphc::layer {
#define GEN_PASS_DEF_MATERIALIZECASTS
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

namespace {

/// The attention that reads the slot `value`, if one does.
PolicyLayer readerOf(Value value) {
  for (Operation *user : value.getUsers())
    if (auto layer = dyn_cast<PolicyLayer>(user))
      return layer;
  return {};
}

struct MaterializeCasts : graphc::layer::impl::MaterializeCastsBase<MaterializeCasts> {
  using MaterializeCastsBase::MaterializeCastsBase;

  void runOnOperation() override {
    GraphOp graph = getOperation();
    if (semantics != "graphc" && semantics != "axon") {
      emitError(graph.getLoc()) << "policy semantics must be graphc or axon, got '" << semantics << "'";
      return signalPassFailure();
    }
    if (graph.getCasts() == Casts::Explicit)
      return;
    for (Operation &op : llvm::make_early_inc_range(graph.getBody().front())) {
      auto layer = dyn_cast<PolicyLayer>(op);
      if (layer) {
        castOperands(layer);
        castResults(layer);
      }
      inferStructuralTypes(op);
      if (auto cache = dyn_cast<CacheOp>(op))
        castRows(cache, layer);
    }
    graph.setCasts(Casts::Explicit);
    graph.updateSignature();
    reportCounters(graph, getArgument(), report, {&numParams, &numCompute, &numOutput, &numPin, &numFitting,
                       &numFree});
  }

  /// rd_C(rd_P(w)) of parameters, rd_C(x) of the other operands.
  void castOperands(PolicyLayer layer) {
    PolicyAttr policy = layer.getLayerPolicy();
    const StringRef name = layer.getLayerName();
    OpBuilder builder(layer);
    for (OpOperand &operand : layer->getOpOperands()) {
      if (!layer.followsCompute(operand.getOperandNumber()))
        continue;
      Value value = operand.get();
      if (auto reader = value.getDefiningOp<ParamOp>()) {
        if (reader.getStorage())
          value = castTo(builder, value, *reader.getStorage(), {"params", reader.getRef(), getArgument()}, numParams);
        else if (policy && policy.getParams())
          value = castTo(builder, value, policy.getParams(), {"params", name, getArgument()}, numParams);
      }
      if (!policy || !policy.getCompute()) {
        ++numFree;
        // From here on the query's type is that of the probabilities, and the
        // stored rows' that of the attention which reads them; without a compute
        // type nothing is rounded.
        if (isa<AttentionOp, CachedAttentionOp, SeedAttentionOp, CacheStoreOp>(layer) && operand.getOperandNumber() == 0)
          value = castTo(builder, value, builder.getF32Type(), {"compute", name, getArgument()}, numCompute);
      } else {
        const Value fitting = value;
        value = castTo(builder, value, policy.getCompute(), {"compute", name, getArgument()}, numCompute);
        numFitting += value == fitting;
      }
      operand.set(value);
    }
  }

  /// A result is rounded by its type: once, or to compute and then to output.
  void castResults(PolicyLayer layer) {
    PolicyAttr policy = layer.getLayerPolicy();
    if (!policy || !(policy.getCompute() || policy.getOutput()))
      return;
    const Type output = policy.getOutput() ? policy.getOutput() : policy.getCompute();
    const Type first = semantics == "axon" && policy.getCompute() ? policy.getCompute() : output;
    OpBuilder builder(layer->getContext());
    builder.setInsertionPointAfter(layer);
    for (OpResult result : layer->getResults()) {
      if (!layer.followsOutput(result.getResultNumber()))
        continue;
      result.setType(withElement(result.getType(), first));
      Value rounded = castTo(builder, result, output, {"output", layer.getLayerName(), getArgument()}, numOutput);
      if (rounded != result)
        result.replaceAllUsesExcept(rounded, rounded.getDefiningOp());
    }
  }

  /// pin(rd_C(row)), C being the compute type of the attention that reads it.
  void castRows(CacheOp cache, PolicyLayer layer) {
    if (!layer) // rows of a fused attention are its operands and have been cast
      for (OpOperand &operand : cache->getOpOperands())
        if (cache.getRowElement(operand.getOperandNumber())) {
          layer = readerOf(cache->getResult(0));
          PolicyAttr policy = layer ? layer.getLayerPolicy() : PolicyAttr();
          OpBuilder builder(cache);
          if (policy && policy.getCompute())
            operand.set(castTo(builder, operand.get(), policy.getCompute(),
                               {"compute", layer.getLayerName(), getArgument()}, numCompute));
        }
    castRowsToPin(cache, layer ? layer.getLayerName() : "cache", getArgument(), numPin);
  }

private:
  Counter numParams{"params-casts"};
  Counter numCompute{"compute-casts"};
  Counter numOutput{"output-casts"};
  Counter numPin{"pin-casts"};
  Counter numFitting{"operands-fitting"};
  Counter numFree{"operands-free"};
};
} // namespace
