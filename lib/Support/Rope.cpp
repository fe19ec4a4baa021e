// The formulas of transformers' modeling_rope_utils.py (version 5; default type:
// modeling_llama.py). A Python number is a double until it meets a tensor; then
// it is rounded to f32, and so is each operation's result. In variable names, e
// is the exponent 2i/dim, i the pair.
#include "Support/Rope.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace graphc {

namespace {
/// f32 base^e for each pair, (dim / 2): e = f32(2i) / f32(dim). The power is
/// taken in f64 and rounded, so that it is the same on every machine.
std::vector<float> powers(double base, int64_t dim) {
  std::vector<float> result(size_t(dim / 2));
  for (size_t i = 0; i < result.size(); ++i) {
    const float e = float(2 * i) / float(dim);
    result[i] = float(std::pow(double(float(base)), double(e)));
  }
  return result;
}

/// _compute_linear_scaling_rope_parameters; factor 1 gives the default type.
std::vector<float> linear(double base, int64_t dim, double factor) {
  std::vector<float> inv = powers(base, dim);
  for (float &f : inv)
    f = 1.0f / f / float(factor);
  return inv;
}

/// _compute_dynamic_ntk_parameters, with the session's length for `seq_len`.
/// transformers recomputes it as the sequence grows.
std::vector<float> dynamic(const RopeSpec &spec, int64_t sessionLength) {
  const double factor = spec.scaling.factor, trained = double(spec.scaling.originalMaxPositions);
  const double length = std::max(double(sessionLength), trained);
  const double dim = double(spec.dim);
  const double base =
      spec.base * std::pow(factor * length / trained - (factor - 1), dim / (dim - 2));
  return linear(base, spec.dim, /*factor=*/1);
}

/// _compute_yarn_parameters (Peng et al., arXiv:2309.00071).
std::vector<float> yarn(const RopeSpec &spec) {
  const RopeScaling &s = spec.scaling;
  const double dim = double(spec.dim);
  // The pair that turns `rotations` times within the trained length.
  auto correctionDim = [&](double rotations) {
    return dim *
           std::log(double(s.originalMaxPositions) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(spec.base));
  };
  double low = correctionDim(s.betaFast), high = correctionDim(s.betaSlow);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high)
    high += 0.001;
  std::vector<float> inv = powers(spec.base, spec.dim);
  for (size_t i = 0; i < inv.size(); ++i) {
    const float extrapolated = 1.0f / inv[i], interpolated = 1.0f / (float(s.factor) * inv[i]);
    const float ramp = std::clamp((float(i) - float(low)) / float(high - low), 0.0f, 1.0f);
    const float share = 1.0f - ramp;
    inv[i] = interpolated * (1.0f - share) + extrapolated * share;
  }
  return inv;
}

/// _compute_longrope_parameters: long factors beyond the trained length.
/// transformers chooses anew for each call, by its greatest position.
std::vector<float> longRope(const RopeSpec &spec, int64_t sessionLength) {
  const RopeScaling &s = spec.scaling;
  const bool isLong = sessionLength > s.originalMaxPositions;
  std::vector<float> inv = powers(spec.base, spec.dim);
  for (size_t i = 0; i < inv.size(); ++i)
    inv[i] = 1.0f / (float((isLong ? s.longFactor : s.shortFactor)[i]) * inv[i]);
  return inv;
}

/// _compute_llama3_parameters.
std::vector<float> llama3(const RopeSpec &spec) {
  const RopeScaling &s = spec.scaling;
  const double trained = double(s.originalMaxPositions);
  const float longest = float(trained / s.lowFreqFactor);
  const float shortest = float(trained / s.highFreqFactor);
  std::vector<float> inv = linear(spec.base, spec.dim, /*factor=*/1);
  for (float &f : inv) {
    const float wavelength = float(2 * std::numbers::pi) / f;
    const float smooth = (float(trained) / wavelength - float(s.lowFreqFactor)) /
                         float(s.highFreqFactor - s.lowFreqFactor);
    if (wavelength > longest)
      f = f / float(s.factor);
    else if (wavelength >= shortest)
      f = (1.0f - smooth) * f / float(s.factor) + smooth * f;
  }
  return inv;
}

double yarnScale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}
} // namespace

bool dependsOnSessionLength(const RopeSpec &spec) {
  return spec.scaling.type == RopeScaling::Type::Dynamic ||
         spec.scaling.type == RopeScaling::Type::LongRope;
}

std::vector<float> inverseFrequencies(const RopeSpec &spec, int64_t sessionLength) {
  switch (spec.scaling.type) {
  case RopeScaling::Type::None:
    return linear(spec.base, spec.dim, /*factor=*/1);
  case RopeScaling::Type::Linear:
    return linear(spec.base, spec.dim, spec.scaling.factor);
  case RopeScaling::Type::Dynamic:
    return dynamic(spec, sessionLength);
  case RopeScaling::Type::Yarn:
    return yarn(spec);
  case RopeScaling::Type::LongRope:
    return longRope(spec, sessionLength);
  case RopeScaling::Type::Llama3:
    return llama3(spec);
  }
  return {};
}

float ropeAttentionFactor(const RopeSpec &spec) {
  const RopeScaling &s = spec.scaling;
  if (s.type != RopeScaling::Type::Yarn && s.type != RopeScaling::Type::LongRope)
    return 1;
  if (s.attentionFactor)
    return float(*s.attentionFactor);
  if (s.type == RopeScaling::Type::LongRope)
    return s.factor <= 1 ? 1.0f
                         : float(std::sqrt(1 + std::log(s.factor) /
                                                   std::log(double(s.originalMaxPositions))));
  if (s.mscale != 0 && s.mscaleAllDim != 0)
    return float(yarnScale(s.factor, s.mscale) / yarnScale(s.factor, s.mscaleAllDim));
  return float(yarnScale(s.factor, /*mscale=*/1));
}

void fillRopeTables(const RopeSpec &spec, int64_t sessionLength, int64_t rows,
                    std::span<float> cos, std::span<float> sin) {
  const std::vector<float> inv = inverseFrequencies(spec, sessionLength);
  const float factor = ropeAttentionFactor(spec);
  assert(cos.size() == size_t(rows) * inv.size() && sin.size() == cos.size());
  for (size_t row = 0, at = 0; row < size_t(rows); ++row)
    for (float f : inv) {
      const float angle = float(row) * f;
      cos[at] = float(std::cos(double(angle))) * factor;
      sin[at++] = float(std::sin(double(angle))) * factor;
    }
}

} // namespace graphc
