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
}
