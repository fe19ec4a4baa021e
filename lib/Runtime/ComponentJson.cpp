// Key checks and small values of tokenizer.json components.
#include "Runtime/ComponentJson.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

absl::Status checkKeys(const nlohmann::json &object, std::initializer_list<std::string_view> known,
                       std::string_view where) {
  for (auto entry = object.begin(); entry != object.end(); ++entry)
    if (std::find(known.begin(), known.end(), entry.key()) == known.end())
      return invalidArgument(where, ": key '", entry.key(), "' must be one of ", join(known),
                             ", got ", describeJson(entry.value()));
  return absl::OkStatus();
}

absl::Status unknownType(std::string_view type, std::string_view expected, std::string_view where) {
  return invalidArgument(where, ": key 'type' must be ", expected, ", got string '", type, "'");
}

absl::StatusOr<std::string> getLiteralPattern(const nlohmann::json &object,
                                              std::string_view where) {
  absl::StatusOr<const nlohmann::json *> pattern = getObject(object, "pattern", where);
  if (!pattern.ok())
    return pattern.status();
  const std::string inside = concat(where, ".pattern");
  if (absl::Status status = checkKeys(**pattern, {"String"}, inside); !status.ok())
    return status;
  absl::StatusOr<std::string> literal = getString(**pattern, "String", inside);
  if (literal.ok() && literal->empty())
    return invalidArgument(inside, ": key 'String' must not be empty, got string ''");
  return literal;
}

absl::StatusOr<std::string> getCharacter(const nlohmann::json &object, std::string_view key,
                                         std::string_view where) {
  absl::StatusOr<std::string> text = getString(object, key, where);
  if (text.ok() && (text->empty() || utf8Length(text->front()) != text->size()))
    return invalidArgument(where, ": key '", key, "' must be one character, got string '", *text,
                           "'");
  return text;
}

absl::StatusOr<bool> getBoolOr(const nlohmann::json &object, std::string_view key, bool fallback,
                               std::string_view where) {
  absl::StatusOr<std::optional<bool>> value = getOptionalBool(object, key, where);
  if (!value.ok())
    return value.status();
  return value->value_or(fallback);
}

std::string replaceAll(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string out;
  while (true) {
    const size_t found = text.find(pattern);
    out += text.substr(0, found);
    if (found == std::string_view::npos)
      return out;
    out += content;
    text.remove_prefix(found + pattern.size());
  }
}

uint64_t replacementGrowth(std::string_view pattern, std::string_view content) {
  return std::max<uint64_t>(1, (content.size() + pattern.size() - 1) / pattern.size());
}

} // namespace graphc
