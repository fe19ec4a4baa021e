// Rounding is monotone, so rounding both ends of the interval before rounding
// gives the interval after it; no tolerance is added.
#include "Reference/Comparison.h"

#include <cmath>

namespace graphc::reference {

bool agrees(const Tensor &reference, int64_t i, double y) {
  const double expected = reference.data[i];
  if (std::isnan(y) || std::isnan(expected))
    return std::isnan(y) && std::isnan(expected);
  if (y == expected || reference.bound.empty())
    return y == expected;
  const double x = reference.centre[i], bound = reference.bound[i];
  return roundTo(reference.dtype, x - bound) <= y && y <= roundTo(reference.dtype, x + bound);
}

Agreement compare(const Tensor &reference, std::span<const double> actual) {
  Agreement result;
  result.count = reference.size();
  for (int64_t i = 0; i < reference.size(); ++i) {
    const double y = actual[i], expected = reference.data[i];
    result.different += !(y == expected || (std::isnan(y) && std::isnan(expected)));
    if (!reference.bound.empty() && reference.bound[i] > 0)
      result.worst = std::fmax(result.worst, std::fabs(y - reference.centre[i]) / reference.bound[i]);
    if (agrees(reference, i, y))
      continue;
    if (result.outside++ == 0)
      result.first = i;
  }
  return result;
}

bool Agreement::holds(DType dtype) const {
  return outside == 0 && (byteSize(dtype) != 2 || different <= count / 100 + 2);
}

} // namespace graphc::reference
