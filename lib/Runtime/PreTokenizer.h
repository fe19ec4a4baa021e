// The `pre_tokenizer` of tokenizer.json: cuts text into the words that the model
// works within. Known: ByteLevel, Split, WhitespaceSplit, Metaspace, Digits,
// Sequence.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace graphc {

/// A part of the text on its way to token ids.
struct TextPiece {
  std::string text;   ///< Valid UTF-8, not empty.
  int32_t token = -1; ///< The id, if it is an added token, which nothing may cut.
  bool first = false; ///< It begins where the whole text begins.
};

class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  /// Cuts and rewrites the pieces that are no added tokens. Fails only where a
  /// pattern exhausts the bounds of Regex::findAll.
  virtual absl::Status apply(std::vector<TextPiece> &pieces) const = 0;
};

/// Reads the component `json`; null is the pre-tokenizer that changes nothing.
/// Errors start with `where` and name the key, what was expected and found.
absl::StatusOr<std::unique_ptr<PreTokenizer>> parsePreTokenizer(const nlohmann::json &json,
                                                                const std::string &where);

} // namespace graphc
