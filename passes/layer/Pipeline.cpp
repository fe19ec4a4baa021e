// The order of the layer passes. Policies are applied before outputs are pruned,
// so that a rule for a layer that goes is no error; outputs are pruned before
// casts fold, since a wide output keeps its producer wide; the cache is pinned
// after fusion, and what the pin's casts allow is folded last. In seed mode the
// cache is expanded first, so that rules select its nodes too.
#include "Support/Message.h"
#include "passes/layer/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace graphc::layer {

namespace {
#define GEN_PASS_REGISTRATION
#include "passes/layer/Passes.h.inc"

/// The same options as text, for `--layer-pipeline=`.
struct TextOptions : PassPipelineOptions<TextOptions> {
  Option<std::string> policy{*this, "policy", llvm::cl::desc("policy rules with ';' between them")};
  Option<std::string> pins{*this, "pin-cache", llvm::cl::desc("pin rules with ';' between them")};
  ListOption<std::string> outputs{*this, "outputs", llvm::cl::desc("outputs to keep")};
  ListOption<std::string> absent{*this, "absent", llvm::cl::desc("inputs that are not given")};
  Option<bool> seed{*this, "seed", llvm::cl::desc("the cache as tensors that follow the policy"), llvm::cl::init(false)};
  Option<bool> report{*this, "report", llvm::cl::desc("remarks on what was counted"), llvm::cl::init(false)};
  Option<std::string> semantics{*this, "semantics", llvm::cl::desc("graphc or axon"), llvm::cl::init("graphc")};
};

} // namespace

void buildLayerPipeline(OpPassManager &manager, const LayerPipelineOptions &options) {
  manager.addPass(createResolveOptional({{options.absent.begin(), options.absent.end()}, options.report}));
  if (options.seed)
    manager.addPass(createExpandCache({options.report}));
  manager.addPass(createApplyPolicy({join(options.policy, ";"), options.report}));
  manager.addPass(createPruneOutputs({{options.outputs.begin(), options.outputs.end()}, options.report}));
  OpPassManager &casts = manager.nest<GraphOp>();
  casts.addPass(createMaterializeCasts({options.semantics, options.report}));
  if (options.seed)
    return; // what the seed executes: every cast, and no cache type to fuse or pin
  casts.addPass(createFoldCasts({options.report}));
  casts.addPass(createFuseCache({options.report}));
  manager.addPass(createPinCache({join(options.pins, ";"), options.report}));
  manager.addNestedPass<GraphOp>(createFoldCasts({options.report}));
  manager.addPass(createVerifyCache(options.report, options.cacheFacts));
}

void registerLayerPasses() {
  registerLayerTdPasses();
  PassPipelineRegistration<TextOptions>(
      "layer-pipeline", "policies to explicit casts, outputs pruned, the cache fused and pinned",
      [](OpPassManager &manager, const TextOptions &text) {
        LayerPipelineOptions options;
        options.policy = {text.policy};
        options.pins = {text.pins};
        options.outputs.assign(text.outputs.begin(), text.outputs.end());
        options.absent.assign(text.absent.begin(), text.absent.end());
        options.seed = text.seed;
        options.report = text.report;
        options.semantics = text.semantics;
        buildLayerPipeline(manager, options);
      });
}

} // namespace graphc::layer
