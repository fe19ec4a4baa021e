// Sums in the order and precision of each mode, and the rounding of results.
#include "Reference/Arithmetic.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace graphc::reference {

double chainError(int64_t roundings) {
  return std::min(double(roundings), 6 * std::sqrt(double(roundings))) * kUnit;
}

static float flushed(float x) { return std::fabs(x) < float(kFlush) ? std::copysign(0.0f, x) : x; }

float dotPair(float accumulator, float a0, float a1, float b0, float b1) {
  const float odd = flushed(std::fma(flushed(a1), flushed(b1), flushed(accumulator)));
  return flushed(std::fma(flushed(a0), flushed(b0), odd));
}

float dotTile(float accumulator, const float *a, const float *b) {
  float sums[2] = {};
  for (int k = 0; k < 32; ++k)
    sums[k % 2] = flushed(std::fma(flushed(a[k]), flushed(b[k]), sums[k % 2]));
  return flushed(flushed(accumulator) + flushed(sums[0] + sums[1]));
}

double Arithmetic::roundSignificand(DType type, double x) const {
  if (isF64() || x == 0 || !std::isfinite(x))
    return x;
  int exponent;
  const double significand = std::frexp(x, &exponent); // 0.5 <= |significand| < 1
  return std::ldexp(roundTo(type, significand), exponent);
}

const std::vector<int32_t> &Arithmetic::order(int64_t n) const {
  std::vector<int32_t> &permutation = orders[n];
  if (permutation.empty() && n > 0) {
    permutation.resize(n);
    std::iota(permutation.begin(), permutation.end(), 0);
    std::mt19937_64 random(orderSeed * 0x9e3779b97f4a7c15u + uint64_t(n));
    for (int64_t i = n - 1; i > 0; --i) // not std::shuffle, whose result differs between libraries
      std::swap(permutation[i], permutation[random() % uint64_t(i + 1)]);
  }
  return permutation;
}

/// Sixteen lanes of pairs as one 512-bit accumulator takes them, then a tree.
static float dotBf16(std::span<const double> a, std::span<const double> b) {
  float lanes[16] = {};
  const int64_t n = int64_t(a.size());
  for (int64_t k = 0; k < n; k += 2) {
    float &lane = lanes[k / 2 % 16];
    const bool pair = k + 1 < n;
    lane = dotPair(lane, float(a[k]), pair ? float(a[k + 1]) : 0, float(b[k]), pair ? float(b[k + 1]) : 0);
  }
  for (int width = 8; width; width /= 2)
    for (int i = 0; i < width; ++i)
      lanes[i] += lanes[i + width];
  return lanes[0];
}

/// Steps of 32 elements in turn, one accumulator.
static float dotTiles(std::span<const double> a, std::span<const double> b) {
  float sum = 0, x[32], y[32];
  for (size_t k = 0; k < a.size(); k += 32) {
    std::copy_n(a.begin() + k, 32, x);
    std::copy_n(b.begin() + k, 32, y);
    sum = dotTile(sum, x, y);
  }
  return sum;
}

double Arithmetic::dot(std::span<const double> a, std::span<const double> b, double start, bool bothBf16) const {
  const int64_t n = int64_t(a.size());
  if (mode == Mode::Tiles && bothBf16 && n % 32 == 0)
    return dotTiles(a, b) + float(start);
  if (isDot() && bothBf16)
    return dotBf16(a, b) + float(start);
  if (mode == Mode::Order || isDot()) {
    const bool startFirst = mode == Mode::Order && orderSeed % 2;
    float total = startFirst ? float(start) : 0;
    if (isDot())
      for (int64_t k = 0; k < n; ++k)
        total = std::fma(float(a[k]), float(b[k]), total);
    else
      for (int32_t k : order(n))
        total = std::fma(float(a[k]), float(b[k]), total);
    return startFirst ? total : total + float(start);
  }
  double total = start;
  for (int64_t k = 0; k < n; ++k)
    total += a[k] * b[k];
  return total;
}

double Arithmetic::sum(std::span<const double> a) const {
  if (mode == Mode::PolicyExact || mode == Mode::F64)
    return std::accumulate(a.begin(), a.end(), 0.0);
  float total = 0;
  if (isDot())
    for (double x : a)
      total += float(x);
  else
    for (int32_t k : order(int64_t(a.size())))
      total += float(a[k]);
  return total;
}

/// Greatest distance from `value` to rd(x - bound) .. rd(x + bound).
static double radiusAround(DType type, double value, double x, double bound) {
  if (!std::isfinite(value))
    return 0;
  return std::max(roundTo(type, x + bound) - value, value - roundTo(type, x - bound));
}

Tensor read(const Arithmetic &arithmetic, DType type, Tensor x) {
  x.centre.clear();
  x.bound.clear();
  if (arithmetic.isF64() || !isFloat(x.dtype) || holds(type, x.dtype))
    return x;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double rounded = roundTo(type, x.data[i]);
    if (!x.radius.empty())
      x.radius[i] = radiusAround(type, rounded, x.data[i], x.radius[i]);
    x.data[i] = rounded;
  }
  x.dtype = type;
  return x;
}

Result::Result(const Arithmetic &arithmetic, Rounding rounding, std::vector<int64_t> shape)
    : arithmetic(arithmetic), rounding(rounding), tensor(rounding.output, std::move(shape)) {
  if (arithmetic.isF64())
    tensor.dtype = DType::F64;
  if (!arithmetic.hasBounds())
    return;
  for (std::vector<double> *values : {&tensor.centre, &tensor.bound, &tensor.radius})
    values->resize(tensor.data.size());
}

void Result::set(int64_t i, double value, double centre, double bound) {
  const double rounded = arithmetic.round(rounding.output, arithmetic.interior(rounding, value));
  tensor.data[i] = rounded;
  if (!arithmetic.hasBounds())
    return;
  tensor.centre[i] = centre;
  tensor.bound[i] = bound + kFlush;
  tensor.radius[i] = radiusAround(rounding.output, rounded, centre, tensor.bound[i]);
}

} // namespace graphc::reference
