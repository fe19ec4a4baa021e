// Numerics T5 on a fixed part of all f32 inputs: 2^13 significands of every
// exponent and sign, special values, and the worst inputs that were found. All
// inputs are graphc-function-sweep's.
#include "FunctionSweep.h"

#include <bit>
#include <gtest/gtest.h>
#include <random>

namespace graphc::test {
namespace {

/// Evenly spaced with a random offset, so that no function's cells are missed by a pattern.
constexpr int64_t kSignificands = 1 << 13;

constexpr float kSpecial[] = {0.0f, -0.0f, INFINITY, -INFINITY, 0x1p-149f, -0x1p-149f, 0x1p-126f, -0x1p-126f,
                              0x1.fffffep127f, -0x1.fffffep127f, 1.0f, -1.0f, 88.72284f, 88.72283f, -87.33654f,
                              -87.33655f, -103.97208f, 88.376263f, 88.376259f, 9.0f, -9.0f, 3.9192059f,
                              // Worst of exp, tanh and erf, with and without fused multiply-adds.
                              -0x1.76db96p+2f, -0x1.769da2p+2f, 0x1.7a1b14p+2f, 0x1.7356b2p+2f, 0x1.dce0a6p+0f, 0x1.dcb644p+0f};

class Functions : public testing::TestWithParam<size_t> {};

TEST_P(Functions, areWithinTheirBounds) {
  const Function &function = functions()[GetParam()];
  FunctionSweep sweep(function);
  std::vector<float> inputs(std::begin(kSpecial), std::end(kSpecial));
  inputs.push_back(std::bit_cast<float>(0x7fc00000u));
  inputs.push_back(std::bit_cast<float>(0xffc12345u));
  sweep.run(inputs);
  std::mt19937 engine{5};
  for (uint32_t high = 0; high < 512; ++high) { // sign and exponent
    constexpr uint32_t kStep = (1 << 23) / kSignificands;
    inputs.clear();
    for (uint32_t i = 0; i < kSignificands; ++i)
      inputs.push_back(std::bit_cast<float>(high << 23 | (i * kStep + uint32_t(engine() % kStep))));
    sweep.run(inputs);
  }
  for (size_t t = 0; t < sweep.targets.size(); ++t) {
    EXPECT_LE(sweep.worst[t].error, 1) << sweep.targets[t]->name << " at " << std::hexfloat << sweep.worst[t].input;
    EXPECT_GT(sweep.worst[t].inputs, 1000000u / 4);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Functions, testing::Range(size_t(0), functions().size()),
                         [](const auto &info) { return functions()[info.param].name; });

} // namespace
} // namespace graphc::test
