// What passes keep, and that each is idempotent (property 12); what rules that do
// not fit are answered with (property 13).
#include "Properties.h"

#include "Compiler/Context.h"
#include "graphc/Compiler.h"
#include "passes/kernel/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace graphc;
using namespace graphc::properties;

//===-- Property 12 ---------------------------------------------------------------===//

namespace {

/// What one pass of a pipeline left behind.
struct Step {
  std::string pass; ///< Its textual form, options included.
  bool onGraph = false;
  std::string text; ///< The module after it.
};

/// Records every pass, and checks what it keeps.
struct Recorder : mlir::PassInstrumentation {
  Recorder(std::vector<Step> &steps) : steps(steps) {}

  void runAfterPass(mlir::Pass *pass, mlir::Operation *op) override {
    if (pass->getArgument().empty())
      return; // the adaptor of nested passes
    for (mlir::Operation *next = mlir::isa<layer::GraphOp>(op) ? op->getNextNode() : nullptr; next; next = next->getNextNode())
      if (mlir::isa<layer::GraphOp>(next))
        return; // the pass runs on the next graph as well
    Step step;
    llvm::raw_string_ostream stream(step.pass);
    pass->printAsTextualPipeline(stream);
    step.onGraph = mlir::isa<layer::GraphOp>(op);
    auto module = step.onGraph ? op->getParentOfType<mlir::ModuleOp>() : mlir::cast<mlir::ModuleOp>(op);
    llvm::raw_string_ostream text(step.text);
    module.print(text);
    checkPolicies(pass->getArgument(), module);
    checkPins(pass->getArgument(), module);
    steps.push_back(std::move(step));
  }

private:
  /// From ApplyPolicy on every layer that is there has the policy it was given.
  void checkPolicies(llvm::StringRef pass, mlir::ModuleOp module) {
    if (pass == "layer-apply-policy")
      policies.emplace();
    if (!policies)
      return;
    module.walk([&](layer::PolicyLayer op) {
      if (mlir::isa<layer::ContainerOp, layer::OptionalOp>(op))
        return; // they share the name of an output
      auto [known, fresh] = policies->try_emplace(op.getLayerName().str(), op.getLayerPolicy());
      EXPECT_TRUE(!fresh || pass == "layer-apply-policy") << op.getLayerName().str() << " is new after " << pass.str();
      EXPECT_EQ(known->second, op.getLayerPolicy()) << op.getLayerName().str() << " after " << pass.str();
    });
  }
  /// From PinCache on every slot has the types it was given.
  void checkPins(llvm::StringRef pass, mlir::ModuleOp module) {
    if (pass == "layer-pin-cache")
      pinned.emplace();
    if (!pinned)
      return;
    for (layer::GraphOp graph : module.getOps<layer::GraphOp>())
      for (mlir::Value argument : graph.getBody().getArguments())
        if (auto cache = mlir::dyn_cast<layer::CacheType>(argument.getType())) {
          if (pass == "layer-pin-cache")
            *pinned = cache;
          EXPECT_EQ(*pinned, cache) << "after " << pass.str();
        }
  }

