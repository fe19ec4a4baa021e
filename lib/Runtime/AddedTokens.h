// The `added_tokens` of tokenizer.json: tokens that are found in the text
// before anything cuts it, such as <|endoftext|>.
#pragma once

#include "Runtime/Normalizer.h"
#include "Runtime/PreTokenizer.h"
#include "Runtime/Regex.h"

#include <map>
#include <optional>

namespace graphc {

struct AddedToken {
  int32_t id;
  std::string content; ///< As written in the file.
  std::string decoded; ///< What the decoder is given: normalized if `normalized`.
  bool special;        ///< Left out when special tokens are skipped.
  bool singleWord;     ///< Counts only where no word character adjoins it.
  bool lstrip, rstrip; ///< Takes the white space before / after it along.
  bool normalized;     ///< Looked for in the normalized text rather than in the raw.
};

class AddedTokens {
public:
  AddedTokens() = default;
  AddedTokens(AddedTokens &&) = default; ///< Not copied: searchers point into `tokens`.
  AddedTokens &operator=(AddedTokens &&) = default;

  /// Reads the array `json`; `normalizer` makes the form in which normalized
  /// tokens are looked for. Errors start with `where`.
  static absl::StatusOr<AddedTokens> parse(const nlohmann::json &json, const Normalizer &normalizer,
                                           const std::string &where);

  /// Cuts `text` (valid UTF-8) at the tokens: raw ones first, then the text
  /// between them is normalized, piece by piece, and cut at normalized ones.
  std::vector<TextPiece> cut(std::string text, const Normalizer &normalizer) const;

  const AddedToken *byId(int32_t id) const;
  const AddedToken *byContent(std::string_view content) const;
  const std::map<int32_t, AddedToken> &all() const { return tokens; }

private:
  /// The patterns of one of the two searches, sorted, so that the candidates at
  /// a position narrow down byte by byte.
  struct Searcher {
    std::vector<std::pair<std::string, const AddedToken *>> patterns;
    /// The longest pattern at `position` of `text`, or nullptr.
    const std::pair<std::string, const AddedToken *> *longestAt(std::string_view text,
                                                                size_t position) const;
  };
  void cutPiece(TextPiece piece, const Searcher &searcher, std::vector<TextPiece> &out) const;
  bool isWordAt(std::string_view text, size_t position) const;

  std::map<int32_t, AddedToken> tokens; ///< Nodes are stable: searchers point at them.
  std::map<std::string, int32_t, std::less<>> idsByContent;
  Searcher raw, normalized;
  std::optional<Regex> wordCharacter; ///< Only if a token has singleWord.
};

} // namespace graphc
