// Compiled models in f32 against transformers: logits, hidden states and greedy
// tokens of every fixture (docs/Numerics.md: 2e-5 of the logits' range).
#include "Fixture.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

using namespace graphc;
using namespace graphc::system_test;

class CompiledGoldens : public testing::TestWithParam<std::string> {};

/// Against `expected` (layers, heads, tokens, keys); a session has a weight for
/// each key up to its capacity, zero beyond the tokens.
static void checkAttentions(const Session &session, int64_t tokens, const std::vector<float> &expected) {
  const int64_t capacity = session.options().capacity;
  size_t at = 0;
  for (int64_t layer = 0; at < expected.size(); ++layer) {
    auto weights = session.output("attentions." + std::to_string(layer));
    ASSERT_TRUE(weights.ok()) << weights.status();
    for (int64_t head = 0; head < weights->width / capacity; ++head)
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t key = 0; key < capacity; ++key) {
          const float golden = key < tokens ? expected[at++] : 0;
          ASSERT_NEAR(weights->at(t, head * capacity + key), golden, 2e-5) << "layer " << layer << " head " << head << " token " << t << " key " << key;
        }
  }
}

TEST_P(CompiledGoldens, logitsHiddenStatesAndTokensAgree) {
  const Golden golden = readGolden(GetParam());
  CompileOptions options;
  options.policy = {"compute=f32"};
  options.outputs = {"logits", "hidden_states"};
  const bool hasAttentions = std::filesystem::exists(folderOf(GetParam()) + "/attentions_0.npy");
  if (hasAttentions)
    options.outputs.push_back("attentions");
  const CompiledModel compiled = compileFixture(GetParam(), options);
  const auto model = openModel(compiled, GetParam());
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    const Ids &prompt = golden.prompts[i];
    const SessionOptions sizes{.capacity = golden.sessionLength, .logitRows = int64_t(prompt.size())};
    auto session = openSession(model, sizes);
    const std::vector<float> logits = logitsOf(*session, 0, prompt);
    const std::vector<float> expected = readValues(GetParam(), "logits_" + std::to_string(i) + ".npy");
    ASSERT_EQ(logits.size(), expected.size());
    double worst = 0;
    for (size_t k = 0; k < logits.size(); ++k)
      worst = std::fmax(worst, std::fabs(double(logits[k]) - expected[k]));
    EXPECT_LE(worst, golden.tolerance) << "prompt " << i << ", " << worst / golden.range << " of the range";

    const std::vector<float> states = readValues(GetParam(), "hidden_states_" + std::to_string(i) + ".npy");
    const auto [low, high] = std::minmax_element(states.begin(), states.end());
    size_t at = 0;
    for (int64_t layer = 0; at < states.size(); ++layer) {
      auto state = session->output("hidden_states." + std::to_string(layer));
      ASSERT_TRUE(state.ok()) << state.status();
      for (int64_t row = 0; row < state->rows; ++row)
        for (int64_t column = 0; column < state->width; ++column, ++at)
          ASSERT_NEAR(state->at(row, column), states[at], 2e-5 * (*high - *low)) << "state " << layer << " row " << row;
    }
    if (hasAttentions)
      checkAttentions(*session, int64_t(prompt.size()), readValues(GetParam(), "attentions_" + std::to_string(i) + ".npy"));
    EXPECT_EQ(greedy(model, {.capacity = golden.sessionLength}, prompt, golden.greedy[i].size()), golden.greedy[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompiledGoldens, testing::ValuesIn(kFixtures), testName);
