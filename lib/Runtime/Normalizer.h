// The `normalizer` of tokenizer.json: text to text, before it is cut into
// pieces. Known: NFC, NFD, NFKC, NFKD, Prepend, Replace (a literal, or runs of
// blanks), Strip, Precompiled, Sequence.
#pragma once

#include <absl/status/statusor.h>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace graphc {

class Normalizer {
public:
  virtual ~Normalizer() = default;
  /// `text` and the result are valid UTF-8.
  virtual std::string apply(std::string text) const = 0;
  /// An upper bound of the factor by which apply() lengthens text, in bytes. A
  /// file may claim an absurd one, so callers look before they apply.
  virtual uint64_t growth() const = 0;
};

/// Reads the component `json`; null is the normalizer that changes nothing.
/// Errors start with `where` and name the key, what was expected and found.
absl::StatusOr<std::unique_ptr<Normalizer>> parseNormalizer(const nlohmann::json &json,
                                                            const std::string &where);

} // namespace graphc
