// The unigram model of tokenizer.json (Kudo 2018, arXiv:1804.10959): each token
// has a score, and a word becomes the tokens with the greatest sum of scores.
#pragma once

#include "Runtime/TokenModel.h"

#include <absl/container/flat_hash_map.h>
#include <array>

namespace graphc {

class UnigramModel : public TokenModel {
public:
  /// Reads vocab ([token, score] by id), unk_id and byte_fallback. Refused: an
  /// unk_id that is no id, scores that are not finite, and tokens of more than
  /// 256 bytes, which would make the search slow.
  static absl::StatusOr<UnigramModel> parse(const nlohmann::json &json, const std::string &where);

  /// In time O(n * longest token). Adjacent characters that no token covers
  /// become one unknown piece: its bytes if there is a token for each
  /// (byte_fallback), else the unknown token, as in Hugging Face tokenizers.
  void encode(std::string_view word, std::vector<int32_t> &ids) const override;

  std::optional<int32_t> tokenToId(std::string_view token) const override;
  const std::string *idToToken(int32_t id) const override;
  int32_t idCount() const override { return int32_t(tokens.size()); }

private:
  struct Token {
    std::string text;
    double score;
  };
  struct Node;

  void insert(const std::string &text, int32_t id);
  std::vector<Node> bestPath(std::string_view word) const;

  std::vector<Token> tokens;                     ///< By id.
  absl::flat_hash_map<std::string, int32_t> ids; ///< Of a repeated token the last.
  absl::flat_hash_map<uint64_t, int32_t> edges;  ///< Of the trie: node << 8 | byte to node.
  std::vector<int32_t> leaves;                   ///< By node: the id of its token, or -1.
  std::array<int32_t, 256> byteIds;              ///< Of "<0x00>" ..; -1 where none.
  int32_t unknown = 0;
  double unknownScore = 0;
  bool byteFallback = false;
};

} // namespace graphc