  std::vector<Step> &steps;
  std::optional<std::map<std::string, layer::PolicyAttr>> policies;
  std::optional<mlir::Type> pinned;
};

/// Runs `setting` and, after that, each of its passes once more on what it made.
void expectIdempotent(const std::string &model, const Setting &setting) {
  std::vector<Step> steps;
  Module module(model);
  mlir::PassManager manager(&module.context);
  manager.addInstrumentation(std::make_unique<Recorder>(steps));
  layer::buildLayerPipeline(manager, setting);
  const auto handler = module.collect();
  ASSERT_TRUE(mlir::succeeded(manager.run(*module.module))) << module.diagnostics;
  ASSERT_GE(steps.size(), setting.seed ? 5u : 9u);
  for (const Step &step : steps) {
    Module again(step.text);
    ASSERT_TRUE(again.isReady()) << step.pass;
    const auto own = again.collect();
    mlir::PassManager one(&again.context);
    std::string error;
    llvm::raw_string_ostream stream(error);
    ASSERT_TRUE(mlir::succeeded(mlir::parsePassPipeline(
        step.pass, step.onGraph ? one.nest<layer::GraphOp>() : static_cast<mlir::OpPassManager &>(one), stream))) << error;
    ASSERT_TRUE(mlir::succeeded(one.run(*again.module))) << step.pass << again.diagnostics;
    EXPECT_EQ(again.text(), step.text) << step.pass << " is not idempotent under " << describe(setting);
  }
}

const bool registered = (layer::registerLayerPasses(), true);

/// One rule for each of some kinds of layers, any types.
Setting drawSetting(Draw &draw, bool hasEncoder) {
  const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
  Setting setting{.policy = policyOf(type(), type(), type())};
  for (const char *kind : {"dense", "attention", "add", "embedding", "split_heads", "merge_heads"})
    if (draw.maybe(40))
      for (const std::string &rule : policyOf(type(), type(), type()))
        setting.policy.push_back(kind + (":" + rule));
  if (draw.maybe(70))
    setting.pins = {draw.one<std::string>({"f32", "bf16", "f16", "k=bf16,v=f16", "k=auto,v=f32", "auto"})};
  setting.semantics = draw.one<std::string>({"graphc", "axon"});
  if (draw.maybe(40))
    setting.outputs = {"logits", draw.one<std::string>({"hidden_states", "attentions"})};
  if (draw.maybe(20))
    setting.absent = {"attention_mask"};
  setting.seed = draw.maybe(25) && !hasEncoder;
  if (setting.seed) { // attention has become another kind there
    setting.pins.clear();
    std::erase_if(setting.policy, [](const std::string &rule) { return rule.starts_with("attention:"); });
  }
  return setting;
}

} // namespace

TEST_P(Properties, Property12_PassesKeepPolicyAndPinAndAreIdempotent) {
  ASSERT_TRUE(registered);
  Draw draw(12);
  for (int round = 0; round < 24 && !HasFailure(); ++round)
    expectIdempotent(model().text, drawSetting(draw, model().hasEncoder()));
}

TEST(Passes, Property12_HoldsOnRandomGraphs) {
  for (uint64_t seed = 1; seed <= 40 && !testing::Test::HasFailure(); ++seed) {
    Draw draw(seed);
    const std::string text = textOf(drawDecoder(draw, /*forKernels=*/false));
    SCOPED_TRACE("seed " + std::to_string(seed));
    expectIdempotent(text, drawSetting(draw, /*hasEncoder=*/false));
  }
}

//===-- Property 13 ---------------------------------------------------------------===//

/// The names of the layers whose policy the rule set.
static std::set<std::string> selectedBy(const std::string &model, const std::string &rule) {
  Module module(model);
  EXPECT_TRUE(module.run([&](mlir::OpPassManager &manager) { manager.addPass(layer::createApplyPolicy({rule})); })) << module.diagnostics;
  std::set<std::string> names;
  module.module.get().walk([&](layer::PolicyLayer op) {
    if (op.getLayerPolicy())
      names.insert(op.getLayerName().str());
  });
  return names;
}

static std::set<std::string> layersWhere(const std::string &model, llvm::function_ref<bool(layer::PolicyLayer)> holds) {
  Module module(model);
  std::set<std::string> names;
  module.module.get().walk([&](layer::PolicyLayer op) {
    if (!mlir::isa<layer::ContainerOp, layer::OptionalOp>(op) && holds(op))
      names.insert(op.getLayerName().str());
  });
  EXPECT_FALSE(names.empty());
  return names;
}

TEST_P(DecoderProperties, Property13_RulesSelectByKindNameAndPath) {
  const std::string &text = model().text;
  const auto kindIs = [](llvm::StringRef kind) {
    return [kind](layer::PolicyLayer op) { return op->getName().stripDialect() == kind; };
  };
  EXPECT_EQ(selectedBy(text, "compute=bf16"), layersWhere(text, [](layer::PolicyLayer) { return true; }));
  for (const char *kind : {"dense", "attention", "embedding", "split_heads"}) {
    EXPECT_EQ(selectedBy(text, std::string(kind) + ":compute=bf16"), layersWhere(text, kindIs(kind)));
    EXPECT_EQ(selectedBy(text, "op:" + std::string(kind) + ":compute=bf16"), layersWhere(text, kindIs(kind)));
  }
  EXPECT_EQ(selectedBy(text, "*_heads:compute=bf16"), layersWhere(text, [](layer::PolicyLayer op) {
              return op->getName().stripDialect().ends_with("_heads") || op.getLayerName().ends_with("_heads");
            }));
  EXPECT_EQ(selectedBy(text, "name:language_modeling_head:compute=bf16"), std::set<std::string>{"language_modeling_head"});
  EXPECT_EQ(selectedBy(text, "layers.0.*:compute=bf16"),
            layersWhere(text, [](layer::PolicyLayer op) { return op.getLayerName().starts_with("layers.0."); }));
  EXPECT_EQ(selectedBy(text, "layers.0-0.self_attention*:compute=bf16"),
            layersWhere(text, [](layer::PolicyLayer op) { return op.getLayerName().starts_with("layers.0.self_attention"); }));
}

