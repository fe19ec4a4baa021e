// Memory spaces of the cache. Each dtype of cache memory has a space of its own,
// so that every pointer to it says its dtype, from kernels down to LLVM IR. This
// is the one table that all checkers of the contract read.
#pragma once

#include "Support/DType.h"

#include <cstdint>
#include <optional>

namespace graphc {

/// First of the memory spaces that hold cache: space 16 + index of the dtype.
/// x86 reserves 256 to 258 and 270 to 272.
inline constexpr int64_t kCacheSpace = 16;
inline int64_t cacheSpace(DType dtype) { return kCacheSpace + int64_t(dtype); }

/// The space of the scales of 8-bit rows, which are f32: (batch, kvHeads, rows).
inline constexpr int64_t kScaleSpace = 32;

/// The dtype of every element in `space`; nothing if it is no memory of a cache.
std::optional<DType> cacheDType(int64_t space);

} // namespace graphc
