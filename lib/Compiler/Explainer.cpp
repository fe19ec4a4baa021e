// Hearing and watching: what is gathered is in ExplainLayers.cpp,
// ExplainKernels.cpp and ExplainGraph.cpp.
#include "Compiler/Explainer.h"

#include "IR/Counters.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace graphc {

class RemarkListener : public remark::detail::MLIRRemarkStreamerBase {
public:
  explicit RemarkListener(Explainer &explainer) : explainer(explainer) {}

  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    const std::string pass = remark.getCategoryName().str(), key = remark.getRemarkName().str();
    if (key == kCountersRemark) {
      for (const auto &arg : remark.getArgs())
        explainer.counted(pass, arg.key, std::stoull(arg.val));
      return;
    }
    std::string text;
    for (const auto &arg : remark.getArgs())
      text += arg.val;
    explainer.heard(pass, key, remark.getFunction().str(), remark.getRemarkType() == llvm::remarks::Type::Passed,
                    std::move(text));
  }

private:
  Explainer &explainer;
};

class PassWatcher : public PassInstrumentation {
public:
  explicit PassWatcher(Explainer &explainer) : explainer(explainer) {}
  void runBeforePass(Pass *pass, Operation *) override { explainer.beforePass(pass); }
  void runAfterPass(Pass *pass, Operation *op) override { explainer.afterPass(pass, op); }

private:
  Explainer &explainer;
};

Explainer::Explainer(const CompileOptions &options, MLIRContext &context, bool graphs)
    : options(options), wantsGraphs(graphs) {
  facts.policy = options.policy;
  facts.pins = options.pins;
  facts.semantics = options.policySemantics;
  stages = {{"texts", nlohmann::json::array()}, {"segments", nlohmann::json::array()}, {"stages", nlohmann::json::array()}};
  remark::RemarkCategories categories;
  categories.passed = categories.missed = categories.analysis = "(layer|kernel)-.*"; // graphc's own passes
  (void)remark::enableOptimizationRemarks(context, std::make_unique<RemarkListener>(*this),
                                          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories);
}

void Explainer::watch(PassManager &manager) { manager.addInstrumentation(std::make_unique<PassWatcher>(*this)); }

void Explainer::heard(const std::string &pass, const std::string &key, const std::string &layer, bool isDone,
                      std::string text) {
  // Both phases of a step are lowered alike, and a pass may run twice: once is enough.
  for (const Decision &known : facts.decisions)
    if (known.pass == pass && known.key == key && known.layer == layer && known.text == text)
      return;
  facts.decisions.push_back({pass, key, layer, isDone, std::move(text)});
}

void Explainer::counted(const std::string &pass, const std::string &name, uint64_t value) {
  for (PassCounter &counter : facts.counters)
    if (counter.pass == pass && counter.name == name) {
      counter.value += value;
      return;
    }
  facts.counters.push_back({pass, name, value});
}

void Explainer::begin(ModuleOp module) {
  if (wantsGraphs)
    snapshot(module, "imported");
}

/// What a pass left the first time, it may do the second.
void Explainer::beforePass(Pass *pass) {
  if (pass->getArgument() != "layer-fold-casts" || pass == lastFold)
    return;
  lastFold = pass;
  std::erase_if(facts.decisions, [](const Decision &decision) { return decision.pass == "layer-fold-casts"; });
}

void Explainer::afterPass(Pass *pass, Operation *op) {
  const StringRef flag = pass->getArgument();
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  if (flag == "layer-apply-policy")
    resolveRules(module);
  if (flag == "kernel-fuse-epilogues")
    if (auto step = dyn_cast<func::FuncOp>(op); step && step.getName() == kDecodeSymbol)
      findFates(step);
  if (!wantsGraphs || !flag.starts_with("layer-"))
    return;
  if (pass == lastPass) // the same pass on another graph of the module
    stages["stages"].erase(stages["stages"].size() - 1);
  lastPass = pass;
  snapshot(module, flag.drop_front(StringRef("layer-").size()));
}

} // namespace graphc
