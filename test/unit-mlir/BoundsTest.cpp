// Numerics section 7: f32 sums in any order, and bf16 dot instructions, stay
// within the bounds; a kernel with a rounding too many does not.
#include "RandomTensors.h"
#include "Reference/Comparison.h"
#include "Reference/FunctionTable.h"
#include "Reference/Layers.h"
#include "Reference/Quantize.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>

using namespace graphc;
using namespace graphc::reference;

static const Arithmetic kBounds(Mode::PolicyExact, 0, /*bounds=*/true);

/// Evaluates `op` with bounds, then in eight orders and by dot instructions, all
/// of which must agree; returns the reference.
static Tensor agreesInEveryOrder(const std::function<Tensor(const Arithmetic &)> &op) {
  const Tensor reference = op(kBounds);
  const auto check = [&](const Arithmetic &arithmetic, const char *mode, uint64_t seed) {
    const Agreement agreement = compare(reference, op(arithmetic).data);
    EXPECT_EQ(agreement.outside, 0) << mode << " " << seed << ", element " << agreement.first;
    EXPECT_TRUE(agreement.holds(reference.dtype)) << mode << " " << seed << ": " << agreement.different << " of "
                                                  << agreement.count << " differ";
  };
  for (uint64_t seed = 0; seed < 8; ++seed)
    check(Arithmetic(Mode::Order, seed), "order", seed);
  check(Arithmetic(Mode::Dot), "dot", 0);
  check(Arithmetic(Mode::Tiles), "tiles", 0);
  return reference;
}

TEST(Bounds, denseInEveryOrder) {
  RandomTensors random(1);
  for (int round = 0; round < 30; ++round) {
    const int64_t inputs = random.integer(1, 700), outputs = random.integer(1, 40), rows = random.integer(1, 5);
    const DType type = random.dtype(), output = random.dtype();
    const Tensor x = random.normal(type, {rows, inputs}, 1, 0.3), bias = random.normal(type, {outputs});
    const Tensor kernel = random.normal(type, {outputs, inputs}, 1 / std::sqrt(double(inputs)));
    agreesInEveryOrder([&](const Arithmetic &arithmetic) {
      return dense(arithmetic, x, kernel, round % 2 ? &bias : nullptr, false, {DType::F32, output});
    });
  }
}

TEST(Bounds, normsInEveryOrder) {
  RandomTensors random(2);
  for (int round = 0; round < 30; ++round) {
    const int64_t hidden = random.integer(1, 900);
    const DType type = random.dtype(), output = random.dtype();
    const Tensor x = random.normal(type, {4, hidden}, 1, round % 3), scale = random.normal(type, {hidden}, 0.2, 1);
    const Tensor bias = random.normal(type, {hidden}, 0.2);
    agreesInEveryOrder([&](const Arithmetic &a) { return rmsNorm(a, x, scale, 1e-6, round % 2, {DType::F32, output}); });
    agreesInEveryOrder(
        [&](const Arithmetic &a) { return layerNorm(a, x, scale, round % 2 ? &bias : nullptr, 1e-5, {DType::F32, output}); });
  }
}

TEST(Bounds, rotaryInEveryOrder) {
  RandomTensors random(8);
  for (int round = 0; round < 10; ++round) {
    const int64_t headDim = 2 * random.integer(1, 20), dim = 2 * random.integer(1, headDim / 2), tokens = 5;
    RopeTables tables{tokens, dim, round % 2 == 1, {}, {}};
    for (int64_t i = 0; i < tokens * dim / 2; ++i) {
      tables.cos.push_back(std::cos(float(i) * 0.7f));
      tables.sin.push_back(std::sin(float(i) * 0.7f));
    }
    const Tensor x = random.normal(random.dtype(), {1, 3, tokens, headDim});
    const Tensor positions(DType::I32, {1, tokens}, {0, 1, 4, 3, -1});
    agreesInEveryOrder([&, output = random.dtype()](const Arithmetic &arithmetic) {
      return rotaryEmbedding(arithmetic, x, positions, tables, {DType::F32, output});
    });
  }
}

TEST(Bounds, attentionInEveryOrder) {
  RandomTensors random(3);
  for (int round = 0; round < 20; ++round) {
    const int64_t kvHeads = random.integer(1, 3), group = random.integer(1, 3), headDim = random.integer(1, 70);
    const int64_t tokens = random.integer(1, 6), keys = random.integer(tokens, 150);
    const DType compute = random.dtype();
    const Tensor query = random.normal(compute, {2, kvHeads * group, tokens, headDim}, 1.5);
    const Tensor key = random.normal(compute, {2, kvHeads, keys, headDim}, 1.5);
    const Tensor value = random.normal(compute, {2, kvHeads, keys, headDim}, 1, round % 4);
    Tensor at(DType::I32, {2, tokens}), keyAt(DType::I32, {2, keys});
    for (int64_t i = 0; i < keyAt.size(); ++i)
      keyAt.data[i] = double(i % keys);
    for (int64_t i = 0; i < at.size(); ++i)
      at.data[i] = double(keys - tokens + i % tokens);
    const AttentionSettings settings{1 / std::sqrt(double(headDim)), true, round % 3 ? 0 : keys / 2, compute, true};
    const DType output = random.dtype();
    for (const bool weights : {false, true})
      agreesInEveryOrder([&](const Arithmetic &arithmetic) {
        AttentionResult result =
            attention(arithmetic, query, key, value, at, keyAt, settings, {DType::F32, output});
        return weights ? result.weights : result.y;
      });
  }
}

