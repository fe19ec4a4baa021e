#include "Support/RelativeBias.h"

#include <algorithm>
#include <cmath>

namespace graphc {

bool RelativeBuckets::areValid() const {
  const int64_t direction = bidirectional ? count / 2 : count;
  return direction >= 2 && (!bidirectional || count % 2 == 0) && maxDistance > direction / 2;
}

int64_t RelativeBuckets::bucket(int64_t distance) const {
  const int64_t direction = bidirectional ? count / 2 : count, exact = direction / 2;
  const int64_t first = bidirectional && distance > 0 ? direction : 0;
  // One direction: a key behind the query is at distance 0.
  const int64_t away = std::min(bidirectional ? std::abs(distance) : std::max<int64_t>(-distance, 0), maxDistance);
  if (away < exact)
    return first + away;
  const float whole = float(std::log(double(maxDistance) / double(exact)));
  const float part = std::log(float(away) / float(exact)) / whole;
  return first + std::min(exact + int64_t(part * float(direction - exact)), direction - 1);
}

} // namespace graphc
