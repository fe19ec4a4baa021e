// The one parser of policy rules, shared by the command, the API and the pass.
#include "Support/Policy.h"
#include "Support/Message.h"
#include "Support/Nearest.h"

#include <algorithm>

namespace graphc {

/// What layers compute in, and what parameters may be stored as besides.
static constexpr std::string_view kCompute[] = {"f32", "f16", "bf16"};
static constexpr std::string_view kStorage[] = {"f32", "f16", "bf16", "f8E4M3FN", "f8E5M2"};
static constexpr std::string_view kKeys[] = {"params", "compute", "output"};

absl::StatusOr<DType> parseDTypeOf(std::string_view what, std::string_view text,
                                   std::span<const std::string_view> names) {
  if (std::ranges::find(names, text) != names.end())
    return *parseDType(text);
  if (text.empty())
    return invalidArgument(what, " must be one of ", join(names), ", got nothing");
  return invalidArgument(what, " must be one of ", join(names), ", got '", text, "'", nearestHint(text, names, 1, 2));
}

std::string_view trimBlanks(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

std::vector<std::string_view> splitRules(std::string_view text) {
  std::vector<std::string_view> rules;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(';', start), text.size());
    if (std::string_view rule = trimBlanks(text.substr(start, end - start)); !rule.empty())
      rules.push_back(rule);
    start = end + 1;
  }
  return rules;
}

RuleParts splitRule(std::string_view text) {
  RuleParts parts;
  if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    parts.selector = trimBlanks(text.substr(0, colon));
    text.remove_prefix(colon + 1);
  }
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string_view setting = trimBlanks(text.substr(start, end - start));
    const size_t equals = setting.find('=');
    if (equals == std::string_view::npos)
      parts.settings.push_back({{}, setting});
    else
      parts.settings.push_back({trimBlanks(setting.substr(0, equals)), trimBlanks(setting.substr(equals + 1))});
    start = end + 1;
  }
  return parts;
}

static absl::Status inRule(std::string_view text, const absl::Status &status) {
  return invalidArgument("policy rule '", text, "': ", status.message());
}

absl::StatusOr<PolicyRule> parsePolicyRule(std::string_view text) {
  text = trimBlanks(text);
  PolicyRule rule;
  rule.text = text;
  const RuleParts parts = splitRule(text);
  if (text.find(':') != std::string_view::npos) {
    auto selector = Selector::parse(parts.selector);
    if (!selector.ok())
      return inRule(text, selector.status());
    rule.selector = *std::move(selector);
  }
  for (auto [key, value] : parts.settings) {
    if (key.empty())
      return invalidArgument("policy rule '", text, "': expected [SELECTOR:]KEY=DTYPE,.. with a key out of params, "
                                                    "compute, output, got '",
                             value, "'");
    std::optional<DType> *slot = key == "params"    ? &rule.params
                                 : key == "compute" ? &rule.compute
                                 : key == "output"  ? &rule.output
                                                    : nullptr;
    if (!slot)
      return invalidArgument("policy rule '", text, "': key must be one of params, compute, output, got '", key, "'",
                             nearestHint(key, kKeys, 1, 3));
    if (slot->has_value())
      return invalidArgument("policy rule '", text, "': key '", key, "' must appear once, got it twice");
    auto dtype = key == "params" ? parseDTypeOf(key, value, kStorage) : parseDTypeOf(key, value, kCompute);
    if (!dtype.ok())
      return inRule(text, dtype.status());
    *slot = *dtype;
  }
  return rule;
}

} // namespace graphc
