// Two generations of files: `add_prefix_space` came before `prepend_scheme`.
#include "Runtime/Metaspace.h"
#include "Runtime/ComponentJson.h"
#include "Support/Message.h"

namespace graphc {

absl::StatusOr<MetaspaceOptions> parseMetaspace(const nlohmann::json &json,
                                                const std::string &where) {
  using enum MetaspaceOptions::Prepend;
  absl::Status status = checkKeys(
      json, {"type", "replacement", "add_prefix_space", "prepend_scheme", "split", "str_rep"},
      where);
  if (!status.ok())
    return status;
  absl::StatusOr<std::string> replacement = getCharacter(json, "replacement", where);
  if (!replacement.ok())
    return replacement.status();
  absl::StatusOr<bool> split = getBoolOr(json, "split", /*fallback=*/true, where);
  if (!split.ok())
    return split.status();
  absl::StatusOr<std::optional<std::string>> scheme =
      getOptionalString(json, "prepend_scheme", where);
  if (!scheme.ok())
    return scheme.status();
  absl::StatusOr<bool> addPrefixSpace =
      getBoolOr(json, "add_prefix_space", /*fallback=*/true, where);
  if (!addPrefixSpace.ok())
    return addPrefixSpace.status();

  const std::string name = scheme->value_or(*addPrefixSpace ? "always" : "never");
  if (name != "always" && name != "first" && name != "never")
    return invalidArgument(where, ": key 'prepend_scheme' must be 'always', 'first' or 'never', ",
                           "got string '", name, "'");
  if (!*addPrefixSpace && name != "never")
    return invalidArgument(where, ": key 'add_prefix_space' must agree with prepend_scheme '", name,
                           "', got false");
  return MetaspaceOptions{*std::move(replacement),
                          name == "always"  ? Always
                          : name == "first" ? First
                                            : Never,
                          *split};
}

} // namespace graphc
