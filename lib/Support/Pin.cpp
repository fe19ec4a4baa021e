// The one parser of pin rules.
#include "Support/Pin.h"
#include "Support/Message.h"
#include "Support/Policy.h"

namespace graphc {

static constexpr std::string_view kPins[] = {"f32", "f16", "bf16", "int8", "f8E4M3FN", "f8E5M2"};

/// What the name of another engine's cache type stands for here.
static std::string_view counterpart(std::string_view text) {
  if (text == "q8_0")
    return "; q8_0 is int8 with a scale for 32 elements, here write int8, which has one a row and head";
  if (text.starts_with("q4_") || text.starts_with("q5_") || text == "iq4_nl")
    return "; caches of fewer than 8 bits have no counterpart here, the smallest are int8, f8E4M3FN and f8E5M2";
  return {};
}

static absl::StatusOr<PinElement> parseElement(std::string_view text) {
  if (text == "auto")
    return PinElement{};
  auto dtype = parseDTypeOf("cache dtype", text, kPins);
  if (dtype.ok())
    return PinElement{*dtype};
  if (std::string_view hint = counterpart(text); !hint.empty())
    return invalidArgument("cache dtype must be one of ", join(kPins), ", got '", text, "'", hint);
  return invalidArgument(dtype.status().message(), "; 'auto' is the attention's compute type");
}

absl::StatusOr<PinRule> parsePinRule(std::string_view text) {
  text = trimBlanks(text);
  PinRule rule;
  rule.text = text;
  const auto inRule = [&](const absl::Status &status) {
    return invalidArgument("pin rule '", text, "': ", status.message());
  };
  const RuleParts parts = splitRule(text);
  if (text.find(':') != std::string_view::npos) {
    auto selector = Selector::parse(parts.selector);
    if (!selector.ok())
      return inRule(selector.status());
    if (selector->scope() == Selector::Scope::Kind)
      return inRule(invalidArgument("selector must be a name path, got '", parts.selector,
                                    "'; cache slots have no kind"));
    rule.selector = *std::move(selector);
  }
  for (auto [key, value] : parts.settings) {
    if (key.empty() && parts.settings.size() > 1)
      return inRule(invalidArgument("expected k=DTYPE,v=DTYPE or one DTYPE, got '", value, "' among several"));
    auto element = parseElement(value);
    if (!element.ok())
      return inRule(element.status());
    if (key.empty()) {
      rule.keys = rule.values = *element;
      continue;
    }
    if (key != "k" && key != "v")
      return inRule(invalidArgument("side must be k or v, got '", key, "'"));
    std::optional<PinElement> &side = key == "k" ? rule.keys : rule.values;
    if (side)
      return inRule(invalidArgument("side '", key, "' must appear once, got it twice"));
    side = *element;
  }
  return rule;
}

} // namespace graphc
