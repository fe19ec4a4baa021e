// The layer passes keep the meaning of a model: the interpreter gives the same
// bits for a module whose policies are requests and for the one that the
// pipeline makes of it, for every policy and pin.
#include "Models.h"
#include "RandomTensors.h"
#include "passes/layer/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace graphc;
using namespace graphc::reference;

namespace {
struct Setting {
  std::vector<std::string> policy, pins;
  std::string semantics = "graphc";
};

/// What a run shows: a prompt, then two tokens one by one.
struct Trace {
  std::vector<Tensor> outputs;
  CacheState cache;
};
} // namespace

constexpr int64_t kTokens = 5;
static const Tensor kMask(DType::I32, {2, kTokens}, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1});

template <typename AnyModel> static Trace trace(AnyModel &model, const Setting &setting) {
  Options options;
  options.sessionLength = 32;
  options.semantics = setting.semantics == "axon" ? Semantics::Axon : Semantics::Graphc;
  Interpreter interpreter = model.interpreter(options);
  Trace result{{}, *interpreter.createCache(2, 16)};
  const Tensor prompt(DType::I32, {2, kTokens}, {5, 1, 14, 7, 7, 0, 0, 10, 2, 9}), next(DType::I32, {2, 1}, {11, 12});
  for (const Tensor *ids : {&prompt, &next, &next}) {
    const auto outputs = interpreter.run(*ids, ids == &prompt ? &kMask : nullptr, &result.cache);
    EXPECT_TRUE(outputs.ok()) << outputs.status();
    for (const char *name : {"logits", "hidden_states"})
      if (const auto *tensors = outputs->find(name))
        result.outputs.insert(result.outputs.end(), tensors->begin(), tensors->end());
  }
  return result;
}

/// Runs passes that leave casts implicit, or the whole pipeline.
template <typename AnyModel>
static void runPasses(AnyModel &model, const Setting &setting, bool wholePipeline, std::vector<std::string> outputs) {
  mlir::PassManager manager(&model.context);
  layer::LayerPipelineOptions options;
  options.policy = setting.policy;
  options.pins = setting.pins;
  options.semantics = setting.semantics;
  options.outputs = std::move(outputs);
  const auto joined = [](const std::vector<std::string> &rules) {
    std::string text;
    for (const std::string &rule : rules)
      text += (text.empty() ? "" : ";") + rule;
    return text;
  };
  if (wholePipeline) {
    layer::buildLayerPipeline(manager, options);
  } else {
    manager.addPass(layer::createApplyPolicy({joined(setting.policy)}));
    manager.addPass(layer::createPinCache({joined(setting.pins)}));
  }
  ASSERT_TRUE(mlir::succeeded(manager.run(*model.module)));
}

static void expectSame(const Trace &a, const Trace &b) {
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (size_t i = 0; i < a.outputs.size(); ++i)
    for (int64_t e = 0; e < a.outputs[i].size(); ++e)
      ASSERT_EQ(a.outputs[i].data[e], b.outputs[i].data[e]) << "output " << i << ", element " << e;
  for (size_t block = 0; block < a.cache.blocks.size(); ++block)
    for (const bool values : {false, true}) {
      const auto side = [&](const Trace &t) {
        return values ? t.cache.blocks[block].self.values.rows : t.cache.blocks[block].self.keys.rows;
      };
      EXPECT_EQ(side(a).dtype, side(b).dtype);
      const auto scales = [&](const Trace &t) {
        return values ? t.cache.blocks[block].self.values.scales : t.cache.blocks[block].self.keys.scales;
      };
      for (int64_t e = 0; e < scales(a).size(); ++e)
        ASSERT_TRUE(scales(a).data[e] == scales(b).data[e] || std::isnan(scales(a).data[e])) << "block " << block;
      for (int64_t e = 0; e < side(a).size(); ++e)
        ASSERT_TRUE(side(a).data[e] == side(b).data[e] || std::isnan(side(a).data[e])) << "block " << block;
    }
}

