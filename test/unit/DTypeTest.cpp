// The conversions of Support/DType against an independent definition: the
// nearest of all representable values, ties to the even significand.
#include "Support/DType.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>

using namespace graphc;

TEST(DType, everyF16ValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16ToFloat(uint16_t(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(f16ToFloat(floatToF16(value))));
    else
      EXPECT_EQ(floatToF16(value), bits);
  }
}

TEST(DType, everyBf16ValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16ToFloat(uint16_t(bits));
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(bf16ToFloat(floatToBf16(value))));
    else
      EXPECT_EQ(floatToBf16(value), bits);
  }
}

/// The nearest of all values of an 8-bit float, ties to the even bits; what is
/// nearer to the value after the greatest than to that is `beyond`.
static double nearestOf(DType dtype, double value) {
  const double next = dtype == DType::F8E4M3FN ? 480 : 65536;
  double best = 0, distance = std::fabs(value);
  int bestBits = 0;
  for (int bits = 0; bits < 128; ++bits) {
    const auto byte = uint8_t(bits);
    double candidate = loadElement(dtype, &byte);
    if (std::isnan(candidate) && bits != 0x7f)
      continue;
    if (!std::isfinite(candidate)) {
      if (dtype == DType::F8E5M2 && bits == 0x7f)
        continue;
      candidate = next;
    }
    const double d = std::fabs(std::fabs(value) - candidate);
    if (d < distance || (d == distance && bits % 2 == 0 && bestBits % 2))
      best = candidate, distance = d, bestBits = bits;
  }
  if (best == next || std::fabs(value) > next)
    best = info(dtype).hasInfinity ? INFINITY : NAN;
  return std::copysign(best, value);
}

TEST(DType, everyEightBitValueSurvivesTheRoundTrip) {
  for (DType dtype : {DType::I8, DType::F8E4M3FN, DType::F8E5M2})
    for (int bits = 0; bits < 256; ++bits) {
      const auto byte = uint8_t(bits);
      const float value = loadElement(dtype, &byte);
      uint8_t back;
      storeElement(dtype, &back, value);
      if (std::isnan(value))
        EXPECT_TRUE(std::isnan(loadElement(dtype, &back)));
      else if (dtype != DType::I8 || bits != 0x80) // -128 is never stored
        EXPECT_EQ(back, byte) << info(dtype).name;
      for (DType wide : {DType::F16, DType::BF16, DType::F32}) {
        EXPECT_TRUE(holds(wide, dtype));
        if (!std::isnan(value))
          EXPECT_EQ(roundTo(wide, value), value) << info(dtype).name << " in " << info(wide).name;
      }
    }
}

TEST(DType, eightBitFloatsRoundToTheNearestOfAllValues) {
  uint32_t state = 7;
  for (DType dtype : {DType::F8E4M3FN, DType::F8E5M2})
    for (int i = 0; i < 200000; ++i) {
      state = state * 1664525u + 1013904223u;
      // Half of them within the type's range, a quarter half way between values.
      float value = std::bit_cast<float>(i % 2 ? state : (state & 0x87ffffffu) | 0x38000000u);
      if (i % 4 == 0)
        value = std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0xfff00000u);
      if (std::isnan(value))
        continue;
      const double expected = nearestOf(dtype, value);
      uint8_t bits;
      storeElement(dtype, &bits, value);
      const double stored = loadElement(dtype, &bits), rounded = roundTo(dtype, value);
      EXPECT_TRUE(stored == expected || (std::isnan(stored) && std::isnan(expected))) << value << " gave " << stored;
      EXPECT_TRUE(rounded == expected || (std::isnan(rounded) && std::isnan(expected))) << value << " gave " << rounded;
    }
}

TEST(DType, eightBitOverflow) {
  EXPECT_EQ(floatToF8E4M3FN(464.0f), 0x7e); // a tie, and 448 is even
  EXPECT_EQ(floatToF8E4M3FN(464.1f), 0x7f);
  EXPECT_EQ(floatToF8E4M3FN(-INFINITY), 0xff);
  EXPECT_TRUE(std::isnan(roundTo(DType::F8E4M3FN, INFINITY)));
  EXPECT_EQ(floatToF8E5M2(61439.0f), 0x7b);
  EXPECT_EQ(floatToF8E5M2(61440.0f), 0x7c);
  EXPECT_EQ(roundTo(DType::F8E5M2, -61440.0), -INFINITY);
  EXPECT_EQ(roundTo(DType::I8, 2.5), 2);
  EXPECT_EQ(roundTo(DType::I8, -1000.0), -127);
}

TEST(DType, roundToAgreesWithTheBitConversions) {
  uint32_t state = 1;
  for (int i = 0; i < 2000000; ++i) {
    state = state * 1664525u + 1013904223u;
    const float value = std::bit_cast<float>(state);
    if (std::isnan(value))
      continue;
    EXPECT_EQ(roundTo(DType::F16, value), f16ToFloat(floatToF16(value))) << value;
    EXPECT_EQ(roundTo(DType::BF16, value), bf16ToFloat(floatToBf16(value))) << value;
  }
}

TEST(DType, overflowIsInfinityAndTiesGoToEven) {
  EXPECT_EQ(floatToF16(65519.9f), 0x7bff);
  EXPECT_EQ(floatToF16(65520.0f), 0x7c00);
  EXPECT_EQ(roundTo(DType::F16, 65520.0), INFINITY);
  EXPECT_EQ(roundTo(DType::BF16, 1.00390625), 1.0);       // half of 1 ulp: even is 1
  EXPECT_EQ(roundTo(DType::BF16, 1.01171875), 1.015625);  // 1.5 ulp: even is 2
}

TEST(DType, holdsIsTheOrderOfNumericsN3) {
  EXPECT_TRUE(holds(DType::F32, DType::BF16));
  EXPECT_TRUE(holds(DType::F32, DType::F16));
  EXPECT_FALSE(holds(DType::BF16, DType::F16));
  EXPECT_FALSE(holds(DType::F16, DType::BF16));
  EXPECT_FALSE(holds(DType::BF16, DType::F32));
  EXPECT_FALSE(holds(DType::F8E4M3FN, DType::F8E5M2));
  EXPECT_FALSE(holds(DType::F8E5M2, DType::F8E4M3FN));
  EXPECT_FALSE(holds(DType::F8E5M2, DType::I8));
  EXPECT_FALSE(holds(DType::I32, DType::I8));
}
