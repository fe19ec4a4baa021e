// Rules to policy attributes. Every rule is resolved against the whole module
// before anything is written, so that a faulty rule changes nothing.
#include "Support/Policy.h"
#include "IR/Counters.h"
#include "passes/layer/Casts.h"
#include "passes/layer/Passes.h"

#include "llvm/ADT/MapVector.h"
#include "mlir/IR/BuiltinOps.h"

namespace graphc::layer {
#define GEN_PASS_DEF_APPLYPOLICY
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

namespace {

/// A dtype and the rule that chose it; -1: the IR had it already.
struct Choice {
  Type type;
  int rule = -1;
};
struct Policy {
  Choice params, compute, output;
};

std::string_view view(StringRef text) { return {text.data(), text.size()}; }

/// The reader of the parameter behind `operand`, and the use of it, through
/// casts; nothing if the operand is no parameter.
OpOperand *parameterUse(OpOperand &operand) {
  OpOperand *use = &operand;
  while (auto cast = use->get().getDefiningOp<CastOp>())
    use = &cast->getOpOperand(0);
  return use->get().getDefiningOp<ParamOp>() ? use : nullptr;
}

class Application {
public:
  explicit Application(ModuleOp module) : module(module) {
    for (GraphOp graph : module.getOps<GraphOp>())
      for (Operation &op : graph.getBody().front())
        collect(&op);
    for (PolicyLayer layer : layers)
      things.push_back({view(layer.getSelectedKind()), view(layer.getLayerName())});
    for (ParamOp reader : readers)
      things.push_back({{}, view(reader.getRef())});
  }

  LogicalResult apply(const PolicyRule &rule) {
    const int number = rules.size();
    rules.push_back(rule);
    // Only a rule about parameters alone may select parameters.
    const bool parametersOnly = !rule.compute && !rule.output;
    auto indices =
        rule.selector.select({things.data(), parametersOnly ? things.size() : layers.size()});
    if (!indices.ok()) {
      const bool hasParameters = !parametersOnly && rule.selector.select(things).ok();
      return emitError(module.getLoc()) << "policy rule '" << rule.text << "': "
                                        << (hasParameters ? "it selects parameters, whose only key is params"
                                                          : std::string(indices.status().message()));
    }
    const auto choose = [&](std::optional<DType> dtype, Choice &choice) {
      if (dtype)
        choice = {typeOf(module.getContext(), *dtype), number};
    };
    for (size_t index : llvm::reverse(*indices)) { // parameters first: a layer's rule covers its own
      if (index >= layers.size()) {
        for (OpOperand &use : readers[index - layers.size()]->getUses())
          choose(rule.params, storage[&use]);
        continue;
      }
      choose(rule.params, policies[index].params);
      choose(rule.compute, policies[index].compute);
      choose(rule.output, policies[index].output);
      if (rule.params)
        for (OpOperand &operand : layers[index]->getOpOperands())
          if (OpOperand *use = parameterUse(operand))
            storage[use] = {};
    }
    return success();
  }

  /// Warns of rules that have no effect left; returns their number.
  unsigned warnOverridden() {
    llvm::SmallDenseSet<int> alive;
    for (Policy &policy : policies)
      for (const Choice &choice : {policy.params, policy.compute, policy.output})
        alive.insert(choice.rule);
    for (auto &[use, choice] : storage)
      alive.insert(choice.rule);
    unsigned count = 0;
    for (auto [number, rule] : llvm::enumerate(rules)) {
      if (alive.contains(number))
        continue;
      ++count;
      emitWarning(module.getLoc()) << "policy rule '" << rule.text << "' has no effect: later rules override all of it";
    }
    return count;
  }

