// Norms over the last dimension. Statistics are f32 values of f64 (or permuted
// f32) sums; every product after them is an f32 rounding. The centre is the same
// formula without any rounding.
#include "Reference/FunctionTable.h"
#include "Reference/Layers.h"

#include <algorithm>
#include <cmath>

namespace graphc::reference {

static std::span<const double> row(const std::vector<double> &values, int64_t m, int64_t columns) {
  return values.empty() ? std::span<const double>() : std::span(values).subspan(m * columns, columns);
}

/// 1 / sqrt(v), and how far it moves when v moves by `delta` and the function errs.
struct Reciprocal {
  double value, error;
};
static Reciprocal reciprocalRoot(double v, double delta) {
  const double value = 1 / std::sqrt(v);
  const double furthest = 1 / std::sqrt(std::max(v - delta, 0.0)); // infinite if the interval reaches 0
  return {value, (furthest - value) + furthest * 2 * kFunctionTable.rsqrt * kUnit};
}

Tensor rmsNorm(const Arithmetic &arithmetic, const Tensor &x, const Tensor &scale, double epsilon, double shift,
               Rounding rounding) {
  const int64_t hidden = x.columns();
  const double eps = float(epsilon), offset = float(shift);
  Result y(arithmetic, rounding, x.shape);
  for (int64_t m = 0; m < x.rows(); ++m) {
    const std::span values = row(x.data, m, hidden), radii = row(x.radius, m, hidden);
    const double squares = arithmetic.dot(values, values) / double(hidden);
    const double r = arithmetic.f32(1 / std::sqrt(arithmetic.f32(arithmetic.f32(squares) + eps)));

    Reciprocal exact{};
    if (arithmetic.hasBounds()) {
      // Of the mean: the sum's chain, the product with 1/hidden, epsilon's
      // addition; squares that N2 may drop; and the operand's radii.
      double delta = (chainError(hidden + 1) + 3 * kUnit) * (squares + eps) + 2 * kFlush;
      for (size_t k = 0; k < radii.size(); ++k)
        delta += (2 * std::fabs(values[k]) + radii[k]) * radii[k] / double(hidden);
      exact = reciprocalRoot(squares + eps, delta);
    }
    for (int64_t n = 0; n < hidden; ++n) {
      const double w = arithmetic.f32(offset + scale.data[n]);
      const double value = arithmetic.f32(values[n] * r) * w;
      const double weight = offset + scale.data[n], centre = values[n] * exact.value * weight;
      const double radius = radii.empty() ? 0 : radii[n], size = std::fabs(values[n]) + radius;
      // x * r, shift + scale, and their product: three roundings.
      double bound = std::fabs(weight) * (size * exact.error + radius * exact.value + kFlush);
      bound += 3 * kUnit * (std::fabs(centre) + bound) + (std::fabs(values[n]) < kFlush ? std::fabs(centre) : 0);
      y.set(m * hidden + n, value, centre, bound);
    }
  }
  return y.take();
}

Tensor layerNorm(const Arithmetic &arithmetic, const Tensor &x, const Tensor &scale, const Tensor *bias,
                 double epsilon, Rounding rounding) {
  const int64_t hidden = x.columns();
  const double eps = float(epsilon);
  const auto inside = [&](double value) { return arithmetic.interior(rounding, value); };
  Result y(arithmetic, rounding, x.shape);
  std::vector<double> centred(hidden), errors(hidden);
  for (int64_t m = 0; m < x.rows(); ++m) {
    const std::span values = row(x.data, m, hidden), radii = row(x.radius, m, hidden);
    const double exactMean = arithmetic.sum(values) / double(hidden), mean = inside(exactMean);
    for (int64_t n = 0; n < hidden; ++n)
      centred[n] = inside(values[n] - mean);
    const double variance = inside(arithmetic.dot(centred, centred) / double(hidden));
    const double r = inside(1 / std::sqrt(inside(variance + eps)));

    Reciprocal exact{};
    if (arithmetic.hasBounds()) {
      // The mean errs by its sum's chain and one division; each centred value by
      // that, its own rounding, and its radius; the variance by all of them.
      double magnitude = 0, moved = 0, exactVariance = 0, delta = 2 * kFlush;
      for (int64_t n = 0; n < hidden; ++n) {
        magnitude += std::fabs(values[n]) / double(hidden);
        moved += (radii.empty() ? 0 : radii[n]) / double(hidden);
      }
      const double meanError = (chainError(hidden) + kUnit) * (magnitude + moved) + moved + kFlush;
      for (int64_t n = 0; n < hidden; ++n) {
        const double d = std::fabs(values[n] - exactMean);
        errors[n] = meanError + (radii.empty() ? 0 : radii[n]) + kUnit * (d + meanError);
        exactVariance += d * d / double(hidden);
        delta += (2 * d + errors[n]) * errors[n] / double(hidden);
      }
      delta += (chainError(hidden + 1) + 3 * kUnit) * (exactVariance + delta + eps);
      exact = reciprocalRoot(exactVariance + eps, delta);
    }
    for (int64_t n = 0; n < hidden; ++n) {
      const double w = scale.data[n], b = bias ? bias->data[n] : 0;
      const double scaled = inside(inside(centred[n] * r) * w);
      const double d = values[n] - exactMean, product = d * exact.value * w, centre = product + b;
      // Two products, then the bias.
      double bound = std::fabs(w) * ((std::fabs(d) + errors[n]) * exact.error + errors[n] * exact.value + kFlush);
      bound += 2 * kUnit * (std::fabs(product) + bound);
      bound += kUnit * (std::fabs(centre) + bound) + 2 * kFlush;
      y.set(m * hidden + n, bias ? scaled + b : scaled, centre, bound);
    }
  }
  return y.take();
}

} // namespace graphc::reference
