// One body for all widths, inlined into a function for each instruction set.
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
constexpr size_t kBlock = 256;  ///< Bytes read at once.

template <int kBytes> using Floats = float __attribute__((vector_size(kBytes)));
template <int kBytes> using Ints = int __attribute__((vector_size(kBytes)));

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

/// What LDTILECFG reads (Intel SDM, volume 1, chapter 18).
struct TileConfiguration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

constexpr int kTileProducts = 4, kTileShare = 16; ///< Products of a round; steps a round.

/// Tiles of ones: those of zeros would be multiplied faster than any data is.
__attribute__((target("amx-tile,amx-bf16"))) void tiles(int64_t steps) {
  alignas(64) static const TileConfiguration configuration;
  alignas(64) uint16_t ones[16 * 32];
  alignas(64) float sums[16 * 16];
  for (uint16_t &one : ones)
    one = 0x3f80;
  _tile_loadconfig(&configuration);
  _tile_zero(0), _tile_zero(1), _tile_zero(2), _tile_zero(3);
  _tile_loadd(4, ones, 64), _tile_loadd(5, ones, 64), _tile_loadd(6, ones, 64), _tile_loadd(7, ones, 64);
  for (int64_t step = 0; step < steps; step += kTileShare) {
    _tile_dpbf16ps(0, 4, 6), _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6), _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  _tile_release();
  floatSink = sums[0];
}

/// `kSums` chains of sum * x + x, in one instruction or in two.
template <typename Vector, int kSums, bool kFused> [[gnu::always_inline]] inline void multiplyAdd(int64_t steps) {
  Vector sums[kSums] = {};
  const Vector x = Vector{} + 0.5f;
  for (int64_t step = 0; step < steps; ++step)
    for (Vector &sum : sums)
      if constexpr (kFused)
        sum = __builtin_elementwise_fma(sum, x, x);
      else
        sum = sum * x + x;
  for (const Vector &sum : sums)
    floatSink = sum[0];
}

__attribute__((target("avx512f"))) void fma512(int64_t steps) { multiplyAdd<Floats<64>, kWide, true>(steps); }
__attribute__((target("avx2,fma"))) void fma256(int64_t steps) { multiplyAdd<Floats<32>, kNarrow, true>(steps); }
void multiplyAdd128(int64_t steps) { multiplyAdd<Floats<16>, kNarrow, false>(steps); }

/// Ors all that it reads; all lanes of that are used.
template <typename Vector> [[gnu::always_inline]] inline void readAll(const std::byte *data, size_t bytes) {
  constexpr size_t kLoads = kBlock / sizeof(Vector), kSeen = kLoads < 8 ? kLoads : 8;
  Vector seen[kSeen] = {};
  for (size_t i = 0; i < bytes; i += kBlock) {
    for (size_t line = 0; line < kBlock; line += 64)
      __builtin_prefetch(data + i + kAhead + line);
    for (size_t load = 0; load < kLoads; ++load) {
      Vector loaded;
      __builtin_memcpy(&loaded, __builtin_assume_aligned(data + i + load * sizeof loaded, sizeof loaded), sizeof loaded);
      seen[load % kSeen] |= loaded;
    }
  }
  for (const Vector &part : seen)
    intSink = __builtin_reduce_or(part);
}

__attribute__((target("avx512f"))) void read512(const std::byte *data, size_t bytes) { readAll<Ints<64>>(data, bytes); }
__attribute__((target("avx2"))) void read256(const std::byte *data, size_t bytes) { readAll<Ints<32>>(data, bytes); }
void read128(const std::byte *data, size_t bytes) { readAll<Ints<16>>(data, bytes); }
} // namespace

PeakLoop dotLoop(const Target &target) {
  if (target.bf16Tiles)
    return {tiles, 16 * 16 * 32 * 2.0 * kTileProducts / kTileShare};
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
