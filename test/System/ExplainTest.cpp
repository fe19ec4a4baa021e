// Explanations through the API: the numbers that they give are those of the
// compiled model, for every policy.
#include "Compiler/Context.h"
#include "Compiler/Explainer.h"
#include "Compiler/Source.h"
#include "Fixture.h"
#include "passes/layer/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace graphc;
using namespace graphc::system_test;
using nlohmann::json;

static json explained(const std::string &fixture, const CompileOptions &options) {
  absl::StatusOr<Explanation> explanation = explain(folderOf(fixture), options);
  EXPECT_TRUE(explanation.ok()) << explanation.status();
  if (!explanation.ok())
    return json::object();
  absl::StatusOr<json> parsed = parseJson(explanation->json(), fixture);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *std::move(parsed) : json::object();
}

static CompileOptions options(std::vector<std::string> policy, std::vector<std::string> pins = {}, std::vector<std::string> outputs = {}) {
  CompileOptions result;
  result.policy = std::move(policy);
  result.pins = std::move(pins);
  result.outputs = std::move(outputs);
  return result;
}

class Explain : public testing::TestWithParam<std::string> {};

/// Numerics F8: lowering and fusion neither add nor remove a rounding point.
TEST_P(Explain, roundingPointsOfTheLayersAreThoseOfTheKernels) {
  for (const CompileOptions &setting :
       {options({}), options({"compute=bf16"}), options({"compute=bf16,output=f32"}, {"k=bf16,v=f16"}, {"logits", "hidden_states"}),
        options({"compute=f16,output=bf16"}), options({"dense:compute=bf16", "add:compute=f32"}, {"f16"}),
        options({"compute=bf16", "attention:output=f16"}), options({"split_heads:compute=bf16"})}) {
    const json report = explained(GetParam(), setting);
    int64_t ofLayers = 0, ofKernels = 0;
    for (const json &rounding : report["roundings"])
      ofLayers += rounding["layers"].get<int64_t>() + rounding["casts"].get<int64_t>();
    for (const json &kernel : report["kernels"]["list"])
      ofKernels += kernel["runs"].get<int64_t>() * kernel["roundings"].get<int64_t>();
    EXPECT_EQ(ofLayers, ofKernels) << testing::PrintToString(setting.policy);
  }
}

/// Casts of parameters are the conversions that the plan pays for, and no cast of
/// an activation moves memory unless its value is wanted in two types.
TEST_P(Explain, convertedWeightsAreThoseOfThePlan) {
  const json report = explained(GetParam(), options({"compute=bf16,output=f32"}, {"bf16"}));
  uint64_t converted = 0;
  for (const json &weight : report["weights"])
    converted += weight["residency"] == "converted" ? weight["bytes"].get<uint64_t>() : 0;
  EXPECT_EQ(converted, report["plan"]["weights_converted"].get<uint64_t>());
  for (const json &cast : report["casts"]) {
    EXPECT_EQ(cast["bytes_per_step"], 0) << cast;
    EXPECT_FALSE(cast["on_cache"].get<bool>()) << cast;
    EXPECT_FALSE(cast["because"].empty()) << cast;
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Explain, testing::ValuesIn({std::string("llama/mha"), std::string("llama/mqa_bias_one_layer"),
                                                              std::string("gpt2/gelu_new")}), testName);

TEST(Limits, areContractsOfTheApi) {
  CompileOptions setting = options({"compute=bf16"}, {"v=f16"});
  setting.stage = Stage::Kernel;
  const size_t casts = explained("llama/mqa_bias_one_layer", setting)["casts"].size();
  ASSERT_GT(casts, 0u);
  setting.maxCasts = casts;
  EXPECT_TRUE(compile(folderOf("llama/mqa_bias_one_layer"), setting).ok());
  setting.maxCasts = casts - 1;
  absl::StatusOr<CompiledModel> compiled = compile(folderOf("llama/mqa_bias_one_layer"), setting);
  ASSERT_FALSE(compiled.ok());
  EXPECT_EQ(errorKind(compiled.status()), ErrorKind::Contract) << compiled.status();
  setting.maxCasts.reset();
  for (const std::string &name : deniableNames())
    setting.deny.push_back(name);
  EXPECT_TRUE(compile(folderOf("llama/mqa_bias_one_layer"), setting).ok());
  setting.deny = {"casts"};
  EXPECT_EQ(errorKind(compile(folderOf("llama/mqa_bias_one_layer"), setting).status()), ErrorKind::Usage);
}

TEST(Limits, leaveTheCodeAsItIs) {
  CompileOptions setting = options({"compute=bf16"}, {"bf16"});
  setting.stage = Stage::Kernel;
  absl::StatusOr<CompiledModel> plain = compile(folderOf("llama/mqa_bias_one_layer"), setting);
  setting.maxCasts = 1000;
  absl::StatusOr<CompiledModel> limited = compile(folderOf("llama/mqa_bias_one_layer"), setting);
  ASSERT_TRUE(plain.ok() && limited.ok());
  EXPECT_EQ(plain->output(), limited->output());
}

/// The seed's cache is tensors that every node casts; a pinned one no cast can reach.
TEST(Limits, findCastsOnTheCacheOfTheSeed) {
  for (bool seed : {false, true}) {
    CompilerContext context;
    DiagnosticText diagnostics(&context);
    auto module = loadModel(context, diagnostics, folderOf("llama/mqa_bias_one_layer"));
    ASSERT_TRUE(module.ok()) << module.status();
    CompileOptions setting = options({"compute=bf16,output=f32"});
    setting.deny = {"cast-on-cache"};
    Explainer explainer(setting, context, /*graphs=*/false);
    layer::LayerPipelineOptions layers;
    layers.policy = setting.policy;
    layers.seed = seed;
    mlir::PassManager manager(&context);
    layer::buildLayerPipeline(manager, layers);
    explainer.watch(manager);
    ASSERT_TRUE(mlir::succeeded(manager.run(**module))) << diagnostics.takeErrors();
    explainer.layersDone(**module);
    const absl::Status status = checkLimits(explainer.report(), setting);
    EXPECT_EQ(absl::IsAborted(status), seed) << status;
    if (!seed)
      continue;
    const std::string message(status.message());
    EXPECT_NE(message.find("(rule 'compute=bf16,output=f32') for cache.0.put, made by materialize-casts"), message.npos) << message;
    // The new rows are cast as well, but they are not the cache.
    EXPECT_EQ(message.find("self_attention.value.heads: "), message.npos) << message;
  }
}
