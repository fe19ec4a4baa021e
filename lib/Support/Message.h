// Error messages from parts. Debian's Abseil is built with a string_view of its
// own, so StrCat and StrJoin refuse std::string_view; these take it.
#pragma once

#include <absl/status/status.h>
#include <charconv>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace graphc {

/// Appends text as it is, a bool as true or false, and a number in the shortest
/// decimal form that reads back the same.
template <typename T> void appendPart(std::string &out, const T &part) {
  if constexpr (std::is_same_v<T, bool>) {
    out += part ? "true" : "false";
  } else if constexpr (std::is_same_v<T, char>) {
    out += part;
  } else if constexpr (std::is_arithmetic_v<T>) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, part).ptr);
  } else if constexpr (std::is_convertible_v<T, std::string_view>) {
    out += std::string_view(part);
  } else { // absl::string_view, what Status::message() returns
    out.append(part.data(), part.size());
  }
}

/// The parts (text or numbers), one after the other.
template <typename... Parts> std::string concat(const Parts &...parts) {
  std::string out;
  (appendPart(out, parts), ...);
  return out;
}

/// The elements of `range`, with `separator` between them: "2, 3".
template <typename Range> std::string join(const Range &range, std::string_view separator = ", ") {
  std::string out;
  bool first = true;
  for (const auto &element : range) {
    if (!std::exchange(first, false))
      out += separator;
    appendPart(out, element);
  }
  return out;
}

/// InvalidArgument with the parts as its message: the status of bad input.
template <typename... Parts> absl::Status invalidArgument(const Parts &...parts) {
  return absl::InvalidArgumentError(concat(parts...));
}

} // namespace graphc
