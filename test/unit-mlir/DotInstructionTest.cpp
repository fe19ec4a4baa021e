// Dot mode against the instruction it stands for, on machines that have it.
#include "Reference/Arithmetic.h"

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

TEST(DotInstruction, isModelledBitByBit) {
  if (!__builtin_cpu_supports("avx512bf16"))
    GTEST_SKIP() << "this machine has no vdpbf16ps";
  std::mt19937 random(7);
  // Exponents over the whole range half of the time, else near one.
  const auto element = [&](bool wild) {
    const uint32_t bits = random();
    return wild ? uint16_t(bits) : uint16_t((bits & 0x80ff) | ((120 + bits / 65536 % 8) << 7));
  };
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
    for (int lane = 0; lane < 16; ++lane) {
      const bool same = std::bit_cast<uint32_t>(got[lane]) == std::bit_cast<uint32_t>(expected[lane]);
      ASSERT_TRUE(same || (std::isnan(got[lane]) && std::isnan(expected[lane])))
          << got[lane] << " and " << expected[lane];
    }
  }
}
#endif
