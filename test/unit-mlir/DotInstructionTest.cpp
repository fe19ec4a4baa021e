// Dot and tiles mode against the instructions they stand for, on machines that have them.
#include "Reference/Arithmetic.h"
#include "Support/Target.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

#if defined(__x86_64__)
#include <immintrin.h>

using namespace graphc;
using namespace graphc::reference;

__attribute__((target("avx512f,avx512bf16"))) static void dotOnHardware(const uint16_t *a, const uint16_t *b,
                                                                        float *accumulators) {
  const __m512i left = _mm512_loadu_si512(a), right = _mm512_loadu_si512(b);
  const __m512 sum = _mm512_dpbf16_ps(_mm512_loadu_ps(accumulators), (__m512bh)left, (__m512bh)right);
  _mm512_storeu_ps(accumulators, sum);
}

/// Elements of bf16: exponents over the whole range if wild, else near one.
struct RandomElements {
  std::mt19937 random;
  uint16_t operator()(bool wild) {
    const uint32_t bits = random();
    return wild ? uint16_t(bits) : uint16_t((bits & 0x80ff) | ((120 + bits / 65536 % 8) << 7));
  }
};

static void expectSameBits(float got, float expected) {
  const bool same = std::bit_cast<uint32_t>(got) == std::bit_cast<uint32_t>(expected);
  ASSERT_TRUE(same || (std::isnan(got) && std::isnan(expected))) << got << " and " << expected;
}

TEST(DotInstruction, isModelledBitByBit) {
  if (!__builtin_cpu_supports("avx512bf16"))
    GTEST_SKIP() << "this machine has no vdpbf16ps";
  RandomElements element{std::mt19937(7)};
  for (int i = 0; i < 200000; ++i) {
    uint16_t a[32], b[32];
    float expected[16], got[16];
    const bool wild = i % 2;
    for (int k = 0; k < 32; ++k)
      a[k] = element(wild), b[k] = element(wild);
    for (int lane = 0; lane < 16; ++lane) {
      got[lane] = bf16ToFloat(element(wild)) * 1.000123f;
      expected[lane] = dotPair(got[lane], bf16ToFloat(a[2 * lane]), bf16ToFloat(a[2 * lane + 1]),
                               bf16ToFloat(b[2 * lane]), bf16ToFloat(b[2 * lane + 1]));
    }
    dotOnHardware(a, b, got);
    for (int lane = 0; lane < 16; ++lane)
      expectSameBits(got[lane], expected[lane]);
  }
}

/// sums (16, 16) += a (16, 32) times b (16 pairs of rows, 16 columns of pairs).
__attribute__((target("amx-tile,amx-bf16"))) static void multiplyTilesOnHardware(const uint16_t *a, const uint16_t *b,
                                                                                 float *sums) {
  struct {
    uint8_t palette = 1, startRow = 0, reserved[14] = {};
    uint16_t rowBytes[16] = {64, 64, 64};
    uint8_t rows[16] = {16, 16, 16};
  } configuration;
  _tile_loadconfig(&configuration);
  _tile_loadd(0, sums, 64);
  _tile_loadd(1, a, 64);
  _tile_loadd(2, b, 64);
  _tile_dpbf16ps(0, 1, 2);
  _tile_stored(0, sums, 64);
  _tile_release();
}

TEST(TileInstruction, isModelledBitByBit) {
  if (!hostHas("amx-tile") || !hostHas("amx-bf16"))
    GTEST_SKIP() << "this machine has no tdpbf16ps";
  RandomElements element{std::mt19937(11)};
  for (int i = 0; i < 5000; ++i) {
    const bool wild = i % 2;
    uint16_t a[16][32], b[16][32];
    float expected[16][16], got[16][16];
    for (int row = 0; row < 16; ++row)
      for (int k = 0; k < 32; ++k)
        a[row][k] = element(wild), b[row][k] = element(wild);
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 16; ++column) {
        got[row][column] = bf16ToFloat(element(wild)) * 1.000123f;
        float x[32], y[32];
        for (int k = 0; k < 32; ++k)
          x[k] = bf16ToFloat(a[row][k]), y[k] = bf16ToFloat(b[k / 2][2 * column + k % 2]);
        expected[row][column] = dotTile(got[row][column], x, y);
      }
    multiplyTilesOnHardware(a[0], b[0], got[0]);
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 16; ++column)
        expectSameBits(got[row][column], expected[row][column]);
  }
}
#endif
