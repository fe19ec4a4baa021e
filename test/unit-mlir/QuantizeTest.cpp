// Numerics Q1 and Q2: the scale of a row and its elements, and the exceptions.
#include "Reference/Quantize.h"

#include "RandomTensors.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace graphc;
using namespace graphc::reference;

static const DType kPins[] = {DType::I8, DType::F8E4M3FN, DType::F8E5M2};

static std::pair<Tensor, Tensor> quantizeRow(DType pin, std::vector<double> row) {
  const auto width = int64_t(row.size());
  return quantize(Arithmetic(), pin, Tensor(DType::F32, {1, 1, 1, width}, std::move(row)));
}

TEST(Quantize, greatestElementIsTheGreatestOfTheType) {
  RandomTensors random(1);
  for (DType pin : kPins) {
    const Tensor x = random.normal(DType::F32, {2, 3, 5, 16}, 0.01);
    const auto [elements, scales] = quantize(Arithmetic(), pin, x);
    EXPECT_EQ(elements.dtype, pin);
    EXPECT_EQ(scales.shape, (std::vector<int64_t>{2, 3, 5}));
    for (int64_t r = 0; r < scales.size(); ++r) {
      double m = 0, q = 0;
      for (int64_t i = r * 16; i < (r + 1) * 16; ++i) {
        m = std::fmax(m, std::fabs(x.data[i]));
        q = std::fmax(q, std::fabs(elements.data[i]));
        EXPECT_EQ(elements.data[i], roundTo(pin, elements.data[i])) << "an element is a value of the type";
        // Half a unit in the last place of the element, int8's being 1.
        const double unit = pin == DType::I8 ? 1 : std::fmax(std::ldexp(1, info(pin).leastExponent),
                                                             std::ldexp(1, std::ilogb(elements.data[i] ? elements.data[i] : 1) -
                                                                               info(pin).significandBits + 1));
        EXPECT_LE(std::fabs(x.data[i] / scales.data[r] - elements.data[i]), unit * 0.5001);
      }
      EXPECT_EQ(scales.data[r], float(m / info(pin).greatest));
      EXPECT_EQ(q, info(pin).greatest);
    }
  }
}

TEST(Quantize, tinyRowsAreZerosAndOthersAreNotDependentOnTheirSize) {
  for (DType pin : kPins) {
    const auto [none, zero] = quantizeRow(pin, {0x1.fp-101, -0x1p-110, 0});
    EXPECT_EQ(zero.data[0], 0);
    EXPECT_EQ(none.data, (std::vector<double>{0, 0, 0}));
    const auto [least, scale] = quantizeRow(pin, {0x1p-100, -0x1p-101, 0});
    const auto [same, large] = quantizeRow(pin, {0x1p100, -0x1p99, 0});
    EXPECT_GT(scale.data[0], 0);
    EXPECT_EQ(least.data, same.data);
    EXPECT_EQ(std::ldexp(scale.data[0], 200), large.data[0]);
  }
}

TEST(Quantize, whatIsNotFiniteMakesTheScaleNan) {
  for (DType pin : kPins)
    for (double bad : {double(INFINITY), -double(INFINITY), double(NAN)}) {
      const auto [elements, scales] = quantizeRow(pin, {1, bad, 3});
      EXPECT_TRUE(std::isnan(scales.data[0]));
      EXPECT_EQ(elements.data, (std::vector<double>{0, 0, 0}));
    }
}

TEST(Quantize, saturates) {
  // f32(127 / f32(m / 127)) may pass 127; and int8 has no -128.
  RandomTensors random(5);
  for (int round = 0; round < 20000; ++round) {
    const double m = random.normal(DType::F32, {1}).data[0];
    for (DType pin : kPins) {
      const auto [elements, scales] = quantizeRow(pin, {m});
      ASSERT_EQ(std::fabs(elements.data[0]), info(pin).greatest) << m;
    }
  }
}

TEST(Quantize, f64ModeKeepsRows) {
  const Tensor x(DType::F32, {1, 1, 2, 2}, {1, 2.5, -3, 0});
  const auto [elements, scales] = quantize(Arithmetic(Mode::F64), DType::I8, x);
  EXPECT_EQ(elements.data, x.data);
  EXPECT_EQ(scales.data, (std::vector<double>{1, 1}));
}

TEST(Quantize, radiiCoverWhatAnotherKernelMayStore) {
  RandomTensors random(9);
  for (int round = 0; round < 200; ++round)
    for (DType pin : kPins) {
      Tensor x = random.normal(DType::F32, {1, 1, 1, 8}), other = x;
      for (double value : x.data)
        x.radius.push_back(std::fabs(value) * 0x1p-12);
      for (int64_t i = 0; i < x.size(); ++i)
        other.data[i] += x.radius[i] * (random.integer(0, 2) - 1);
      const auto [elements, scales] = quantize(Arithmetic(), pin, x);
      const auto [otherElements, otherScales] = quantize(Arithmetic(), pin, other);
      ASSERT_LE(std::fabs(scales.data[0] - otherScales.data[0]), scales.radius[0]);
      for (int64_t i = 0; i < x.size(); ++i)
        ASSERT_LE(std::fabs(elements.data[i] - otherElements.data[i]), elements.radius[i]);
    }
}
