// Policy rules, the text behind --policy:
//
//   rule   = [selector ":"] key "=" dtype ("," key "=" dtype)*
//   key    = params | compute | output
//   dtype  = f32 | f16 | bf16, for params also f8E4M3FN | f8E5M2
//
// `compute=bf16,output=f32` is for all layers, `rms_norm:compute=f32` for a
// kind, `layers.0-3.*:compute=f32` for names. Later rules win, key by key.
#pragma once

#include "Support/DType.h"
#include "Support/Selector.h"

#include <absl/status/statusor.h>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace graphc {

/// The dtype called `text`, which must be among `names`. InvalidArgument names
/// `what` ("compute", "cache dtype"), the text, and the nearest of the names.
absl::StatusOr<DType> parseDTypeOf(std::string_view what, std::string_view text,
                                   std::span<const std::string_view> names);

struct PolicyRule {
  std::string text; ///< As it was written, for messages.
  Selector selector;
  std::optional<DType> params, compute, output; ///< At least one is set.
};

/// InvalidArgument for every malformed rule; the message quotes the rule.
absl::StatusOr<PolicyRule> parsePolicyRule(std::string_view text);

/// The rules of a text with ';' between them; empty ones are left out.
std::vector<std::string_view> splitRules(std::string_view text);

/// `text` without blanks at either end.
std::string_view trimBlanks(std::string_view text);

/// One `key=value` of a rule.
struct RuleSetting {
  std::string_view key, value;
};
/// A rule split at its last colon into the selector's text (empty if absent)
/// and its comma-separated settings. A setting without '=' has an empty key.
struct RuleParts {
  std::string_view selector;
  std::vector<RuleSetting> settings;
};
RuleParts splitRule(std::string_view text);

} // namespace graphc
