// "Did you mean": the names nearest to one that is unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// Fewest insertions, deletions and substitutions of characters that turn `a`
/// into `b`. Each is cut at 256 characters, so that hostile text costs little.
size_t editDistance(std::string_view a, std::string_view b);

/// Up to `count` different names out of `known`: those that contain `name` first,
/// then by distance, equal distances in the order given.
std::vector<std::string_view> nearestNames(std::string_view name,
                                           std::span<const std::string_view> known,
                                           size_t count = 3);

/// The same as the end of a message: "; nearest: 'a', 'b'", or nothing. Names
/// further away than `within` are left out.
std::string nearestHint(std::string_view name, std::span<const std::string_view> known,
                        size_t count = 3, size_t within = SIZE_MAX);

} // namespace graphc
