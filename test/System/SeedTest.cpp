// Seed mode, compiled: the cache as tensors that the session carries from step to
// step. In f32 nothing is rounded, so its tokens are those of a pinned cache; the
// batches that one offset cannot serve are refused, with the remedy.
#include "Fixture.h"

using namespace graphc;
using namespace graphc::system_test;

namespace {
class SeedMode : public testing::TestWithParam<std::string> {
protected:
  std::shared_ptr<const Model> model(std::string mode, std::string policy) {
    CompileOptions options;
    options.policy = {std::move(policy)};
    options.cacheMode = std::move(mode);
    return openModel(compileFixture(GetParam(), options), GetParam());
  }
  Golden golden = readGolden(GetParam());
};
} // namespace

TEST_P(SeedMode, f32TokensAreThoseOfAPinnedCache) {
  const auto seed = model("seed", "compute=f32"), pinned = model("pinned", "compute=f32");
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    const SessionOptions options{.capacity = golden.sessionLength};
    const Ids tokens = greedy(seed, options, golden.prompts[i], golden.greedy[i].size());
    EXPECT_EQ(tokens, greedy(pinned, options, golden.prompts[i], golden.greedy[i].size()));
    EXPECT_EQ(tokens, golden.greedy[i]);
  }
}

class SeedSession : public SeedMode {};

TEST_P(SeedSession, splitPromptsBatchesAndResetsAgree) {
  const auto seed = model("seed", "compute=bf16,output=f32");
  const Ids &prompt = std::ranges::max(golden.prompts, {}, &Ids::size);
  const SessionOptions options{.capacity = golden.sessionLength, .logitRows = 2 * int64_t(prompt.size())};
  auto session = openSession(seed, options);
  const std::vector<float> whole = logitsOf(*session, 0, prompt);
  ASSERT_TRUE(session->reset(0).ok());
  const size_t first = 3; // fewer rows may have sums in another order
  ASSERT_GE(prompt.size(), 2 * first);
  std::vector<float> split = logitsOf(*session, 0, std::span(prompt).first(first));
  const std::vector<float> rest = logitsOf(*session, 0, std::span(prompt).subspan(first));
  split.insert(split.end(), rest.begin(), rest.end());
  EXPECT_EQ(split, whole);

  SessionOptions two = options;
  two.batch = 2;
  auto pair = openSession(seed, two);
  const NewTokens both[] = {{0, prompt, NewTokens::Logits::All}, {1, prompt, NewTokens::Logits::All}};
  auto view = pair->forward(both);
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(std::vector<float>(view->data, view->data + whole.size()), whole);
  EXPECT_EQ(std::vector<float>(view->data + whole.size(), view->data + 2 * whole.size()), whole);
  EXPECT_EQ(pair->reset(0).message(), "seed mode must empty all sequences together, got one of 2; make a new session");
}

TEST_P(SeedSession, refusesWhatOneOffsetCannotServe) {
  const auto seed = model("seed", "compute=bf16,output=f32");
  auto session = openSession(seed, {.batch = 2, .capacity = golden.sessionLength, .chunk = 5});
  const Ids two{1, 2}, three{1, 2, 3};
  const NewTokens one[] = {{0, two}}, unequal[] = {{0, two}, {1, three}}, many[] = {{0, three}, {1, three}};
  EXPECT_EQ(session->forward(one).status().message(),
            "seed mode must be given every one of 2 sequences in each forward, got 1; run them one by one, or compile "
            "with --cache-mode=pinned");
  EXPECT_EQ(session->forward(unequal).status().message(),
            "seed mode must be given as many tokens of each sequence, got 3 of sequence 1 after 2; run them one by one, "
            "or compile with --cache-mode=pinned");
  EXPECT_EQ(session->forward(many).status().message(),
            "seed mode must run several sequences in one call of at most 5 tokens, got 6; make a session of a larger "
            "chunk");
  EXPECT_EQ(session->lengths()[0], 0);
}

INSTANTIATE_TEST_SUITE_P(All, SeedMode, testing::Values("llama/mha", "gpt2/gelu_new"), testName);
INSTANTIATE_TEST_SUITE_P(All, SeedSession, testing::Values("llama/mha"), testName);
