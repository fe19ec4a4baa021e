// Accumulators are arrays that full unrolling puts into registers: 16 for
// vectors of 512 bits, 12 below, where there are 16 registers. Results go to a
// volatile, so that no loop is dropped. Reads prefetch as compiled kernels do.
#include "tools/bench/PeakLoops.h"

#include <immintrin.h>

namespace graphc::bench {

namespace {
volatile float floatSink;
volatile int intSink;
constexpr int kWide = 16, kNarrow = 12;
constexpr size_t kAhead = 4096; ///< Bytes that prefetches run ahead.

__attribute__((target("avx512f,avx512bf16"))) void dot512(int64_t steps) {
  __m512 sums[kWide];
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), y = (__m512bh)_mm512_set1_epi16(0x3400); // 1 and 2^-23
  for (int64_t step = 0; step < steps; ++step)
    for (__m512 &sum : sums)
      sum = _mm512_dpbf16_ps(sum, x, y);
  for (__m512 sum : sums)
    floatSink = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) void fma512(int64_t steps) {
  __m512 sums[kWide];
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  const __m512 x = _mm512_set1_ps(0.5f);
  for (int64_t step = 0; step < steps; ++step)
    for (__m512 &sum : sums)
      sum = _mm512_fmadd_ps(sum, x, x);
  for (__m512 sum : sums)
    floatSink = _mm512_cvtss_f32(sum);
}

__attribute__((target("avx2,fma"))) void fma256(int64_t steps) {
  __m256 sums[kNarrow];
  for (__m256 &sum : sums)
    sum = _mm256_setzero_ps();
  const __m256 x = _mm256_set1_ps(0.5f);
  for (int64_t step = 0; step < steps; ++step)
    for (__m256 &sum : sums)
      sum = _mm256_fmadd_ps(sum, x, x);
  for (__m256 sum : sums)
    floatSink = _mm256_cvtss_f32(sum);
}

/// Without a fused instruction: a product, then a sum.
void multiplyAdd128(int64_t steps) {
  __m128 sums[kNarrow];
  for (__m128 &sum : sums)
    sum = _mm_setzero_ps();
  const __m128 x = _mm_set1_ps(0.5f);
  for (int64_t step = 0; step < steps; ++step)
    for (__m128 &sum : sums)
      sum = _mm_add_ps(_mm_mul_ps(sum, x), x);
  for (__m128 sum : sums)
    floatSink = _mm_cvtss_f32(sum);
}

inline void prefetch(const std::byte *data) {
  for (size_t line = 0; line < 256; line += 64)
    _mm_prefetch(reinterpret_cast<const char *>(data) + kAhead + line, _MM_HINT_T0);
}

__attribute__((target("avx512f"))) void read512(const std::byte *data, size_t bytes) {
  __m512i seen[4] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    prefetch(data + i);
    for (int part = 0; part < 4; ++part)
      seen[part] = _mm512_or_si512(seen[part], _mm512_load_si512(data + i + part * 64));
  }
  intSink = _mm512_reduce_or_epi32(_mm512_or_si512(_mm512_or_si512(seen[0], seen[1]), _mm512_or_si512(seen[2], seen[3])));
}

__attribute__((target("avx2"))) void read256(const std::byte *data, size_t bytes) {
  __m256i seen[8] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    prefetch(data + i);
    for (int part = 0; part < 8; ++part)
      seen[part] = _mm256_or_si256(seen[part], _mm256_load_si256(reinterpret_cast<const __m256i *>(data + i) + part));
  }
  for (__m256i part : seen)
    intSink = _mm256_extract_epi32(part, 0);
}

void read128(const std::byte *data, size_t bytes) {
  __m128i seen[8] = {};
  for (size_t i = 0; i < bytes; i += 256) {
    prefetch(data + i);
    for (int part = 0; part < 16; ++part)
      seen[part % 8] = _mm_or_si128(seen[part % 8], _mm_load_si128(reinterpret_cast<const __m128i *>(data + i) + part));
  }
  for (__m128i part : seen)
    intSink = _mm_cvtsi128_si32(part);
}
} // namespace

PeakLoop dotLoop(const Target &target) {
  return target.bf16Dot ? PeakLoop{dot512, 16 * 4.0 * kWide} : PeakLoop{nullptr, 0};
}

PeakLoop f32Loop(const Target &target) {
  if (target.vectorBits >= 512)
    return {fma512, 16 * 2.0 * kWide};
  return target.fma ? PeakLoop{fma256, 8 * 2.0 * kNarrow} : PeakLoop{multiplyAdd128, 4 * 2.0 * kNarrow};
}

ReadLoop readLoop(const Target &target) {
  return target.vectorBits >= 512 ? read512 : target.vectorBits >= 256 ? read256 : read128;
}

} // namespace graphc::bench
