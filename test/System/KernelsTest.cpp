// Every kernel of real fixtures within its bound: policy x pin over {f32, bf16,
// f16}^3, 8-bit pins and parameters, and seed mode, where each cast of a whole cache
// tensor is a kernel as well.
#include "Fixture.h"
#include "KernelByKernel.h"

#include <algorithm>

using namespace graphc;
using namespace graphc::system_test;

namespace {

using Combination = std::tuple<std::string, std::string, std::string, std::string>;
class Kernels : public testing::TestWithParam<Combination> {};

/// A prompt, or a source and what its decoder starts with, and a decode step.
void compareKernels(const std::string &fixture, CompileOptions options) {
  const Golden golden = readGolden(fixture);
  options.stage = Stage::Layer;
  const std::string layers = compileFixture(fixture, options).output();
  options.stage = Stage::Object;
  options.trace = true;
  KernelByKernel kernels(layers, compileFixture(fixture, options), folderOf(fixture), golden.sessionLength, golden.sessionLength,
                         int64_t(golden.prompts[0].size()));
  if (!golden.decoderPrompts.empty())
    kernels.encode(golden.prompts[0]);
  kernels.step(golden.decoderPrompts.empty() ? golden.prompts[0] : golden.decoderPrompts[0]);
  kernels.step({golden.greedy[0][0]});
  kernels.finish();
}

} // namespace

TEST_P(Kernels, everyResultIsWithinItsBound) {
  const auto &[fixture, compute, output, pin] = GetParam();
  CompileOptions options;
  options.policy = {"compute=" + compute + ",output=" + output};
  options.pins = {pin};
  options.outputs = {"logits", "hidden_states", "attentions"};
  if (std::ranges::find(kEncoderDecoders, fixture) != kEncoderDecoders.end())
    options.outputs.insert(options.outputs.end(), {"cross_attentions", "encoder_hidden_states", "encoder_attentions"});
  compareKernels(fixture, options);
}

TEST(KernelsOfEightBitParameters, everyResultIsWithinItsBound) {
  for (const auto &[fixture, dtype] : {std::pair("llama/mha", "f8E4M3FN"), std::pair("gpt2/gelu_new", "f8E5M2")}) {
    SCOPED_TRACE(std::string(fixture) + " " + dtype);
    CompileOptions options;
    options.policy = {"compute=bf16,output=f32", std::string("*.kernel:params=") + dtype};
    compareKernels(fixture, options);
  }
}

/// Decode steps whose keys are several segments.
TEST(KernelsOfLongContexts, everyResultIsWithinItsBound) {
  for (const auto &[compute, pin] : {std::pair("bf16", "bf16"), std::pair("f16", "k=int8,v=f32")}) {
    SCOPED_TRACE(std::string(compute) + " " + pin);
    CompileOptions options;
    options.policy = {std::string("compute=") + compute + ",output=f32"};
    options.pins = {pin};
    options.outputs = {"logits", "attentions"};
    options.stage = Stage::Layer;
    const std::string layers = compileFixture("demo/checkpoint", options).output();
    options.stage = Stage::Object;
    options.trace = true;
    KernelByKernel kernels(layers, compileFixture("demo/checkpoint", options), folderOf("demo/checkpoint"), 320, 320);
    std::vector<int32_t> ids(280);
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = int32_t(i * 37 % 2048);
    kernels.step(ids);
    kernels.step({5});
    kernels.finish();
  }
}

static std::string combinationName(const testing::TestParamInfo<Combination> &info) {
  const auto &[fixture, compute, output, pin] = info.param;
  return testName({fixture + "_" + compute + "_" + output + "_" + pin, 0});
}

INSTANTIATE_TEST_SUITE_P(PolicyTimesPin, Kernels,
                         testing::Combine(testing::Values("llama/mha", "gpt2/gelu_new"),
                                          testing::Values("f32", "bf16", "f16"), testing::Values("f32", "bf16", "f16"),
                                          testing::Values("f32", "bf16", "f16")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitPins, Kernels,
                         testing::Combine(testing::Values("llama/mha"), testing::Values("f32", "bf16", "f16"),
                                          testing::Values("f32"), testing::Values("int8", "f8E4M3FN", "f8E5M2")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitPinsOfGpt2, Kernels,
                         testing::Combine(testing::Values("gpt2/gelu_new"), testing::Values("bf16"), testing::Values("f16"),
                                          testing::Values("int8", "f8E4M3FN", "f8E5M2")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitSides, Kernels,
                         testing::Combine(testing::Values("mistral/window"), testing::Values("bf16"), testing::Values("f32"),
                                          testing::Values("int8", "k=int8,v=f16", "k=bf16,v=f8E4M3FN")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(Fixtures, Kernels,
                         testing::Combine(testing::ValuesIn(kFixtures), testing::Values("bf16"), testing::Values("f32"),
                                          testing::Values("bf16")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EncoderDecoders, Kernels,
                         testing::Combine(testing::ValuesIn(kEncoderDecoders), testing::Values("f32", "bf16"),
                                          testing::Values("f32"), testing::Values("bf16")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EncoderDecoderPins, Kernels,
                         testing::Combine(testing::Values("t5/relu"), testing::Values("bf16"), testing::Values("bf16"),
                                          testing::Values("*.cross_attention:k=f32,v=f16", "f16", "int8", "f8E4M3FN", "f8E5M2",
                                                          "*.cross_attention:k=int8,v=f16", "*.self_attention:f8E4M3FN")),
                         combinationName);

/// Fixture, compute, output: the policies under which leaves are cast in every
/// node, in none, and between two types of 16 bits.
using SeedCombination = std::tuple<std::string, std::string, std::string>;
class SeedKernels : public testing::TestWithParam<SeedCombination> {};

TEST_P(SeedKernels, everyResultIsWithinItsBound) {
  const auto &[fixture, compute, output] = GetParam();
  CompileOptions options;
  options.policy = {"compute=" + compute + ",output=" + output};
  options.cacheMode = "seed";
  compareKernels(fixture, options);
}

static std::string seedCombinationName(const testing::TestParamInfo<SeedCombination> &info) {
  const auto &[fixture, compute, output] = info.param;
  return testName({fixture, 0}) + "_" + compute + "_" + output;
}

INSTANTIATE_TEST_SUITE_P(All, SeedKernels,
                         testing::Values(SeedCombination("llama/mha", "f32", "f32"), SeedCombination("llama/mha", "f16", "bf16"),
                                         SeedCombination("llama/mqa_bias_one_layer", "bf16", "f32"),
                                         SeedCombination("gpt2/gelu_new", "bf16", "bf16")),
                         seedCombinationName);
