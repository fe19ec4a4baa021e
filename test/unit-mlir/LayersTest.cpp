// Layers of the reference interpreter on values that can be checked by hand.
#include "Reference/Layers.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace graphc;
using namespace graphc::reference;

static const Arithmetic kExact;
static const Arithmetic kF64(Mode::F64);
constexpr Rounding kF32{DType::F32, DType::F32};
constexpr Rounding kBf16{DType::F32, DType::BF16};
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Values = std::vector<double>;

TEST(Layers, denseTakesBothLayouts) {
  const Tensor x(DType::F32, {1, 2}, {3, 5});
  const Tensor rows(DType::F32, {3, 2}, {1, 0, 0, 1, 2, -1}), columns(DType::F32, {2, 3}, {1, 0, 2, 0, 1, -1});
  const Tensor bias(DType::F32, {3}, {100, 200, 300});
  EXPECT_EQ(dense(kExact, x, rows, nullptr, false, kF32).data, Values({3, 5, 1}));
  EXPECT_EQ(dense(kExact, x, columns, &bias, true, kF32).data, Values({103, 205, 301}));
}

TEST(Layers, denseRoundsOnceAfterTheBias) {
  // 1 + 2^-8 is half way between two bf16 values; the bias decides, unless the
  // product is rounded before it, as Axon does.
  const Tensor x(DType::BF16, {1, 1}, {1.0}), kernel(DType::F32, {1, 1}, {1 + 0x1p-8});
  const Tensor bias(DType::F32, {1}, {0x1p-12});
  EXPECT_EQ(dense(kExact, x, kernel, &bias, false, kBf16).data, Values({1 + 0x1p-7}));
  EXPECT_EQ(dense(kExact, x, kernel, &bias, false, {DType::BF16, DType::BF16}).data, Values({1.0}));
  EXPECT_EQ(dense(kF64, x, kernel, &bias, false, kBf16).data, Values({1 + 0x1p-8 + 0x1p-12}));
}

TEST(Layers, embeddingGathersAndPaddingIsZero) {
  const Tensor ids(DType::I32, {1, 3}, {2, -1, 0}), kernel(DType::F32, {3, 2}, {1, 2, 3, 4, 5, 6.015625});
  const Tensor y = embedding(kExact, ids, kernel, /*offset=*/0, kBf16);
  EXPECT_EQ(y.shape, (std::vector<int64_t>{1, 3, 2}));
  EXPECT_EQ(y.data, Values({5, 6, 0, 0, 1, 2}));
  const Tensor first(DType::I32, {1, 2}, {-1, 0});
  EXPECT_EQ(embedding(kExact, first, kernel, /*offset=*/2, kBf16).data, Values({0, 0, 5, 6}));
}

TEST(Layers, headsSplitAndMergeBack) {
  Tensor x(DType::F32, {1, 2, 6});
  for (int i = 0; i < 12; ++i)
    x.data[i] = i;
  const Tensor split = splitHeads(kExact, x, 3, kF32);
  EXPECT_EQ(split.shape, (std::vector<int64_t>{1, 3, 2, 2}));
  EXPECT_EQ(split.data, Values({0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}));
  EXPECT_EQ(mergeHeads(kExact, split, kF32).data, x.data);
  EXPECT_EQ(slice(kExact, x, 1, 2, kF32).data, Values({1, 2, 7, 8}));
}

TEST(Layers, rmsNorm) {
  const Tensor x(DType::F32, {1, 2}, {3, 4}), scale(DType::F32, {2}, {2, 1});
  const double r = 1 / std::sqrt(12.5 + 0.5);
  const Tensor y = rmsNorm(kF64, x, scale, 0.5, 0, kF32), shifted = rmsNorm(kF64, x, scale, 0.5, 1, kF32);
  EXPECT_DOUBLE_EQ(y.data[0], 3 * r * 2);
  EXPECT_DOUBLE_EQ(y.data[1], 4 * r);
  EXPECT_DOUBLE_EQ(shifted.data[0], 3 * r * 3);
}

TEST(Layers, rmsNormHasNoRoundingBeforeTheWeight) {
  // x * r = 3 + 2^-8 or so needs more than 8 bits; times 3 its rounding would show.
  const Tensor x(DType::F32, {1, 1}, {7}), scale(DType::F32, {1}, {3});
  const double r = float(1 / std::sqrt(double(float(49 + 0.37f))));
  EXPECT_EQ(rmsNorm(kExact, x, scale, 0.37, 0, kBf16).data[0], roundTo(DType::BF16, float(float(7 * r) * 3.0)));
}

TEST(Layers, layerNorm) {
  const Tensor x(DType::F32, {1, 2}, {1, 5}), scale(DType::F32, {2}, {3, 2}), bias(DType::F32, {2}, {10, 20});
  EXPECT_EQ(layerNorm(kExact, x, scale, nullptr, 0, kF32).data, Values({-3, 2}));
  EXPECT_EQ(layerNorm(kExact, x, scale, &bias, 0, kF32).data, Values({7, 22}));
}

TEST(Layers, activationsAtKnownPoints) {
  const Tensor x(DType::F32, {4}, {0, 1, -1, -2});
  const auto at = [&](Activation f) { return activate(kF64, f, x, kF32).data; };
  const auto near = [](const Values &got, const Values &expected) {
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(got[i], expected[i], 1e-9);
  };
  near(at(Activation::Silu), {0, 0.7310585786300049, -0.2689414213699951, -0.2384058440442351});
  near(at(Activation::Gelu), {0, 0.8413447460685429, -0.15865525393145707, -0.04550026389635842});
  near(at(Activation::GeluTanh), {0, 0.8411919906082768, -0.15880800939172324, -0.04540230591222056});
  near(at(Activation::Relu), {0, 1, 0, 0});
}

