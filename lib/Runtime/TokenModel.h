// The key `model` of tokenizer.json: words to token ids, and the vocabulary.
// Known: BPE and Unigram.
#pragma once

#include <absl/status/statusor.h>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

class TokenModel {
public:
  virtual ~TokenModel() = default;

  /// Appends the ids of one pre-tokenized word (valid UTF-8).
  virtual void encode(std::string_view word, std::vector<int32_t> &ids) const = 0;
  virtual std::optional<int32_t> tokenToId(std::string_view token) const = 0;
  /// The token's text, or nullptr if no token has this id.
  virtual const std::string *idToToken(int32_t id) const = 0;
  /// One more than the greatest id.
  virtual int32_t idCount() const = 0;
};

/// Reads the component `json`. Errors start with `where` and name the key, what
/// was expected and found.
absl::StatusOr<std::unique_ptr<TokenModel>> parseTokenModel(const nlohmann::json &json, const std::string &where);

} // namespace graphc