TEST(Bounds, attentionOverEightBitRowsInEveryOrder) {
  RandomTensors random(31);
  for (int round = 0; round < 18; ++round) {
    const int64_t headDim = random.integer(1, 70), tokens = random.integer(1, 4), keys = random.integer(tokens, 150);
    const DType compute = random.dtype(), pin = std::vector{DType::I8, DType::F8E4M3FN, DType::F8E5M2}[round % 3];
    const Tensor query = random.normal(compute, {1, 4, tokens, headDim}, 1.5);
    const auto [key, keyScales] = quantize(Arithmetic(), pin, random.normal(compute, {1, 2, keys, headDim}, 1.5));
    const auto [value, valueScales] = quantize(Arithmetic(), pin, random.normal(compute, {1, 2, keys, headDim}, 1, round % 4));
    Tensor at(DType::I32, {1, tokens}), keyAt(DType::I32, {1, keys});
    for (int64_t i = 0; i < keys; ++i)
      keyAt.data[i] = double(i);
    for (int64_t i = 0; i < tokens; ++i)
      at.data[i] = double(keys - tokens + i);
    const AttentionSettings settings{1 / std::sqrt(double(headDim)), true, 0, compute, true};
    const RowScales scales{&keyScales, &valueScales};
    const DType output = random.dtype();
    for (const bool weights : {false, true})
      agreesInEveryOrder([&](const Arithmetic &arithmetic) {
        AttentionResult result = attention(arithmetic, query, key, value, at, keyAt, settings, {DType::F32, output}, scales);
        return weights ? result.weights : result.y;
      });
  }
}

/// y of the attention over rows that were multiplied by their scales and rounded
/// to C before: another definition, which the bounds must tell from Q3's.
TEST(Bounds, rowsMultipliedByTheirScalesFirstFallOutside) {
  RandomTensors random(32);
  const int64_t headDim = 64, keys = 100;
  const Tensor query = random.normal(DType::BF16, {1, 4, 8, headDim}, 1.5);
  auto [key, keyScales] = quantize(Arithmetic(), DType::I8, random.normal(DType::BF16, {1, 4, keys, headDim}));
  auto [value, valueScales] = quantize(Arithmetic(), DType::I8, random.normal(DType::BF16, {1, 4, keys, headDim}, 1, 1));
  Tensor at(DType::I32, {1, 8}), keyAt(DType::I32, {1, keys});
  for (int64_t i = 0; i < keys; ++i)
    keyAt.data[i] = double(i);
  std::fill(at.data.begin(), at.data.end(), double(keys - 1));
  const AttentionSettings settings{0.125, true, 0, DType::BF16, false};
  const Tensor reference = attention(kBounds, query, key, value, at, keyAt, settings, {DType::F32, DType::BF16},
                                     {&keyScales, &valueScales}).y;
  const auto multiplied = [](Tensor rows, const Tensor &scales) {
    for (int64_t i = 0; i < rows.size(); ++i)
      rows.data[i] = roundTo(DType::BF16, rows.data[i] * scales.data[i / rows.columns()]);
    rows.dtype = DType::BF16;
    return rows;
  };
  const Tensor other = attention(kBounds, query, multiplied(key, keyScales), multiplied(value, valueScales), at, keyAt,
                                 settings, {DType::F32, DType::BF16}).y;
  EXPECT_FALSE(compare(reference, other.data).holds(DType::BF16));
}

/// An f32 implementation of each activation, as a kernel might compute it.
static float activationInF32(Activation activation, float x) {
  switch (activation) {
  case Activation::Silu: return x / (1 + std::exp(-x));
  case Activation::Gelu: return 0.5f * x * (1 + std::erf(x * 0.70710678f));
  case Activation::GeluTanh: return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
  case Activation::Relu: return x > 0 ? x : 0;
  }
  return 0;
}

TEST(Bounds, activationsInF32) {
  for (const Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu}) {
    std::vector<double> inputs;
    for (double x = -120; x < 120; x += 0.0371)
      inputs.push_back(float(x));
    for (double x = 1e-42; x < 1e38; x *= 3.7)
      inputs.insert(inputs.end(), {double(float(x)), -double(float(x))});
    const Tensor x(DType::F32, {int64_t(inputs.size())}, inputs);
    const Tensor y = activate(kBounds, activation, x, {});
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_TRUE(agrees(y, int64_t(i), activationInF32(activation, float(inputs[i]))))
          << int(activation) << " at " << inputs[i] << ": " << y.centre[i] << " +- " << y.bound[i];
  }
}

