// Runtime/Sampler: greedy and its ties, the distribution, the cuts, the seed.
#include "Runtime/Sampler.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

using namespace graphc;

namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// How often each token comes up in `rounds` draws.
std::vector<int> frequencies(const SamplingOptions &options, const std::vector<float> &logits,
                             int rounds) {
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < rounds; ++i) {
    auto token = sampler.sample(logits);
    EXPECT_TRUE(token.ok()) << token.status();
    ++counts[size_t(*token)];
  }
  return counts;
}
} // namespace

TEST(Sampler, greedyTakesTheFirstOfTheGreatest) {
  Sampler sampler({});
  EXPECT_EQ(*sampler.sample(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(*sampler.sample(std::vector<float>{-kInfinity, -kInfinity}), 0);
  EXPECT_EQ(*sampler.sample(std::vector<float>{-0.0f, 0.0f}), 0);
  EXPECT_EQ(*sampler.sample(std::vector<float>{0, kInfinity, kInfinity}), 1);
}

TEST(Sampler, refusesNanEmptyAndBadOptions) {
  const std::vector<float> logits = {1, 2};
  for (float temperature : {0.0f, 1.0f}) {
    auto token = Sampler({.temperature = temperature}).sample(std::vector<float>{1, NAN, 2});
    EXPECT_EQ(token.status().message(), "logits must be numbers, got NaN for token 1");
    EXPECT_FALSE(Sampler({.temperature = temperature}).sample({}).ok());
  }
  EXPECT_FALSE(Sampler({.temperature = -1}).sample(logits).ok());
  EXPECT_FALSE(Sampler({.temperature = NAN}).sample(logits).ok());
  EXPECT_FALSE(Sampler({.temperature = kInfinity}).sample(logits).ok());
  EXPECT_FALSE(Sampler({.temperature = 1, .topK = -1}).sample(logits).ok());
  EXPECT_FALSE(Sampler({.temperature = 1, .topP = 0}).sample(logits).ok());
  EXPECT_FALSE(Sampler({.temperature = 1, .topP = 1.5f}).sample(logits).ok());
}

TEST(Sampler, followsTheSoftmaxAtTheTemperature) {
  const std::vector<float> logits = {0, 1, 2, -1};
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    double total = 0;
    for (float logit : logits)
      total += std::exp(logit / temperature);
    const auto counts = frequencies({.temperature = temperature, .seed = 3}, logits, 40000);
    for (size_t i = 0; i < logits.size(); ++i) // five standard deviations
      EXPECT_NEAR(counts[i] / 40000.0, std::exp(logits[i] / temperature) / total, 0.0125);
  }
}

TEST(Sampler, topKKeepsTheGreatestAndOfEqualsTheFirst) {
  const auto counts =
      frequencies({.temperature = 1, .topK = 2, .seed = 1}, {1, 5, 4, 4, -kInfinity}, 2000);
  EXPECT_GT(counts[1], 1200);
  EXPECT_GT(counts[2], 400);
  EXPECT_EQ(counts[0] + counts[3] + counts[4], 0);
  EXPECT_EQ(frequencies({.temperature = 9, .topK = 1}, {1, 5, 5}, 100)[1], 100);
}

TEST(Sampler, topPKeepsTheFewestThatReachIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  const std::vector<float> logits = {std::log(2.0f), std::log(8.0f), std::log(4.0f),
                                     std::log(2.0f)};
  auto counts = frequencies({.temperature = 1, .topP = 0.45f, .seed = 1}, logits, 500);
  EXPECT_EQ(counts[1], 500);
  counts = frequencies({.temperature = 1, .topP = 0.7f, .seed = 1}, logits, 4000);
  EXPECT_EQ(counts[0] + counts[3], 0);
  EXPECT_NEAR(counts[1] / 4000.0, 2.0 / 3, 0.04);
  counts = frequencies({.temperature = 1, .topP = 0.8f, .seed = 1}, logits, 4000);
  EXPECT_GT(counts[0], 0); // the first of two equals
  EXPECT_EQ(counts[3], 0);
  // More candidates than one sorted block.
  const auto wide = frequencies({.temperature = 1, .topP = 0.5f, .seed = 1},
                                std::vector<float>(2000, 1.0f), 20000);
  for (size_t i = 0; i < wide.size(); ++i)
    EXPECT_EQ(wide[i] > 0, i < 1000) << i;
}

TEST(Sampler, infinitiesAreNoNan) {
  const auto counts =
      frequencies({.temperature = 1, .seed = 1}, {kInfinity, 3, kInfinity, -kInfinity}, 1000);
  EXPECT_NEAR(counts[0], 500, 100);
  EXPECT_EQ(counts[1] + counts[3], 0);
  const float big = std::numeric_limits<float>::max();
  EXPECT_EQ(frequencies({.temperature = 1e-30f}, {big, -big}, 10)[0], 10);
}

TEST(Sampler, isTheSameOnEveryMachine) {
  std::vector<float> logits(1000);
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = float((i * 7919) % 1000) / 100;
  Sampler sampler({.temperature = 0.8f, .topK = 200, .topP = 0.95f, .seed = 42});
  std::vector<int32_t> tokens;
  for (int i = 0; i < 12; ++i)
    tokens.push_back(*sampler.sample(logits));
  // From an implementation of the same definition in Python.
  EXPECT_EQ(tokens,
            (std::vector<int32_t>{927, 186, 606, 531, 125, 247, 976, 272, 62, 914, 321, 729}));
}

TEST(Sampler, portableExpIsExp) {
  for (double x = 0; x > -708; x -= 0.0137)
    ASSERT_NEAR(portableExp(x) / std::exp(x), 1, 4.5e-16) << x;
  EXPECT_EQ(portableExp(0), 1);
  EXPECT_EQ(portableExp(-1e300), 0);
  EXPECT_EQ(portableExp(-INFINITY), 0);
}
