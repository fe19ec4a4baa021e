// What the readers of tokenizer.json share: each component is an object with a
// `type`, and a key that its reader does not know is refused, since it may
// change what the component does.
#pragma once

#include "Support/Json.h"

#include <initializer_list>

namespace graphc {

/// InvalidArgument unless every key of `object` is among `known`.
absl::Status checkKeys(const nlohmann::json &object, std::initializer_list<std::string_view> known,
                       std::string_view where);

/// The error for a component whose `type` is none of `expected`: a list for
/// people, such as "'ByteLevel' or 'Split'".
absl::Status unknownType(std::string_view type, std::string_view expected, std::string_view where);

/// The literal of `{"String": ".."}` under key `pattern`, which must not be empty.
absl::StatusOr<std::string> getLiteralPattern(const nlohmann::json &object, std::string_view where);

/// The value of `key`, one character, in UTF-8.
absl::StatusOr<std::string> getCharacter(const nlohmann::json &object, std::string_view key,
                                         std::string_view where);

/// The value of `key` as a bool, or `fallback` where it is absent or null.
absl::StatusOr<bool> getBoolOr(const nlohmann::json &object, std::string_view key, bool fallback,
                               std::string_view where);

/// `text` with every occurrence of `pattern` (not empty), from left to right,
/// replaced by `content`.
std::string replaceAll(std::string_view text, std::string_view pattern, std::string_view content);

/// An upper bound of the factor by which replaceAll lengthens text.
uint64_t replacementGrowth(std::string_view pattern, std::string_view content);

} // namespace graphc
