// Compiled models in f32 against transformers: logits, hidden states and greedy
// tokens of every fixture (docs/Numerics.md: 2e-5 of the logits' range).
#include "Fixture.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::system_test;

class CompiledGoldens : public testing::TestWithParam<std::string> {};

TEST_P(CompiledGoldens, logitsHiddenStatesAndTokensAgree) {
  const Golden golden = readGolden(GetParam());
  CompileOptions options;
  options.policy = {"compute=f32"};
  options.outputs = {"logits", "hidden_states"};
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
    EXPECT_EQ(greedy(model, {.capacity = golden.sessionLength}, prompt, golden.greedy[i].size()), golden.greedy[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompiledGoldens, testing::ValuesIn(kFixtures), testName);