TEST(Bounds, aRadiusCoversEveryOperandWithinIt) {
  // Operands moved anywhere within their radius give results within the bound.
  RandomTensors random(4);
  const int64_t hidden = 96;
  Tensor x = random.normal(DType::F32, {8, hidden}, 2);
  x.radius.assign(x.data.size(), 0);
  for (size_t i = 0; i < x.radius.size(); ++i)
    x.radius[i] = i % 3 ? 0 : 0.01;
  Tensor moved = x;
  for (size_t i = 0; i < moved.data.size(); ++i)
    moved.data[i] = float(x.data[i] + x.radius[i] * (i % 2 ? 0.999 : -0.999));
  moved.radius.clear();
  const Tensor scale = random.normal(DType::F32, {hidden}, 0.2, 1), bias = random.normal(DType::F32, {hidden});
  const Tensor kernel = random.normal(DType::F32, {20, hidden}, 0.1), other = random.normal(DType::F32, {8, hidden});
  const std::vector<std::function<Tensor(const Arithmetic &, const Tensor &)>> ops = {
      [&](auto &a, auto &v) { return dense(a, v, kernel, nullptr, false, {}); },
      [&](auto &a, auto &v) { return rmsNorm(a, v, scale, 1e-6, 0, {}); },
      [&](auto &a, auto &v) { return layerNorm(a, v, scale, &bias, 1e-6, {}); },
      [&](auto &a, auto &v) { return add(a, v, other, {}); },
      [&](auto &a, auto &v) { return multiply(a, v, other, {}); },
      [&](auto &a, auto &v) { return activate(a, Activation::Silu, v, {}); },
      [&](auto &a, auto &v) { return activate(a, Activation::Gelu, v, {}); },
      [&](auto &a, auto &v) { return activate(a, Activation::GeluTanh, v, {}); },
      [&](auto &a, auto &v) { return read(a, DType::BF16, v); },
  };
  for (size_t i = 0; i < ops.size(); ++i) {
    Tensor reference = ops[i](kBounds, x);
    const Tensor got = ops[i](Arithmetic(), moved);
    double widest = 0;
    for (int64_t e = 0; e < reference.size(); ++e) {
      EXPECT_LE(std::fabs(got.data[e] - reference.data[e]), reference.radius[e]) << "op " << i << ", element " << e;
      widest = std::max(widest, reference.radius[e]);
    }
    EXPECT_LT(widest, 0.5) << "op " << i; // not vacuous
  }
}

TEST(Bounds, aRoundingTooManyIsFound) {
  RandomTensors random(5);
  const int64_t inputs = 256, outputs = 400;
  const Tensor x = random.normal(DType::BF16, {1, inputs}), bias = random.normal(DType::BF16, {outputs});
  const Tensor kernel = random.normal(DType::BF16, {outputs, inputs}, 1 / std::sqrt(double(inputs)));
  const Tensor reference = dense(kBounds, x, kernel, &bias, false, {DType::F32, DType::BF16});
  // Rounded before the bias.
  const Tensor twice = dense(Arithmetic(), x, kernel, &bias, false, {DType::BF16, DType::BF16});
  EXPECT_FALSE(compare(reference, twice.data).holds(DType::BF16));
  EXPECT_GT(compare(reference, twice.data).outside, outputs / 10);

  const Tensor wide = random.normal(DType::F32, {1, outputs}), scale = random.normal(DType::BF16, {outputs}, 0.2, 1);
  const Tensor norm = rmsNorm(kBounds, wide, scale, 1e-6, 0, {DType::F32, DType::BF16});
  // Rounded before the weight, as Llama's own code does.
  const Tensor ones(DType::BF16, {outputs}, std::vector<double>(outputs, 1));
  const Tensor plain = rmsNorm(Arithmetic(), wide, ones, 1e-6, 0, {DType::F32, DType::BF16});
  const Tensor early = multiply(Arithmetic(), plain, scale, {DType::F32, DType::BF16});
  EXPECT_GT(compare(norm, early.data).outside, outputs / 10);
}

TEST(Bounds, unroundedProbabilitiesAreFound) {
  RandomTensors random(6);
  const Tensor query = random.normal(DType::BF16, {1, 4, 1, 64}), key = random.normal(DType::BF16, {1, 4, 100, 64});
  const Tensor value = random.normal(DType::BF16, {1, 4, 100, 64});
  Tensor at(DType::I32, {1, 1}, {99}), keyAt(DType::I32, {1, 100});
  for (int i = 0; i < 100; ++i)
    keyAt.data[i] = i;
  const auto run = [&](const Arithmetic &arithmetic, DType compute) {
    return attention(arithmetic, query, key, value, at, keyAt, {0.125, true, 0, compute}, {}).y;
  };
  const Tensor reference = run(kBounds, DType::BF16);
  EXPECT_EQ(compare(reference, run(Arithmetic(Mode::Order, 1), DType::BF16).data).outside, 0);
  EXPECT_GT(compare(reference, run(Arithmetic(Mode::Order, 1), DType::F32).data).outside, 100);
}
