// Memory spaces of the cache, from the dtypes that a cache can be pinned to.
#include "Support/CacheSpace.h"

namespace graphc {

static constexpr DType kPins[] = {DType::F32, DType::F16, DType::BF16, DType::I8, DType::F8E4M3FN, DType::F8E5M2};

std::optional<DType> cacheDType(int64_t space) {
  if (space == kScaleSpace)
    return DType::F32;
  for (DType dtype : kPins)
    if (cacheSpace(dtype) == space)
      return dtype;
  return std::nullopt;
}

} // namespace graphc
