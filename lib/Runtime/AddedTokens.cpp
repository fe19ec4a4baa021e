// Leftmost-longest search without overlap, as in Hugging Face tokenizers. One
// difference: what an rstrip token took is not searched again (there, another
// token inside that white space would make the text after it appear twice).
#include "Runtime/AddedTokens.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

using nlohmann::json;

namespace {
constexpr size_t kMaxContent = 4096; // bytes: bounds the search at one position

/// UTS #18, Annex C: \w.
constexpr std::string_view kWordCharacter = R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])";

absl::StatusOr<AddedToken> parseToken(const json &json, const std::string &where) {
  absl::StatusOr<int64_t> id = getInt(json, "id", where);
  if (!id.ok())
    return id.status();
  absl::Status status = checkKeys(
      json, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}, where);
  if (!status.ok())
    return status;
  if (*id < 0 || *id > INT32_MAX)
    return invalidArgument(where, ": key 'id' must be of 0 to 2147483647, got number ", *id);
  absl::StatusOr<std::string> content = getString(json, "content", where);
  if (!content.ok())
    return content.status();
  if (content->empty() || content->size() > kMaxContent)
    return invalidArgument(where, ": key 'content' must have 1 to ", kMaxContent, " bytes, got ",
                           content->size());
  AddedToken token{int32_t(*id), *std::move(content), "", false, false, false, false, false};
  const std::pair<std::string_view, bool *> flags[] = {{"special", &token.special},
                                                       {"single_word", &token.singleWord},
                                                       {"lstrip", &token.lstrip},
                                                       {"rstrip", &token.rstrip},
                                                       {"normalized", &token.normalized}};
  for (const auto &[key, flag] : flags) {
    absl::StatusOr<bool> value = getBool(json, key, where);
    if (!value.ok())
      return value.status();
    *flag = *value;
  }
  return token;
}

/// Where the white space that ends `text` begins.
size_t trailingSpace(std::string_view text) {
  size_t begin = text.size();
  while (begin > 0) {
    size_t previous = begin - 1;
    while ((text[previous] & 0xC0) == 0x80)
      --previous;
    if (!isWhiteSpace(codePointAt(text, previous)))
      break;
    begin = previous;
  }
  return begin;
}

/// The bytes of white space that start `text`.
size_t leadingSpace(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && isWhiteSpace(codePointAt(text, end)))
    end += utf8Length(text[end]);
  return end;
}
} // namespace

absl::StatusOr<AddedTokens> AddedTokens::parse(const json &json, const Normalizer &normalizer,
                                               const std::string &where) {
  AddedTokens result;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string inside = concat(where, "[", i, "]");
    absl::StatusOr<AddedToken> token = parseToken(json[i], inside);
    if (!token.ok())
      return token.status();
    if (token->normalized && normalizer.growth() > kMaxContent)
      return invalidArgument(inside, ": normalizer must lengthen tokens at most ", kMaxContent,
                             " times, got ", normalizer.growth());
    token->decoded = token->normalized ? normalizer.apply(token->content) : token->content;
    if (!result.idsByContent.emplace(token->content, token->id).second)
      return invalidArgument(inside, ": key 'content' must be new, got string '", token->content,
                             "' again");
    const auto [entry, isNew] = result.tokens.emplace(token->id, *token);
    if (!isNew)
      return invalidArgument(inside, ": key 'id' must be new, got number ", token->id, " again");
    Searcher &searcher = token->normalized ? result.normalized : result.raw;
    if (!token->decoded.empty())
      searcher.patterns.push_back({token->decoded, &entry->second});
    if (token->singleWord && !result.wordCharacter) {
      absl::StatusOr<Regex> regex = Regex::compile(kWordCharacter);
      if (!regex.ok())
        return regex.status();
      result.wordCharacter = *std::move(regex);
    }
  }
  for (Searcher *searcher : {&result.raw, &result.normalized}) {
    auto &patterns = searcher->patterns;
    std::sort(patterns.begin(), patterns.end());
    for (size_t i = 1; i < patterns.size(); ++i)
      if (patterns[i].first == patterns[i - 1].first)
        return invalidArgument(where, ": tokens must differ after normalization, got ids ",
                               patterns[i - 1].second->id, " and ", patterns[i].second->id,
                               " for '", patterns[i].first, "'");
  }
  return result;
}

