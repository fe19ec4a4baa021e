// The normalizer `Precompiled` of tokenizer.json: SentencePiece's map of
// characters, a double-array trie (Yata et al.'s Darts) from byte strings to
// places in a blob of replacements.
#pragma once

#include "Runtime/Normalizer.h"

#include <vector>

namespace graphc {

class PrecompiledMap : public Normalizer {
public:
  /// Reads `precompiled_charsmap`, base64 of: the trie's size in bytes, the trie,
  /// and NUL-terminated replacements. Every place that the trie can give is
  /// checked, so a malformed map is an error here.
  static absl::StatusOr<std::unique_ptr<Normalizer>> parse(const nlohmann::json &json, const std::string &where);

  /// Replaces grapheme clusters of at most 5 bytes, or else characters, by what
  /// the shortest prefix in the trie is mapped to, as Hugging Face's does.
  std::string apply(std::string text) const override;
  uint64_t growth() const override { return longest; }

private:
  /// What `text` becomes; null if the trie has no prefix of it.
  const char *find(std::string_view text) const;
  absl::Status check(const std::string &where);

  std::vector<uint32_t> units; ///< The trie.
  std::string replacements;    ///< Each ends with a NUL.
  uint64_t longest = 1;        ///< Bytes of the longest replacement.
};

} // namespace graphc
