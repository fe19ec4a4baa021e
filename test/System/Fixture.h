// A fixture of test/models: its folder, its golden data, and ways to run it.
#pragma once

#include "Support/Json.h"
#include "Support/Npy.h"
#include "graphc/Compiler.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace graphc::system_test {

using Ids = std::vector<int32_t>;

struct Golden {
  std::vector<Ids> prompts, greedy;
  std::vector<Ids> decoderPrompts; ///< With an encoder; prompts are its sources.
  int64_t sessionLength = 0;
  double range = 0;     ///< Of the logits.
  double tolerance = 0; ///< 2e-5 of it.
};

inline const std::vector<std::string> kFixtures = {
    "llama/mha", "llama/mqa_bias_one_layer", "llama/linear", "llama/dynamic", "llama/yarn", "llama/yarn_mscale",
    "llama/longrope", "llama/longrope_short", "llama/llama3", "mistral/window", "mistral/no_window", "gpt2/gelu_new", "gpt2/prefixless",
    "gpt2/relu_unscaled_untied", "gpt2/gelu_inverse_layer"};

/// Those with an encoder.
inline const std::vector<std::string> kEncoderDecoders = {"t5/relu", "t5/gated_gelu", "bart/scaled", "bart/relu"};

inline std::string folderOf(const std::string &fixture) { return std::string(GRAPHC_TEST_DIR) + "/models/" + fixture; }

/// "llama/mha" as a test's name.
inline std::string testName(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  for (char &c : name)
    if (!isalnum(static_cast<unsigned char>(c)))
      c = '_';
  return name;
}

Golden readGolden(const std::string &fixture);
/// f32 values of an .npy file of the fixture.
std::vector<float> readValues(const std::string &fixture, const std::string &file);

/// Compiles the fixture; fails the test if that fails.
CompiledModel compileFixture(const std::string &fixture, const CompileOptions &options);
std::shared_ptr<const Model> openModel(const CompiledModel &compiled, const std::string &fixture);
std::unique_ptr<Session> openSession(std::shared_ptr<const Model> model, SessionOptions options);

/// Lets one sequence read a source.
void encode(Session &session, int64_t sequence, const Ids &source);
/// Logits of all `ids` of one sequence: (ids, vocab).
std::vector<float> logitsOf(Session &session, int64_t sequence, std::span<const int32_t> ids);
/// Greedy continuation of a prompt in a new session.
Ids greedy(std::shared_ptr<const Model> model, SessionOptions options, const Ids &prompt, size_t count);
/// Lowest index of the greatest value.
int32_t argmax(std::span<const float> values);

} // namespace graphc::system_test
