// Keeps requested outputs. Everything in a graph is free of side effects, so
// what an output no longer reaches can go.
#include "IR/Counters.h"
#include "passes/layer/Passes.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace graphc::layer {
#define GEN_PASS_DEF_PRUNEOUTPUTS
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

/// The cache goes on to the next step and is never pruned; in seed mode it is a
/// container that goes in and out under the same name.
static bool isCacheOutput(GraphOp graph, StringRef name, Value value) {
  if (isCache(value.getType()))
    return true;
  BlockArgument input = graph.getInput(name);
  return input && input.getType() == value.getType() && isa<ContainerType>(value.getType());
}

/// Rebuilds an attention without its weights, its last result, if no one reads
/// them.
static void dropUnusedWeights(Operation *op) {
  if (!isa<AttentionOp, CachedAttentionOp, SeedAttentionOp>(op) || op->getNumResults() < 2)
    return;
  OpResult last = op->getResults().back();
  if (!isFloatTensor(last.getType()) || !last.use_empty())
    return;
  Operation *narrow = Operation::create(op->getLoc(), op->getName(), TypeRange(op->getResultTypes()).drop_back(),
                                        op->getOperands(), op->getDiscardableAttrDictionary(),
                                        op->getPropertiesStorage(), /*successors=*/{}, /*numRegions=*/0);
  op->getBlock()->getOperations().insert(op->getIterator(), narrow);
  for (auto [result, old] : llvm::zip(narrow->getResults(), op->getResults()))
    old.replaceAllUsesWith(result);
  op->erase();
}

namespace {
struct PruneOutputs : graphc::layer::impl::PruneOutputsBase<PruneOutputs> {
  using PruneOutputsBase::PruneOutputsBase;

  void runOnOperation() override {
    if (failed(resolveNames()))
      return signalPassFailure();
    for (GraphOp graph : getOperation().getOps<GraphOp>()) {
      pruneOutput(graph);
      for (Operation &op : llvm::make_early_inc_range(llvm::reverse(graph.getBody().front())))
        if (isOpTriviallyDead(&op)) {
          op.erase();
          ++numOps;
        } else {
          dropUnusedWeights(&op);
        }
      graph.updateSignature();
    }
    pruneParameters();
    reportCounters(getOperation(), getArgument(), report, {&numPruned, &numKept, &numOps, &numParameters});
  }

private:
  /// Every requested name must be an output of some graph. In a model with an
  /// encoder `hidden_states` and `attentions` are the decoder's.
  LogicalResult resolveNames() {
    wanted.clear();
    llvm::SetVector<StringRef> known;
    for (GraphOp graph : getOperation().getOps<GraphOp>())
      for (Attribute name : graph.getOutput().getNames())
        known.insert(cast<StringAttr>(name).getValue());
    for (const std::string &name : outputs) {
      wanted.push_back(name);
      if (!known.contains(name) && known.contains("decoder_" + name))
        wanted.back() = "decoder_" + name;
      if (!known.contains(wanted.back())) {
        auto diagnostic = emitError(getOperation().getLoc()) << "output '" << name << "' is not known; the outputs are ";
        llvm::interleave(
            known, [&](StringRef output) { diagnostic << "'" << output << "'"; }, [&] { diagnostic << ", "; });
        return diagnostic;
      }
    }
    return success();
  }

  bool keeps(GraphOp graph, StringRef name, Value value) {
    if (isCacheOutput(graph, name, value))
      return true;
    return outputs.empty() ? !value.getDefiningOp<OptionalOp>() : llvm::is_contained(wanted, name.str());
  }

  void pruneOutput(GraphOp graph) {
    OutputOp output = graph.getOutput();
    SmallVector<Value> values;
    SmallVector<Attribute> names;
    for (auto [value, name] : llvm::zip(output.getValues(), output.getNames())) {
      if (!keeps(graph, cast<StringAttr>(name).getValue(), value)) {
        ++numPruned;
        continue;
      }
      ++numKept;
      while (auto optional = value.getDefiningOp<OptionalOp>()) // it is wanted, hence no longer optional
        value = optional.getX();
      values.push_back(value);
      names.push_back(name);
    }
    output.getValuesMutable().assign(values);
    output.setNamesAttr(ArrayAttr::get(&getContext(), names));
  }

  void pruneParameters() {
    llvm::StringSet<> read;
    getOperation().walk([&](ParamOp reader) { read.insert(reader.getRef()); });
    for (ParameterOp parameter : llvm::make_early_inc_range(getOperation().getOps<ParameterOp>()))
      if (!read.contains(parameter.getSymName())) {
        parameter.erase();
        ++numParameters;
      }
  }

  std::vector<std::string> wanted; // as the outputs are called

private:
  Counter numPruned{"outputs-pruned"};
  Counter numKept{"outputs-kept"};
  Counter numOps{"ops-removed"};
  Counter numParameters{"parameters-removed"};
};
} // namespace
