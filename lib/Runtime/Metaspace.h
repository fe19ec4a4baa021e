// The options of tokenizer.json's Metaspace, which is a pre-tokenizer (blanks
// become a visible character) and a decoder (and back).
#pragma once

#include <absl/status/statusor.h>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace graphc {

struct MetaspaceOptions {
  enum class Prepend { Always, First, Never };

  std::string replacement;           ///< One character in UTF-8, as a rule U+2581.
  Prepend prepend = Prepend::Always; ///< Which pieces get one in front.
  bool split = true;                 ///< Whether words are cut before each one.
};

/// Reads `replacement`, `prepend_scheme`, `add_prefix_space` and `split` of the
/// component `json`. Errors start with `where`.
absl::StatusOr<MetaspaceOptions> parseMetaspace(const nlohmann::json &json,
                                                const std::string &where);

} // namespace graphc
