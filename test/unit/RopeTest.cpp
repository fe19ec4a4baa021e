// Support/Rope: tables against transformers' own for every type, and the text
// form with its refusals.
#include "Support/File.h"
#include "Support/Json.h"
#include "Support/Rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace graphc;
using nlohmann::json;

static json golden() {
  auto parsed = parseJsonFile(GRAPHC_TEST_DIR "/models/rope/rope_golden.json");
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? *std::move(parsed) : json();
}

static RopeSpec specOf(std::string_view text) {
  auto spec = ropeFromJson(*parseJson(text, "test"), "");
  EXPECT_TRUE(spec.ok()) << spec.status();
  return spec.value_or(RopeSpec());
}

static std::string failure(std::string_view text) {
  return std::string(ropeFromJson(*parseJson(text, "test"), "t").status().message());
}

// torch's vectorised pow is within 1 ulp, and ours is rounded correctly; the
// operations after it are the same. So a frequency may be off by 2 ulp, and an
// angle by position times that.
static constexpr double kFrequencyError = 2.5 * 1.2e-7;

TEST(Rope, agreesWithTransformers) {
  const json all = golden();
  ASSERT_EQ(all["cases"].size(), 18u);
  size_t equal = 0, total = 0;
  for (const json &c : all["cases"]) {
    SCOPED_TRACE(c["name"].dump());
    auto parsed = ropeFromJson(c["spec"], "golden");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const auto inv = inverseFrequencies(*parsed, c["session_length"]);
    ASSERT_EQ(inv.size(), c["inv"].size());
    for (size_t i = 0; i < inv.size(); ++i) {
      const double expected = c["inv"][i];
      EXPECT_NEAR(inv[i], expected, expected * kFrequencyError) << "pair " << i;
      equal += inv[i] == float(expected);
      ++total;
    }
    EXPECT_EQ(ropeAttentionFactor(*parsed), float(c["attention_factor"]));
  }
  // 505 of 506 when this was written; another order of operations loses more.
  EXPECT_GT(double(equal), 0.98 * double(total)) << equal << " of " << total;
}

TEST(Rope, fillsTablesAsTransformers) {
  const json all = golden();
  for (const json &c : all["cases"]) {
    SCOPED_TRACE(c["name"].dump());
    auto parsed = ropeFromJson(c["spec"], "golden");
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    const size_t pairs = c["inv"].size();
    const int64_t rows = 4096;
    std::vector<float> cos(size_t(rows) * pairs), sin(cos.size());
    fillRopeTables(*parsed, c["session_length"], rows, cos, sin);
    for (size_t p = 0; p < all["positions"].size(); ++p) {
      const size_t position = all["positions"][p];
      ASSERT_LT(position, size_t(rows));
      for (size_t i = 0; i < pairs; ++i) {
        const double frequency = c["inv"][i];
        const double bound = (double(position) * frequency * kFrequencyError + 2.4e-7) *
                             double(c["attention_factor"]);
        EXPECT_NEAR(cos[position * pairs + i], double(c["cos"][p * pairs + i]), bound) << position;
        EXPECT_NEAR(sin[position * pairs + i], double(c["sin"][p * pairs + i]), bound) << position;
      }
    }
  }
}

TEST(Rope, sessionLengthMattersOnlyWhereItShould) {
  const RopeSpec dynamic = specOf(
      R"({"base": 10000, "dim": 8, "scaling": {"rope_type": "dynamic", "factor": 2, "original_max_position_embeddings": 16}})");
  EXPECT_TRUE(dependsOnSessionLength(dynamic));
  EXPECT_EQ(inverseFrequencies(dynamic, 1), inverseFrequencies(dynamic, 16));
  EXPECT_NE(inverseFrequencies(dynamic, 16), inverseFrequencies(dynamic, 17));
  const RopeSpec linear = specOf(R"({"base": 10000, "dim": 8, "scaling": {"rope_type": "linear", "factor": 2}})");
  EXPECT_FALSE(dependsOnSessionLength(linear));
  EXPECT_EQ(inverseFrequencies(linear, 1), inverseFrequencies(linear, 1 << 20));
}

TEST(Rope, textFormRoundTrips) {
  const json all = golden();
  for (const json &c : all["cases"]) {
    auto spec = ropeFromJson(c["spec"], "golden");
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(*ropeFromJson(ropeToJson(*spec), "again"), *spec) << ropeToJson(*spec).dump();
  }
  EXPECT_EQ(ropeToJson(specOf(R"({"base": 500.5, "dim": 20, "interleaved": true})")).dump(),
            R"({"base":500.5,"dim":20,"interleaved":true})");
}

TEST(Rope, refusesUnusableSpecs) {
  EXPECT_EQ(failure(R"({"dim": 8})"), "t: key 'base' must be a number, got nothing");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 7})"), "t: rope dim must be even, from 2 to 65536, got 7");
  EXPECT_EQ(failure(R"({"base": 0, "dim": 8})"), "t: rope base must be a positive number, got 0");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 8, "factor": 2})"),
            "t: key 'factor' must be absent in a rope, got number 2");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 8, "scaling": {"rope_type": "su"}})"),
            "t: key 'rope_type' must be one of default, linear, dynamic, yarn, longrope, llama3, got 'su'");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 8, "scaling": {"rope_type": "linear"}})"),
            "t: key 'factor' must be a number, got nothing");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 8, "scaling": {"rope_type": "linear", "factor": 2, "beta_fast": 2}})"),
            "t: key 'beta_fast' must be absent for rope_type 'linear', got number 2");
  EXPECT_EQ(failure(R"({"base": 1, "dim": 8, "scaling": {"rope_type": "linear", "factor": -2}})"),
            "t: rope key 'factor' must be a positive number, got -2");
  EXPECT_EQ(failure(R"({"base": 9, "dim": 8, "scaling": {"rope_type": "longrope", "factor": 2,
                        "original_max_position_embeddings": 4, "short_factor": [1, 1, 1, 1], "long_factor": [1, 1]}})"),
            "t: rope key 'long_factor' must have 4 entries, one a rotated pair, got 2");
  EXPECT_EQ(failure(R"({"base": 9, "dim": 8, "scaling": {"rope_type": "llama3", "factor": 2, "low_freq_factor": 4,
                        "high_freq_factor": 4, "original_max_position_embeddings": 8}})"),
            "t: rope key 'high_freq_factor' must be above low_freq_factor 4, got 4");
  EXPECT_EQ(failure(R"({"base": 9, "dim": 2, "scaling": {"rope_type": "dynamic", "factor": 2, "original_max_position_embeddings": 8}})"),
            "t: rope of type dynamic must rotate more than 2 dimensions, got 2");
  // Positive, but zero in f32.
  EXPECT_EQ(failure(R"({"base": 9, "dim": 8, "scaling": {"rope_type": "linear", "factor": 1e-300}})"),
            "t: rope frequencies must be finite, got inf; see its base and factors");
}