static void expectPipelineKeeps(const std::string &fixture, const Setting &setting) {
  const std::string folder = std::string(GRAPHC_TEST_DIR) + "/models/" + fixture;
  Model requested(folder), compiled(folder);
  ASSERT_TRUE(requested.isReady() && compiled.isReady());
  runPasses(requested, setting, /*wholePipeline=*/false, {});
  runPasses(compiled, setting, /*wholePipeline=*/true, {"logits", "hidden_states"});
  expectSame(trace(requested, setting), trace(compiled, setting));
}

class LayerPipeline : public testing::TestWithParam<std::string> {};

TEST_P(LayerPipeline, keepsMeaningUnderEveryPolicyAndPin) {
  for (const std::string compute : {"f32", "bf16", "f16"})
    for (const std::string output : {"", "f32", "bf16", "f16"})
      for (const std::string pin : {"", "f32", "bf16", "f16", "k=bf16,v=f16", "k=int8,v=f8E4M3FN"}) {
        Setting setting;
        setting.policy = {"compute=" + compute + (output.empty() ? "" : ",output=" + output)};
        if (!pin.empty())
          setting.pins = {pin};
        SCOPED_TRACE(setting.policy[0] + " pin " + pin);
        expectPipelineKeeps(GetParam(), setting);
      }
}

TEST_P(LayerPipeline, keepsMeaningUnderMixedPolicies) {
  for (const std::string semantics : {"graphc", "axon"})
    for (const std::string &policy : {"compute=bf16,output=f32;add:compute=f32", "compute=bf16;layers.0.*:compute=f32",
                                      "attention:compute=bf16", "params=bf16", "compute=f16,output=bf16",
                                      "compute=bf16,output=f16,params=f16", "split_heads:compute=bf16",
                                      "dense:compute=bf16", "attention:output=bf16", "attention:compute=f32,output=bf16;dense:compute=bf16"}) {
      Setting setting{{}, {"k=f16,v=bf16"}, semantics};
      for (size_t begin = 0; begin < policy.size();) {
        const size_t end = std::min(policy.find(';', begin), policy.size());
        setting.policy.push_back(policy.substr(begin, end - begin));
        begin = end + 1;
      }
      SCOPED_TRACE(semantics + " " + policy);
      expectPipelineKeeps(GetParam(), setting);
    }
}

TEST_P(LayerPipeline, keepsMeaningUnderRandomPolicies) {
  // Every kind of layer gets types of its own, or none.
  std::vector<std::string> kinds;
  Model model(std::string(GRAPHC_TEST_DIR) + "/models/" + GetParam());
  model.module->walk([&](layer::PolicyLayer op) {
    const std::string kind = op->getName().stripDialect().str();
    if (!llvm::is_contained(kinds, kind))
      kinds.push_back(kind);
  });
  RandomTensors random(std::hash<std::string>()(GetParam()));
  const auto maybe = [&](const std::string &key) {
    const char *const types[] = {"", "f32", "bf16", "f16"};
    const std::string type = types[random.integer(0, 3)];
    return type.empty() ? type : "," + key + "=" + type;
  };
  for (int round = 0; round < 8; ++round) {
    Setting setting;
    for (const std::string &kind : kinds)
      if (const std::string keys = maybe("params") + maybe("compute") + maybe("output"); !keys.empty())
        setting.policy.push_back(kind + ":" + keys.substr(1));
    if (const std::string pin = maybe("k") + maybe("v"); !pin.empty())
      setting.pins = {pin.substr(1)};
    setting.semantics = round % 2 ? "axon" : "graphc";
    std::string text = setting.semantics;
    for (const auto &rules : {setting.policy, setting.pins})
      for (const std::string &rule : rules)
        text += " " + rule;
    SCOPED_TRACE(text);
    expectPipelineKeeps(GetParam(), setting);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, LayerPipeline, testing::ValuesIn(fixtures()), fixtureTestName);