  LogicalResult write() {
    for (auto [layer, policy] : llvm::zip(layers, policies)) {
      PolicyAttr attribute;
      if (policy.params.type || policy.compute.type || policy.output.type)
        attribute = PolicyAttr::get(module.getContext(), policy.params.type, policy.compute.type, policy.output.type);
      if (attribute == layer.getLayerPolicy())
        continue;
      if (layer->getParentOfType<GraphOp>().getCasts() == Casts::Explicit)
        return layer.emitOpError("policy of '") << layer.getLayerName()
                                                << "' cannot change: casts are explicit already; apply policies first";
      layer.setLayerPolicy(attribute);
    }
    for (ParamOp reader : readers)
      writeStorage(reader);
    return success();
  }

private:
  void collect(Operation *op) {
    if (auto layer = dyn_cast<PolicyLayer>(op)) {
      PolicyAttr old = layer.getLayerPolicy();
      layers.push_back(layer);
      policies.push_back(old ? Policy{{old.getParams()}, {old.getCompute()}, {old.getOutput()}} : Policy());
    } else if (auto reader = dyn_cast<ParamOp>(op)) {
      readers.push_back(reader);
      for (OpOperand &use : reader->getUses())
        storage[&use] = {reader.getStorageAttr() ? reader.getStorageAttr().getValue() : Type()};
    }
  }

  /// Splits a reader whose uses differ in their storage type.
  void writeStorage(ParamOp reader) {
    SmallVector<OpOperand *> ordered;
    for (OpOperand &use : reader->getUses())
      ordered.push_back(&use);
    llvm::sort(ordered, [](OpOperand *a, OpOperand *b) {
      return a->getOwner() == b->getOwner() ? a->getOperandNumber() < b->getOperandNumber()
                                            : a->getOwner()->isBeforeInBlock(b->getOwner());
    });
    llvm::MapVector<Type, SmallVector<OpOperand *>> uses;
    for (OpOperand *use : ordered)
      uses[storage[use].type].push_back(use);
    OpBuilder builder(reader->getContext());
    builder.setInsertionPointAfter(reader);
    bool first = true;
    for (auto &[type, group] : uses) {
      ParamOp target = std::exchange(first, false) ? reader : cast<ParamOp>(builder.clone(*reader));
      if (type)
        target.setStorageAttr(TypeAttr::get(type));
      else
        target.removeStorageAttr();
      for (OpOperand *use : group)
        use->set(target.getValue());
    }
  }

  ModuleOp module;
  SmallVector<PolicyLayer> layers;
  SmallVector<Policy> policies; // of layers
  SmallVector<ParamOp> readers;
  llvm::MapVector<OpOperand *, Choice> storage; // by use of a reader
  std::vector<Selectable> things;               // layers, then readers
  std::vector<PolicyRule> rules;
};

struct ApplyPolicy : graphc::layer::impl::ApplyPolicyBase<ApplyPolicy> {
  using ApplyPolicyBase::ApplyPolicyBase;

  void runOnOperation() override {
    Application application(getOperation());
    for (std::string_view text : splitRules(policy)) {
      auto rule = parsePolicyRule(text);
      if (!rule.ok()) {
        emitError(getOperation().getLoc()) << std::string(rule.status().message());
        return signalPassFailure();
      }
      if (failed(application.apply(*rule)))
        return signalPassFailure();
    }
    numOverridden += application.warnOverridden();
    if (failed(application.write()))
      return signalPassFailure();
    getOperation().walk([&](Operation *op) {
      if (auto layer = dyn_cast<PolicyLayer>(op))
        ++(layer.getLayerPolicy() ? numLayers : numWithout);
      else if (auto reader = dyn_cast<ParamOp>(op))
        numReaders += reader.getStorage().has_value();
    });
    reportCounters(getOperation(), getArgument(), report, {&numLayers, &numWithout, &numReaders, &numOverridden});
  }

private:
  Counter numLayers{"layers"};
  Counter numWithout{"layers-without"};
  Counter numReaders{"parameters"};
  Counter numOverridden{"rules-overridden"};
};
} // namespace
