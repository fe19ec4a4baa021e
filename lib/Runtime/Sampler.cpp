// Top-p needs the candidates in order, but rarely many of them: they are sorted
// in growing blocks until the mass is reached.
#include "Runtime/Sampler.h"
#include "Support/Message.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace graphc {

double portableExp(double x) {
  if (!(x > -708)) // the result would be subnormal
    return 0;
  // x = n ln 2 + r, |r| <= ln 2 / 2. The high part of ln 2 has 33 bits, so that
  // n times it is exact (Cody and Waite 1980, section 6).
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  const double n = std::nearbyint(x * 0x1.71547652b82fep+0);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1; // the Taylor series to r^14 / 14!, by Horner's rule
  for (int k = 14; k > 0; --k)
    sum = 1 + r * sum / k;
  return sum * std::bit_cast<double>(uint64_t(int64_t(n) + 1023) << 52);
}

absl::Status Sampler::checkOptions() const {
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    return invalidArgument("temperature must be 0 or a positive number, got ", options.temperature);
  if (options.topK < 0)
    return invalidArgument("top-k must be 0 or a positive number, got ", options.topK);
  if (!(options.topP > 0 && options.topP <= 1))
    return invalidArgument("top-p must be above 0 and at most 1, got ", options.topP);
  return absl::OkStatus();
}

double Sampler::selectCandidates(std::span<const float> logits, float greatest) {
  candidates.clear();
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    // Infinities are greatest or weigh nothing; inf - inf would be NaN.
    const double weight =
        logits[i] == greatest
            ? 1
            : portableExp((double(logits[i]) - double(greatest)) / options.temperature);
    candidates.push_back({logits[i], int32_t(i), weight});
    total += weight;
  }
  const auto before = [](const Candidate &a, const Candidate &b) {
    return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
  };
  if (options.topK > 0 && size_t(options.topK) < candidates.size()) {
    std::partial_sort(candidates.begin(), candidates.begin() + options.topK, candidates.end(),
                      before);
    candidates.resize(size_t(options.topK));
    total = 0;
    for (const Candidate &candidate : candidates)
      total += candidate.weight;
  }
  if (options.topP == 1)
    return total;
  double mass = 0;
  size_t sorted = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (i == sorted) {
      sorted = std::min(candidates.size(), std::max<size_t>(64, 4 * sorted));
      std::partial_sort(candidates.begin() + int64_t(i), candidates.begin() + int64_t(sorted),
                        candidates.end(), before);
    }
    mass += candidates[i].weight;
    if (mass >= double(options.topP) * total) {
      candidates.resize(i + 1);
      break;
    }
  }
  return mass;
}

absl::StatusOr<int32_t> Sampler::sample(std::span<const float> logits) {
  if (absl::Status status = checkOptions(); !status.ok())
    return status;
  if (logits.empty() || logits.size() > INT32_MAX)
    return invalidArgument("logits must have 1 to 2147483647 values, got ", logits.size());
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      return invalidArgument("logits must be numbers, got NaN for token ", i);
    if (logits[i] > logits[best])
      best = i;
  }
  if (options.temperature == 0)
    return int32_t(best);

  const double mass = selectCandidates(logits, logits[best]);
  // 53 random bits: every double in [0, 1) that is a multiple of 2^-53.
  double left = double(random() >> 11) * 0x1p-53 * mass;
  int32_t token = candidates.front().token; // for a sum that rounds below the mass
  for (const Candidate &candidate : candidates) {
    if (candidate.weight > 0)
      token = candidate.token;
    left -= candidate.weight;
    if (left < 0 && candidate.weight > 0)
      break;
  }
  return token;
}

} // namespace graphc
