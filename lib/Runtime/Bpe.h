// The model of tokenizer.json: byte-pair encoding (Sennrich et al. 2016). A
// word starts as its characters; the adjacent pair of lowest rank is merged
// until no known pair is left.
#pragma once

#include "Runtime/TokenModel.h"

#include <absl/container/flat_hash_map.h>
#include <array>
#include <unordered_map>

namespace graphc {

class BpeModel : public TokenModel {
public:
  BpeModel() = default;
  BpeModel(BpeModel &&) = default; ///< The maps hold views into `texts`.
  BpeModel &operator=(BpeModel &&) = default;

  /// Reads the key `model` of tokenizer.json: vocab, merges ("a b" or
  /// ["a", "b"]), unk_token, fuse_unk, byte_fallback, ignore_merges. Refused:
  /// other model types, dropout, subword prefixes and suffixes, ids that are
  /// negative, used twice or further than 65,536 beyond the number of tokens,
  /// and merges of unknown tokens. Errors start with `where`.
  static absl::StatusOr<BpeModel> parse(const nlohmann::json &json, const std::string &where);

  /// Appends the ids of one pre-tokenized word (valid UTF-8), in time
  /// O(n log n). A character that is not in the vocabulary becomes its bytes
  /// (byte_fallback), else the unknown token, else nothing, as in Hugging Face
  /// tokenizers.
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

  std::optional<int32_t> tokenToId(std::string_view token) const override;
  const std::string *idToToken(int32_t id) const override;
  int32_t idCount() const override { return int32_t(texts.size()); }

private:
  struct Merge {
    uint32_t rank;
    int32_t merged;
  };
  struct Symbol;

  absl::Status parseVocabulary(const nlohmann::json &vocab, const std::string &where);
  absl::Status parseMerges(const nlohmann::json &merges, const std::string &where);
  absl::Status parseOptions(const nlohmann::json &json, const std::string &where);
  void indexCharacters();
  void initialSymbols(std::string_view word, std::vector<Symbol> &symbols) const;
  void mergeAll(std::vector<Symbol> &symbols) const;
  std::optional<Merge> findMerge(int32_t left, int32_t right) const;

  std::vector<std::optional<std::string>> texts; ///< By id; nothing where one is unused.
  std::unordered_map<std::string_view, int32_t> ids;
  absl::flat_hash_map<uint64_t, Merge> merges; ///< By left id << 32 | right id.
  std::array<int32_t, 0x180> characterIds;     ///< By code point; -1 where none.
  std::array<int32_t, 256> byteIds;            ///< Of "<0x00>" ..; -1 where none.
  std::optional<int32_t> unknown;
  bool fuseUnknown = false, byteFallback = false, ignoreMerges = false;
};

} // namespace graphc