/// Every kind of mistake is an error, or a warning where a rule only does nothing,
/// that quotes the rule.
TEST_P(Properties, Property13_EveryMistakeIsDiagnosed) {
  struct Mistake {
    std::vector<std::string> policy, pins;
    const char *message;
    bool isError = true;
  };
  const Mistake mistakes[] = {
      {{"rms_nrom:compute=bf16"}, {}, "'rms_nrom' matches nothing"},
      {{"layers.99.*:compute=bf16"}, {}, "'layers.99.*' matches nothing"},
      {{"op:embedder:compute=bf16"}, {}, "matches nothing"},
      {{"name:dense:compute=bf16"}, {}, "matches nothing"},
      {{"*layers.0-9.*:compute=bf16"}, {}, "9"},
      {{"*layers.3-1.*:compute=bf16"}, {}, "3-1"},
      {{":compute=bf16"}, {}, "':compute=bf16'"},
      {{"compute=bf17"}, {}, "bf17"},
      {{"computes=bf16"}, {}, "computes"},
      {{"compute=bf16,compute=f32"}, {}, "compute"},
      {{"dense"}, {}, "dense"},
      {{"dense:"}, {}, "dense:"},
      {{"dense:compute=bf16", "compute=f32"}, {}, "'dense:compute=bf16'", false},
      {{}, {"layers.77:f16"}, "'layers.77' matches nothing"},
      {{}, {"*layers.0-8:f16"}, "8"},
      {{}, {"language_modeling_head:f16"}, "matches nothing"},
      {{}, {"f24"}, "f24"},
      {{}, {"q=f16"}, "q"},
      {{}, {"k=f16,k=bf16"}, "k"},
      {{}, {"f16", "bf16"}, "pin rule 'f16' has no effect", false},
      {{}, {"*layers.0:f16", "bf16"}, "pin rule '*layers.0:f16' has no effect", false},
  };
  for (const Mistake &mistake : mistakes) {
    const Setting setting{.policy = mistake.policy, .pins = mistake.pins};
    Module module(model().text);
    EXPECT_EQ(module.run(setting), !mistake.isError) << describe(setting);
    EXPECT_NE(module.diagnostics.find(mistake.message), std::string::npos)
        << describe(setting) << " must say '" << mistake.message << "', got: " << module.diagnostics;
  }
  // Without a cache there is nothing to pin; with an encoder there must be one.
  if (model().hasEncoder())
    return;
  Module uncached(model().text);
  EXPECT_FALSE(uncached.run({.pins = {"bf16"}, .absent = {"cache"}}));
  EXPECT_NE(uncached.diagnostics.find("the model has no cache"), std::string::npos);
}

/// A bare word that is a kind and the name of another layer asks which is meant.
TEST(Filters, Property13_AWordThatIsKindAndNameIsAnError) {
  std::string text = textOf({.blocks = {Block()}});
  for (size_t at; (at = text.find("\"embedder\"")) != text.npos;)
    text.replace(at, 10, "\"dense\"");
  Module module(text);
  ASSERT_TRUE(module.isReady());
  EXPECT_FALSE(module.run({.policy = {"dense:compute=bf16"}}));
  EXPECT_NE(module.diagnostics.find("op:"), std::string::npos) << module.diagnostics;
  EXPECT_NE(module.diagnostics.find("name:"), std::string::npos) << module.diagnostics;
  EXPECT_EQ(selectedBy(text, "name:dense:compute=bf16"), std::set<std::string>{"dense"});
}
