// Chooses the next token from the logits of one position: greedily, or at
// random from the softmax at a temperature, cut to the most likely tokens.
#pragma once

#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace graphc {

/// Deterministic: the same options and logits give the same tokens on every
/// machine. The generator is the standard's mt19937_64, the conversion to [0, 1)
/// and the exponential are its own, and sums run in a fixed order in f64.
class Sampler {
public:
  explicit Sampler(const SamplingOptions &options) : options(options), random(options.seed) {}

  /// The next token: an index into `logits` (vocab). Greedy takes the lowest
  /// index of the greatest value (numerics.md, section 4); equal logits count as
  /// ordered by index elsewhere too. InvalidArgument if a logit is NaN, if there
  /// is none, or if an option is out of range. Each call without an error that
  /// is not greedy uses one random number.
  absl::StatusOr<int32_t> sample(std::span<const float> logits);

private:
  absl::Status checkOptions() const;
  /// Fills `candidates`, greatest logit first, with the tokens that top-k and
  /// top-p leave; returns the sum of their weights.
  double selectCandidates(std::span<const float> logits, float greatest);

  struct Candidate {
    float logit;
    int32_t token;
    double weight; ///< exp((logit - greatest) / temperature)
  };

  SamplingOptions options;
  std::mt19937_64 random;
  std::vector<Candidate> candidates; ///< Kept for its memory.
};

/// exp(x) for x <= 0, within 2 ulps; the same bits on every IEEE 754 machine,
/// which std::exp does not promise. 0 below -708.
double portableExp(double x);

} // namespace graphc
