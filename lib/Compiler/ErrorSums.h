// Running sums of differences between a compiled value and the reference's, and
// between two distributions of the next token.
#pragma once

#include "Support/DType.h"
#include "graphc/Compiler.h"

#include <span>

namespace graphc {

/// Of one value, over all calls.
class ErrorSums {
public:
  explicit ErrorSums(DType dtype = DType::F32) : dtype(dtype) {}
  void add(std::span<const double> expected, std::span<const double> actual);
  ValueError summary(const std::string &name) const;

private:
  DType dtype;
  int64_t elements = 0, finite = 0, infinities = 0, nans = 0;
  double greatest = 0, sum = 0, range = 0;
  double product = 0, expectedSquare = 0, actualSquare = 0;
};

/// Of the logits, a row a position.
class LogitSums {
public:
  void add(std::span<const double> expected, std::span<const float> actual);
  /// Sets positions, KL and agreement.
  void summarize(Comparison &comparison) const;

private:
  int64_t positions = 0, agreeing = 0;
  double sum = 0, greatest = 0;
};

/// KL(p || q) in nats of the distributions whose logits are given; infinite if a logit
/// of q is not finite.
double divergence(std::span<const double> p, std::span<const float> q);
/// Lowest index of the greatest value; NaN is less than all.
int32_t likeliest(std::span<const float> values);

} // namespace graphc
