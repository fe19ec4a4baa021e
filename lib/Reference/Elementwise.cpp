// Elementwise layers: a function in f64, its f32 value, one rounding. Bounds
// count the f32 roundings and the function's own error, plus what the operand's
// radius moves: |f'| r + max|f''| r^2 / 2.
#include "Reference/FunctionTable.h"
#include "Reference/Layers.h"

#include <cmath>
#include <numbers>

namespace graphc::reference {

Tensor add(const Arithmetic &arithmetic, const Tensor &a, const Tensor &b, Rounding rounding) {
  Result y(arithmetic, rounding, a.shape);
  for (int64_t i = 0; i < a.size(); ++i) {
    const double sum = a.data[i] + b.data[i], moved = a.radiusAt(i) + b.radiusAt(i);
    y.set(i, sum, sum, kUnit * (std::fabs(sum) + moved) + 2 * kFlush + moved);
  }
  return y.take();
}

Tensor multiply(const Arithmetic &arithmetic, const Tensor &a, const Tensor &b, Rounding rounding) {
  Result y(arithmetic, rounding, a.shape);
  for (int64_t i = 0; i < a.size(); ++i) {
    const double p = a.data[i], q = b.data[i], product = p * q;
    const double moved = std::fabs(p) * b.radiusAt(i) + std::fabs(q) * a.radiusAt(i) + a.radiusAt(i) * b.radiusAt(i);
    const bool flushes = std::fabs(p) < kFlush || std::fabs(q) < kFlush;
    y.set(i, product, product, kUnit * (std::fabs(product) + moved) + (flushes ? std::fabs(product) : 0) + moved);
  }
  return y.take();
}

Tensor scale(const Arithmetic &arithmetic, const Tensor &x, double factor, Rounding rounding) {
  Result y(arithmetic, rounding, x.shape);
  const double constant = float(factor);
  for (int64_t i = 0; i < x.size(); ++i) {
    const double product = x.data[i] * constant, moved = std::fabs(constant) * x.radiusAt(i);
    const double flushed = std::fabs(x.data[i]) < kFlush ? std::fabs(product) : 0;
    y.set(i, product, product, kUnit * (std::fabs(product) + moved) + flushed + moved);
  }
  return y.take();
}

namespace {
/// f(x), |f'(x)|, and the error that f32 code for f makes at x.
struct Value {
  double f, slope, error;
};
/// Greatest |f''| / 2 over the activations (gelu at 0: 0.798 / 2).
constexpr double kCurvature = 0.4;
} // namespace

/// x / (1 + exp(-x)).
static Value silu(double x) {
  const double e = std::exp(-x), sigmoid = 1 / (1 + e), y = x * sigmoid;
  // exp's error counts by its share of 1 + exp(-x); then an addition and a division.
  const double units = 2 * kFunctionTable.exp * (1 - sigmoid) + 1 + 2 * kFunctionTable.divide;
  return {y, std::fabs(sigmoid * (1 + x * (1 - sigmoid))), units * kUnit * std::fabs(y) + kSiluFloor};
}

/// x/2 * (1 + g) with dg/dx = `slope`. 1 + g cancels where x is negative, so the
/// error of g counts in full; g's argument is off by `argument` relative units.
static Value halfTimesOnePlus(double x, double g, double slope, double gUlps, double argument) {
  const double y = x / 2 * (1 + g);
  const double gError = (2 * gUlps * std::fabs(g) + argument * std::fabs(x * slope)) * kUnit;
  return {y, std::fabs((1 + g) / 2 + x / 2 * slope),
          std::fabs(x) / 2 * (gError + kUnit * std::fabs(1 + g)) + 2 * kUnit * std::fabs(y) + kFlush};
}

/// x/2 * (1 + erf(x / sqrt 2)).
static Value gelu(double x) {
  const double z = x * (std::numbers::sqrt2 / 2);
  const double slope = std::numbers::sqrt2 * std::numbers::inv_sqrtpi * std::exp(-z * z);
  return halfTimesOnePlus(x, std::erf(z), slope, kFunctionTable.erf, /*argument=*/2);
}

/// x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
static Value geluTanh(double x) {
  const double root = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const double z = root * (x + 0.044715 * x * x * x), g = std::tanh(z), cosine = std::cosh(z);
  const double slope = std::isinf(cosine) ? 0 : root * (1 + 3 * 0.044715 * x * x) / (cosine * cosine);
  return halfTimesOnePlus(x, g, slope, kFunctionTable.tanh, /*argument=*/7);
}

static Value valueOf(Activation activation, double x) {
  switch (activation) {
  case Activation::Silu: return silu(x);
  case Activation::Gelu: return gelu(x);
  case Activation::GeluTanh: return geluTanh(x);
  case Activation::Relu: return {x > 0 || std::isnan(x) ? x : 0, 1, 0};
  }
  return {};
}

Tensor activate(const Arithmetic &arithmetic, Activation activation, const Tensor &x, Rounding rounding) {
  Result y(arithmetic, rounding, x.shape);
  for (int64_t i = 0; i < x.size(); ++i) {
    const Value value = valueOf(activation, x.data[i]);
    const double r = x.radiusAt(i);
    y.set(i, value.f, value.f, value.error + value.slope * r + kCurvature * r * r + kFlush);
  }
  return y.take();
}

} // namespace graphc::reference