TEST(Layers, arithmeticIsF32AndRoundedOnce) {
  const Tensor a(DType::F32, {1}, {1}), b(DType::F32, {1}, {0x1p-8});
  EXPECT_EQ(add(kExact, a, b, kBf16).data, Values({1})); // tie to even
  EXPECT_EQ(add(kExact, a, b, kF32).data, Values({1 + 0x1p-8}));
  EXPECT_EQ(multiply(kExact, b, b, kF32).data, Values({0x1p-16}));
  EXPECT_EQ(cast(kExact, Tensor(DType::F32, {2}, {65520, 1e-9}), {DType::F32, DType::F16}).data,
            Values({std::numeric_limits<double>::infinity(), 0}));
}

/// Angles 0 and 90 degrees at positions 0 and 1 for both pairs.
static RopeTables quarterTurns(bool interleaved) {
  return {2, 4, interleaved, {1, 1, 0, 0}, {0, 0, 1, 1}};
}

TEST(Layers, rotaryPairsHalvesOrNeighbours) {
  const Tensor x(DType::F32, {1, 1, 3, 5}, {1, 2, 3, 4, 9, 1, 2, 3, 4, 9, 1, 2, 3, 4, 9});
  const Tensor positions(DType::I32, {1, 3}, {0, 1, -1});
  EXPECT_EQ(rotaryEmbedding(kExact, x, positions, quarterTurns(false), kF32).data,
            Values({1, 2, 3, 4, 9, -3, -4, 1, 2, 9, 1, 2, 3, 4, 9}));
  EXPECT_EQ(rotaryEmbedding(kExact, x, positions, quarterTurns(true), kF32).data,
            Values({1, 2, 3, 4, 9, -2, 1, -4, 3, 9, 1, 2, 3, 4, 9}));
}

namespace {
/// Two keys, one head: scores ln(3) and 0 for the query {1}.
struct TwoKeys {
  Tensor query{DType::F32, {1, 1, 1, 1}, {1}}, key{DType::F32, {1, 1, 2, 1}, {std::log(3.0), 0}},
      value{DType::F32, {1, 1, 2, 1}, {10, 20}}, at{DType::I32, {1, 1}, {1}}, keyAt{DType::I32, {1, 2}, {0, 1}};
  AttentionSettings settings{.wantWeights = true};
  AttentionResult operator()(const Arithmetic &arithmetic) const {
    return attention(arithmetic, query, key, value, at, keyAt, settings, kF32);
  }
};
} // namespace

TEST(Layers, attentionIsSoftmaxTimesValues) {
  const AttentionResult result = TwoKeys()(kF64);
  EXPECT_NEAR(result.y.data[0], 0.75 * 10 + 0.25 * 20, 1e-12);
  EXPECT_NEAR(result.weights.data[0], 0.75, 1e-12);
  EXPECT_NEAR(result.weights.data[1], 0.25, 1e-12);
}

TEST(Layers, attentionExcludesByPosition) {
  TwoKeys keys;
  keys.settings.causal = true;
  keys.at.data = {0};
  keys.value.data[1] = kNaN; // unseen rows are never read
  EXPECT_EQ(keys(kExact).y.data, Values({10}));
  keys.at.data = {-1};
  EXPECT_EQ(keys(kExact).y.data, Values({0})); // padding sees nothing
  keys.at.data = {1}, keys.settings.window = 1, keys.value.data = {kNaN, 20};
  EXPECT_EQ(keys(kExact).y.data, Values({20}));
  EXPECT_EQ(keys(kExact).weights.data, Values({0, 1}));
  keys.keyAt.data = {-1, -1};
  EXPECT_EQ(keys(kExact).y.data, Values({0}));
}

TEST(Layers, attentionRoundsProbabilitiesAndSumsTheRounded) {
  TwoKeys keys;
  keys.settings.compute = DType::BF16;
  // x = 1.585 and 0; 2^0.585 = 1.5 exactly or nearly, scaled by 2^(1 - 1); 1 * 2^-1.
  EXPECT_EQ(keys(kExact).weights.data, Values({0.75, 0.25}));
  keys.key.data = {0.5, 0}; // p = 2^0.7213 = 1.6487 -> bf16 1.6484375, and 1
  const double p = 1.6484375;
  EXPECT_EQ(keys(kExact).weights.data[0], float(p / (p + 1)));
  EXPECT_EQ(keys(kExact).y.data[0], float((p * 10 + 20) / (p + 1)));
}

TEST(Layers, attentionTakesInfiniteAndNaNScores) {
  TwoKeys keys;
  keys.key.data = {-std::numeric_limits<double>::infinity(), 0};
  const Arithmetic bounds(Mode::PolicyExact, 0, true);
  for (const Arithmetic *arithmetic : {&kExact, &kF64, &bounds})
    EXPECT_EQ(keys(*arithmetic).y.data, Values({20})); // seen, with weight 0
  keys.key.data = {kNaN, 0};
  for (const Arithmetic *arithmetic : {&kExact, &kF64, &bounds})
    EXPECT_TRUE(std::isnan(keys(*arithmetic).y.data[0]));
}

TEST(Layers, attentionSharesKvHeadsInGroups) {
  const Tensor query(DType::F32, {1, 4, 1, 1}, {0, 0, 0, 0}), key(DType::F32, {1, 2, 1, 1}, {1, 1});
  const Tensor value(DType::F32, {1, 2, 1, 1}, {7, 8}), at(DType::I32, {1, 1}, {0});
  EXPECT_EQ(attention(kExact, query, key, value, at, at, {}, kF32).y.data, Values({7, 7, 8, 8}));
}
