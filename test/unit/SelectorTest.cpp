// Selectors: what each form matches, and that every error names the culprit and
// what to write instead.
#include "Support/Nearest.h"
#include "Support/Selector.h"

#include <gtest/gtest.h>

using namespace graphc;

namespace {
bool matches(std::string_view pattern, std::string_view name) {
  auto glob = Glob::parse(pattern);
  EXPECT_TRUE(glob.ok()) << glob.status();
  return glob.ok() && glob->matches(name);
}

const Selectable kModel[] = {
    {"embedding", "embedder"},
    {"rms_norm", "layers.0.self_attention_norm"},
    {"attention", "layers.0.self_attention"},
    {"dense", "layers.0.ffn.gate"},
    {"rms_norm", "layers.1.self_attention_norm"},
    {"attention", "layers.1.self_attention"},
    {"dense", "layers.1.ffn.gate"},
    {"rms_norm", "output_norm"},
    {"dense", "rms_norm"},
};

std::vector<size_t> selected(std::string_view text, bool ancestors = false) {
  auto selector = Selector::parse(text);
  EXPECT_TRUE(selector.ok()) << selector.status();
  auto indices = selector->select(kModel, ancestors);
  EXPECT_TRUE(indices.ok()) << indices.status();
  return indices.value_or(std::vector<size_t>());
}

std::string refusal(std::string_view text) {
  auto selector = Selector::parse(text);
  if (!selector.ok())
    return std::string(selector.status().message());
  auto indices = selector->select(kModel);
  EXPECT_FALSE(indices.ok()) << text;
  return std::string(indices.status().message());
}

using Indices = std::vector<size_t>;
} // namespace

TEST(Glob, starCrossesDotsAndMayBeEmpty) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*", "layers.0.ffn"));
  EXPECT_TRUE(matches("layers.*.gate", "layers.0.ffn.gate"));
  EXPECT_FALSE(matches("layers.*.gate", "layers.0.ffn.gates"));
  EXPECT_TRUE(matches("*.kernel", "layers.0.ffn.gate.kernel"));
  EXPECT_TRUE(matches("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(matches("*ab", "aab"));
  EXPECT_TRUE(matches("a**b", "ab"));
  EXPECT_FALSE(matches("a*b", "a"));
}

TEST(Glob, rangesAreWholeComponents) {
  EXPECT_TRUE(matches("layers.0-3.ffn", "layers.0.ffn"));
  EXPECT_TRUE(matches("layers.0-3.ffn", "layers.3.ffn"));
  EXPECT_FALSE(matches("layers.0-3.ffn", "layers.4.ffn"));
  EXPECT_FALSE(matches("layers.0-3", "layers.30"));
  EXPECT_FALSE(matches("layers.0-3", "layers.03"));
  EXPECT_FALSE(matches("layers.0-3", "layers."));
  EXPECT_TRUE(matches("*.9-11.*", "a.b.10.c"));
  EXPECT_TRUE(matches("0-1.0-1", "1.0"));
  EXPECT_TRUE(matches("*.0-3.*", "a.7.1.b"));
  EXPECT_TRUE(matches("a-b", "a-b"));
}

TEST(Glob, manyStarsStayFast) {
  std::string pattern, name(5000, 'a');
  for (int i = 0; i < 500; ++i)
    pattern += "*a";
  EXPECT_TRUE(matches(pattern, name));
  EXPECT_FALSE(matches(pattern + "b", name));
}

TEST(Selector, selectsByKindNameGlobAndRange) {
  EXPECT_EQ(selected("attention"), (Indices{2, 5}));
  EXPECT_EQ(selected("embedder"), Indices{0});
  EXPECT_EQ(selected("layers.1.*"), (Indices{4, 5, 6}));
  EXPECT_EQ(selected("layers.0-1.ffn.gate"), (Indices{3, 6}));
  EXPECT_EQ(selected("*").size(), 9u);
  EXPECT_EQ(selected("op:rms_norm"), (Indices{1, 4, 7}));
  EXPECT_EQ(selected("name:rms_norm"), Indices{8});
}

TEST(Selector, aNameSelectsWhatIsBelowItOnRequest) {
  EXPECT_EQ(selected("layers.1", /*ancestors=*/true), (Indices{4, 5, 6}));
  EXPECT_EQ(selected("layers.0-1", /*ancestors=*/true).size(), 6u);
}

TEST(Selector, aPathThatIsNoLayerIsToldHowToSelectWhatIsBelowIt) {
  EXPECT_EQ(refusal("layers.1"),
            "'layers.1' matches nothing; nearest: 'layers.1.*', 'layers.1.ffn.*', 'layers.1.ffn.gate'");
  EXPECT_EQ(refusal("layers.7"), "'layers.7' matches nothing; nearest: 'layers.*', 'layers.0.*', 'layers.1.*'");
}

TEST(Selector, aGlobThatIsAKindAndANameButSelectsTheSameIsNoAmbiguity) {
  const Selectable norms[] = {{"rms_norm", "a_norm"}, {"rms_norm", "b_norm"}, {"dense", "c"}};
  EXPECT_EQ(*Selector::parse("*_norm")->select(norms), (Indices{0, 1}));
}

TEST(Selector, refusals) {
  EXPECT_EQ(refusal("rms_norm"), "'rms_norm' is a kind of layer and a name; write 'op:rms_norm' or 'name:rms_norm'");
  EXPECT_EQ(refusal("rmsnorm"), "'rmsnorm' matches nothing; nearest: 'rms_norm', 'dense', 'embedder'");
  EXPECT_EQ(refusal("op:atention"), "'op:atention' matches nothing; nearest: 'attention', 'dense', 'embedding'");
  EXPECT_EQ(refusal("layers.0-3.*"), "'layers.0-3.*' matches only in part: nothing has 2 in place of '0-3'");
  EXPECT_EQ(refusal("layers.0-999999999.*"),
            "'layers.0-999999999.*' matches only in part: nothing has 2 in place of '0-999999999'");
  EXPECT_EQ(refusal("layers.3-0.*"), "range must run upwards, got '3-0'; write '0-3'");
  EXPECT_EQ(refusal("layers.0-1000000000"), "range bounds must have at most nine digits, got '0-1000000000'");
  EXPECT_EQ(refusal(""), "selector must not be empty; '*' selects everything");
  EXPECT_EQ(refusal("kind:x"), "selector must start with 'op:' or 'name:' or have no colon, got 'kind:x'");
  EXPECT_EQ(refusal("a b"), "selector must consist of letters, digits, '.', '_', '-', '/', '$' and '*', got 'a b'");
}

TEST(Nearest, ranksByEditDistance) {
  EXPECT_EQ(editDistance("bf16", "bf16"), 0u);
  EXPECT_EQ(editDistance("bf61", "bf16"), 2u);
  EXPECT_EQ(editDistance("", "abc"), 3u);
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(editDistance(std::string(100000, 'a'), std::string(100000, 'b')), 256u);
  const std::string_view known[] = {"f32", "bf16", "f16", "f16"};
  EXPECT_EQ(nearestNames("fp16", known, 2), (std::vector<std::string_view>{"f16", "bf16"}));
  EXPECT_EQ(nearestHint("x", {}), "");
}