const std::pair<std::string, const AddedToken *> *
AddedTokens::Searcher::longestAt(std::string_view text, size_t position) const {
  const std::pair<std::string, const AddedToken *> *longest = nullptr;
  auto begin = patterns.begin(), end = patterns.end();
  // Invariant: the patterns in [begin, end) agree with the text in `depth` bytes.
  for (size_t depth = 0; begin != end; ++depth) {
    if (begin->first.size() == depth && depth > 0)
      longest = &*begin++;
    if (position + depth == text.size())
      break;
    const auto byteAt = [depth](const auto &pattern) {
      return pattern.first.size() == depth ? -1
                                           : int(static_cast<unsigned char>(pattern.first[depth]));
    };
    const int byte = static_cast<unsigned char>(text[position + depth]);
    begin = std::partition_point(begin, end, [&](const auto &p) { return byteAt(p) < byte; });
    end = std::partition_point(begin, end, [&](const auto &p) { return byteAt(p) <= byte; });
  }
  return longest;
}

bool AddedTokens::isWordAt(std::string_view text, size_t position) const {
  const auto matches = wordCharacter->findAll(text.substr(position, utf8Length(text[position])));
  return matches.ok() && !matches->empty();
}

void AddedTokens::cutPiece(TextPiece piece, const Searcher &searcher,
                           std::vector<TextPiece> &out) const {
  const std::string_view text = piece.text;
  const auto add = [&](size_t begin, size_t end, int32_t id) {
    out.push_back({std::string(text.substr(begin, end - begin)), id, piece.first && begin == 0});
  };
  size_t taken = 0; // everything before is in `out`
  for (size_t position = 0; position < text.size();) {
    const auto *match = searcher.longestAt(text, position);
    if (!match) {
      ++position;
      continue;
    }
    size_t begin = position, end = position + match->first.size();
    position = end;
    const AddedToken &token = *match->second;
    if (token.singleWord) {
      size_t before = begin;
      while (before > 0 && (text[--before] & 0xC0) == 0x80) {
      }
      if ((begin > 0 && isWordAt(text, before)) || (end < text.size() && isWordAt(text, end)))
        continue;
    }
    if (token.lstrip)
      begin = taken + trailingSpace(text.substr(taken, begin - taken));
    if (token.rstrip)
      end += leadingSpace(text.substr(end));
    if (taken < begin)
      add(taken, begin, -1);
    add(begin, end, token.id);
    taken = position = end;
  }
  if (taken < text.size())
    add(taken, text.size(), -1);
}

std::vector<TextPiece> AddedTokens::cut(std::string text, const Normalizer &normalizer) const {
  std::vector<TextPiece> pieces, out;
  cutPiece({std::move(text), -1, /*first=*/true}, raw, pieces);
  for (TextPiece &piece : pieces) {
    if (piece.token >= 0) {
      out.push_back(std::move(piece));
      continue;
    }
    piece.text = normalizer.apply(std::move(piece.text));
    cutPiece(std::move(piece), normalized, out);
  }
  return out;
}

const AddedToken *AddedTokens::byId(int32_t id) const {
  const auto entry = tokens.find(id);
  return entry == tokens.end() ? nullptr : &entry->second;
}

const AddedToken *AddedTokens::byContent(std::string_view content) const {
  const auto entry = idsByContent.find(content);
  return entry == idsByContent.end() ? nullptr : byId(entry->second);
}

} // namespace graphc
