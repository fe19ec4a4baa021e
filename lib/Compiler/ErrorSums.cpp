// Elements that are not finite are counted and kept out of the sums, which they
// would drown.
#include "Compiler/ErrorSums.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graphc {

void ErrorSums::add(std::span<const double> expected, std::span<const double> actual) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ++elements;
    const double x = expected[i], y = actual[i];
    if (!std::isfinite(x))
      continue; // the reference has no number to compare with
    range = std::max(range, std::fabs(x));
    if (!std::isfinite(y)) {
      ++(std::isnan(y) ? nans : infinities);
      continue;
    }
    ++finite;
    const double error = std::fabs(y - x);
    greatest = std::max(greatest, error);
    sum += error;
    product += x * y;
    expectedSquare += x * x;
    actualSquare += y * y;
  }
}

ValueError ErrorSums::summary(const std::string &name) const {
  ValueError error{.name = name, .dtype = std::string(info(dtype).name), .elements = elements, .maxError = greatest};
  error.meanError = finite ? sum / double(finite) : 0;
  error.range = range;
  const double lengths = std::sqrt(expectedSquare) * std::sqrt(actualSquare);
  error.cosine = lengths > 0 ? std::clamp(product / lengths, -1.0, 1.0) : expectedSquare == actualSquare ? 1 : 0;
  error.infinities = infinities;
  error.nans = nans;
  return error;
}

/// log sum exp.
template <typename T> static double logSum(std::span<const T> logits) {
  double greatest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (T x : logits)
    greatest = std::max(greatest, double(x));
  for (T x : logits)
    sum += std::exp(double(x) - greatest);
  return greatest + std::log(sum);
}

double divergence(std::span<const double> p, std::span<const float> q) {
  if (!std::ranges::all_of(q, [](float x) { return std::isfinite(x); }))
    return std::numeric_limits<double>::infinity();
  const double pSum = logSum(p), qSum = logSum(q);
  double result = 0;
  for (size_t i = 0; i < p.size(); ++i)
    result += std::exp(p[i] - pSum) * ((p[i] - pSum) - (double(q[i]) - qSum));
  return std::max(result, 0.0); // not below by rounding
}

int32_t likeliest(std::span<const float> values) {
  size_t best = 0;
  for (size_t i = 1; i < values.size(); ++i)
    if (values[i] > values[best] || (std::isnan(values[best]) && !std::isnan(values[i])))
      best = i;
  return int32_t(best);
}

void LogitSums::add(std::span<const double> expected, std::span<const float> actual) {
  const double kl = divergence(expected, actual);
  ++positions;
  sum += kl;
  greatest = std::max(greatest, kl);
  agreeing += std::max_element(expected.begin(), expected.end()) - expected.begin() == likeliest(actual);
}

void LogitSums::summarize(Comparison &comparison) const {
  comparison.positions = positions;
  comparison.meanKl = positions ? sum / double(positions) : 0;
  comparison.maxKl = greatest;
  comparison.agreeing = agreeing;
}

} // namespace graphc
