// graphc bench on a tiny model: what it counts, that its numbers agree with one
// another, and that its keys are those that docs/Performance.md promises. No
// speed is asserted.
#include "Fixture.h"
#include "tools/bench/RandomWeights.h"
#include "tools/bench/Report.h"

#include <algorithm>
#include <filesystem>

using namespace graphc;
using namespace graphc::bench;
using namespace graphc::system_test;
using nlohmann::ordered_json;

namespace {

// llama/mha: 2 layers, hidden 32, 4 heads and kv heads of 8, ffn 52, vocabulary 101, head untied.
constexpr double kLayer = 4 * 32 * 32 + 3 * 32 * 52, kHead = 101 * 32;

const CompiledModel &compileTiny() {
  static const CompiledModel compiled = [] {
    CompileOptions options;
    options.policy = {"compute=bf16,output=f32"};
    options.pins = {"bf16"};
    return compileFixture("llama/mha", options);
  }();
  return compiled;
}

TEST(Work, countsWhatAStepMustReadAndMultiply) {
  const CompiledModel &compiled = compileTiny();
  const bool hasDot = findTarget(compiled.program().targetName)->bf16Dot;
  for (const StepWork *step : {&compiled.work().prefill, &compiled.work().decode}) {
    EXPECT_EQ(double(step->weightBytes), 2 * (2 * (kLayer + 2 * 32) + 32 + kHead)) << "bf16 kernels and scales";
    EXPECT_EQ(step->tokenBytes, 2 * 32u) << "a row of the embedding";
    EXPECT_EQ(hasDot ? step->token.dot : step->token.f32, 2 * kLayer);
    EXPECT_EQ(hasDot ? step->logitsRow.dot : step->logitsRow.f32, kHead);
    EXPECT_EQ(hasDot ? step->token.f32 : step->token.dot, 0);
    ASSERT_EQ(step->attentions.size(), 2u);
    EXPECT_EQ(step->attentions[1].rowBytes, 2 * 2 * 32);
    EXPECT_EQ(step->attentions[1].heads, 4);
  }
}

TEST(Work, costsGrowWithBatchAndContext) {
  StepWork work;
  work.weightBytes = 1000;
  work.tokenBytes = 10;
  work.token.dot = 50;
  work.logitsRow.f32 = 7;
  work.attentions = {{.heads = 2, .kvHeads = 1, .headDim = 4, .window = 0, .rowBytes = 16, .isDot = true},
                     {.heads = 2, .kvHeads = 1, .headDim = 4, .window = 3, .rowBytes = 16, .isDot = false}};
  const int32_t lengths[] = {5, 0};
  const Cost step = costOf(work, lengths, 1);
  EXPECT_EQ(step.bytes, 1000 + 2 * 10 + 16 * (6 + 1) + 16 * (3 + 1));
  EXPECT_EQ(step.multiplyAdds.dot, 2 * 50 + 2 * 8 * (6 + 1));
  EXPECT_EQ(step.multiplyAdds.f32, 2 * 7 + 2 * 8 * (3 + 1));
  const int32_t empty[] = {0};
  const Cost prompt = costOf(work, empty, 4); // queries see 1, 2, 3, 4 keys; in the window 1, 2, 3, 3
  EXPECT_EQ(prompt.multiplyAdds.dot, 4 * 50 + 2 * 8 * 10);
  EXPECT_EQ(prompt.multiplyAdds.f32, 7 + 2 * 8 * 9);
  EXPECT_EQ(prompt.bytes, 1000 + 4 * 10 + 16 * 4 + 16 * 4);
}

TEST(Benchmark, limitIsTheSlowerOfReadingAndMultiplying) {
  const Limits limits{.readBandwidth = 100, .dotPeak = 40, .f32Peak = 20};
  bool isMemoryBound = false;
  EXPECT_EQ(limitSeconds({.bytes = 500, .multiplyAdds = {.dot = 20, .f32 = 10}}, limits, &isMemoryBound), 5);
  EXPECT_TRUE(isMemoryBound);
  EXPECT_EQ(limitSeconds({.bytes = 100, .multiplyAdds = {.dot = 20, .f32 = 10}}, limits, &isMemoryBound), 2);
  EXPECT_FALSE(isMemoryBound);
}

TEST(Benchmark, randomWeightsLeaveNothingBehind) {
  const CompiledModel &compiled = compileTiny();
  std::string folder;
  std::shared_ptr<const Model> model;
  {
    auto weights = RandomWeights::create(compiled.program());
    ASSERT_TRUE(weights.ok()) << weights.status();
    folder = weights->folder();
    model = *Model::open(*compiled.executable(), folder);
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
  auto session = openSession(model, {.capacity = 4, .logitRows = 4});
  const std::vector<float> logits = logitsOf(*session, 0, Ids{1, 2, 3, 4});
  EXPECT_TRUE(std::ranges::all_of(logits, [](float x) { return std::isfinite(x); }));
  EXPECT_NE(*std::ranges::min_element(logits), *std::ranges::max_element(logits));
}

std::vector<std::string> keysOf(const ordered_json &object) {
  std::vector<std::string> keys;
  for (const auto &[key, value] : object.items())
    keys.push_back(key);
  return keys;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values.size() % 2 ? values[values.size() / 2] : (values[values.size() / 2 - 1] + values[values.size() / 2]) / 2;
}

TEST(Benchmark, reportsRatesWithTheirRatios) {
  const CompiledModel &compiled = compileTiny();
  const Plan plan{.prompts = {8, 16}, .contexts = {20, 4}, .batches = {1, 3}, .threads = {1, 2}, .generated = 16, .repeats = 2};
  auto benchmark = runBenchmark(compiled, folderOf("llama/mha"), plan);
  ASSERT_TRUE(benchmark.ok()) << benchmark.status();
  const Subject subject{"mha", false, {"compute=bf16,output=f32"}, {"bf16"}, 2};
  const ordered_json report = reportJson(subject, compiled, *benchmark);

  using Keys = std::vector<std::string>;
  EXPECT_EQ(keysOf(report), (Keys{"format", "graphc", "model", "options", "machine", "compile", "start", "runs", "kernel_profiles", "memory"}));
  EXPECT_TRUE(report["kernel_profiles"].empty());
  EXPECT_EQ(keysOf(report["model"]), (Keys{"name", "family", "layers", "hidden_size", "vocab_size", "parameters", "weight_bytes",
                                           "random_weights"}));
  EXPECT_EQ(keysOf(report["options"]), (Keys{"policy", "pin_cache", "cache_dtype", "target", "repeat"}));
  EXPECT_EQ(keysOf(report["compile"]["phases"]),
            (Keys{"load", "layer", "kernel", "cpu", "lowering", "translate", "optimize", "emit"}));
  EXPECT_EQ(keysOf(report["start"]["first_token"]), (Keys{"prompt", "threads", "cold_seconds", "warm_seconds"}));
  EXPECT_EQ(keysOf(report["memory"]), (Keys{"peak_resident_bytes", "private_bytes", "compiled_private_bytes", "planned_private_bytes", "huge_page_bytes", "plan"}));
  EXPECT_EQ(report["model"]["parameters"], 2 * (kLayer + 2 * 32) + 32 + 2 * kHead);

  ASSERT_EQ(report["runs"].size(), 2 * 2 * (2 + 2u));
  for (const ordered_json &run : report["runs"]) {
    EXPECT_EQ(keysOf(run), (Keys{"phase", "batch", "threads", "context", "tokens", "steps", "seconds", "tokens_per_second", "ratio",
                                 "bound", "bytes", "dot_multiply_adds", "f32_multiply_adds", "limits", "samples"}));
    EXPECT_EQ(run["samples"].size(), run["phase"] == "prefill" ? 2u : 2 * 8u);
    std::vector<double> seconds, ratios;
    for (const ordered_json &sample : run["samples"]) {
      EXPECT_GT(sample["limits"]["read_bytes_per_second"], 0);
      EXPECT_GT(sample["limits"]["f32_operations_per_second"], 0);
      EXPECT_DOUBLE_EQ(double(sample["ratio"]), double(sample["limit_seconds"]) / double(sample["seconds"]));
      seconds.push_back(sample["seconds"]);
      ratios.push_back(sample["ratio"]);
    }
    EXPECT_DOUBLE_EQ(run["ratio"], median(ratios));
    EXPECT_DOUBLE_EQ(run["seconds"], median(seconds));
    EXPECT_DOUBLE_EQ(run["tokens_per_second"], double(run["tokens"]) / double(run["seconds"]));
  }
  // Decoding at 4 then at 20, whatever the order asked for: 16 steps behind 4 end at 20.
  EXPECT_EQ(report["runs"][2]["context"], 4);
  EXPECT_EQ(report["runs"][3]["context"], 20);
  EXPECT_LT(report["runs"][2]["bytes"], report["runs"][3]["bytes"]);
  EXPECT_NE(reportText(subject, compiled, *benchmark).find("decode "), std::string::npos);
}

TEST(Benchmark, timesEachKernelOfAStep) {
  CompileOptions options;
  options.policy = {"compute=bf16,output=f32"};
  options.pins = {"bf16"};
  options.trace = true;
  const CompiledModel traced = compileFixture("llama/mha", options);
  const Plan plan{.prompts = {8}, .contexts = {4}, .threads = {1}, .generated = 8, .repeats = 2};
  auto benchmark = runBenchmark(compileTiny(), folderOf("llama/mha"), plan, &traced);
  ASSERT_TRUE(benchmark.ok()) << benchmark.status();
  const ordered_json report = reportJson({"mha", false, {}, {}, 2}, compileTiny(), *benchmark);
  ASSERT_EQ(report["kernel_profiles"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const ordered_json &profile = report["kernel_profiles"][i], &run = report["runs"][i];
    EXPECT_EQ(keysOf(profile), (std::vector<std::string>{"phase", "batch", "threads", "context", "tokens", "seconds", "kernel_seconds",
                                                         "kernel_share", "limits", "kernels"}));
    EXPECT_EQ(profile["phase"], run["phase"]);
    // What all kernels must read and multiply is what the step must.
    double bytes = 0, multiplyAdds = 0, seconds = 0;
    int64_t calls = 0;
    std::vector<std::string> layers;
    for (const ordered_json &kernel : profile["kernels"]) {
      bytes += double(kernel["bytes"]);
      multiplyAdds += double(kernel["dot_multiply_adds"]) + double(kernel["f32_multiply_adds"]);
      seconds += double(kernel["seconds"]);
      calls += int64_t(kernel["calls"]);
      layers.push_back(kernel["layers"]);
      EXPECT_GT(double(kernel["seconds"]), 0) << kernel;
    }
    EXPECT_DOUBLE_EQ(profile["kernel_seconds"], seconds);
    EXPECT_EQ(size_t(calls), traced.program().kernels.size());
    EXPECT_TRUE(std::ranges::count(layers, "layers.*.ffn.gate") == 1 && std::ranges::count(layers, "language_modeling_head") == 1);
    const StepWork &work = i == 0 ? compileTiny().work().prefill : compileTiny().work().decode;
    const int32_t lengths[] = {int32_t(run["context"])};
    const Cost step = costOf(work, lengths, profile["tokens"]);
    EXPECT_DOUBLE_EQ(bytes, step.bytes);
    EXPECT_DOUBLE_EQ(multiplyAdds, step.multiplyAdds.dot + step.multiplyAdds.f32);
  }
  EXPECT_NE(reportText({"mha", false, {}, {}, 2}, compileTiny(), *benchmark).find("layers.*.ffn.gate"), std::string::npos);
}

TEST(Benchmark, refusesSessionsBeyondTheModel) {
  const CompiledModel &compiled = compileTiny();
  auto benchmark = runBenchmark(compiled, "", {.contexts = {int64_t(1) << 33}, .threads = {1}});
  EXPECT_EQ(benchmark.status().code(), absl::StatusCode::kInvalidArgument) << benchmark.status();
}

} // namespace
