// What the levels of the cache's contract share: how a violation is told from
// other errors, and what a level hands to the certificate.
#pragma once

#include "Support/Message.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// What stands in front of a violation's message: the driver's exit code 3.
inline constexpr std::string_view kContractPrefix = "contract: ";

/// Aborted, with the parts behind the prefix.
template <typename... Parts> absl::Status brokenContract(const Parts &...parts) {
  return absl::AbortedError(concat(kContractPrefix, parts...));
}

/// A number that a checker found, under the name that its documentation gives it:
/// how much was checked, in the unit that the name says.
struct Fact {
  std::string name;
  uint64_t value = 0;
  bool operator==(const Fact &) const = default;
};
using Facts = std::vector<Fact>;

} // namespace graphc
