// Viterbi's search over the ends of tokens, from left to right. Scores are f64
// and compared as Hugging Face's are, so that ties fall alike.
#include "Runtime/Unigram.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>
#include <cmath>

namespace graphc {

using nlohmann::json;

namespace {
constexpr size_t kMaxTokenBytes = 256;
/// What an unknown character costs beyond the worst token.
constexpr double kUnknownPenalty = 10.0;
} // namespace

/// The best way to reach the end of a prefix of the word.
struct UnigramModel::Node {
  double score = 0;
  int32_t start = -1; ///< Of the last token; -1: the end was not reached.
  int32_t id = 0;
};

std::vector<UnigramModel::Node> UnigramModel::bestPath(std::string_view word) const {
  std::vector<Node> ends(word.size() + 1);
  for (size_t start = 0, length; start < word.size(); start += length) {
    length = utf8Length(word[start]);
    const double before = ends[start].score;
    const auto reach = [&](size_t end, double score, int32_t id) {
      Node &node = ends[end];
      if (node.start < 0 || before + score > node.score)
        node = {before + score, int32_t(start), id};
    };
    bool isCovered = false;
    int32_t node = 0;
    for (size_t end = start; end < word.size(); ) {
      const auto edge = edges.find(uint64_t(node) << 8 | static_cast<unsigned char>(word[end]));
      if (edge == edges.end())
        break;
      node = edge->second;
      ++end;
      if (const int32_t id = leaves[size_t(node)]; id >= 0) {
        reach(end, tokens[size_t(id)].score, id);
        isCovered |= end - start == length;
      }
    }
    if (!isCovered)
      reach(start + length, unknownScore, unknown);
  }
  return ends;
}

void UnigramModel::encode(std::string_view word, std::vector<int32_t> &out) const {
  const std::vector<Node> ends = bestPath(word);
  struct Piece {
    size_t start, end;
    bool isUnknown;
  };
  std::vector<Piece> pieces; // from the last to the first
  for (size_t end = word.size(); end > 0; end = size_t(ends[end].start)) {
    const bool isUnknown = ends[end].id == unknown;
    if (isUnknown && !pieces.empty() && pieces.back().isUnknown)
      pieces.back().start = size_t(ends[end].start);
    else
      pieces.push_back({size_t(ends[end].start), end, isUnknown});
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const std::string_view text = word.substr(piece->start, piece->end - piece->start);
    const auto byteId = [&](char byte) { return byteIds[static_cast<unsigned char>(byte)]; };
    if (const std::optional<int32_t> id = tokenToId(text))
      out.push_back(*id);
    else if (byteFallback && std::ranges::all_of(text, [&](char byte) { return byteId(byte) >= 0; }))
      std::ranges::transform(text, std::back_inserter(out), byteId);
    else
      out.push_back(unknown);
  }
}

std::optional<int32_t> UnigramModel::tokenToId(std::string_view token) const {
  const auto entry = ids.find(absl::string_view(token.data(), token.size()));
  return entry == ids.end() ? std::nullopt : std::optional(entry->second);
}

const std::string *UnigramModel::idToToken(int32_t id) const {
  return id >= 0 && id < idCount() ? &tokens[size_t(id)].text : nullptr;
}

void UnigramModel::insert(const std::string &text, int32_t id) {
  int32_t node = 0;
  for (char byte : text) {
    const auto [edge, isNew] = edges.try_emplace(uint64_t(node) << 8 | static_cast<unsigned char>(byte), int32_t(leaves.size()));
    node = edge->second;
    if (isNew)
      leaves.push_back(-1);
  }
  if (!text.empty()) // one of length 0 would lead nowhere
    leaves[size_t(node)] = id;
  ids.insert_or_assign(text, id);
}

absl::StatusOr<UnigramModel> UnigramModel::parse(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "unk_id", "vocab", "byte_fallback"}, where); !status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> vocab = getArray(json, "vocab", where);
  if (!vocab.ok())
    return vocab.status();
  UnigramModel model;
  model.leaves.push_back(-1); // the root
  double least = 0;
  for (size_t i = 0; i < (*vocab)->size(); ++i) {
    const nlohmann::json &entry = (**vocab)[i];
    const std::string inside = concat(where, ".vocab[", i, "]");
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      return invalidArgument(inside, ": entry must be [token, score], got ", describeJson(entry));
    const std::string &text = *entry[0].get_ptr<const std::string *>();
    const double score = entry[1].get<double>();
    if (text.size() > kMaxTokenBytes)
      return invalidArgument(inside, ": token must have at most ", kMaxTokenBytes, " bytes, got ", text.size());
    if (!std::isfinite(score))
      return invalidArgument(inside, ": score must be finite, got ", describeJson(entry[1]));
    least = i ? std::min(least, score) : score;
    model.tokens.push_back({text, score});
    model.insert(text, int32_t(i));
  }
  absl::StatusOr<int64_t> unknown = getInt(json, "unk_id", where);
  if (!unknown.ok())
    return unknown.status();
  if (*unknown < 0 || *unknown >= int64_t(model.tokens.size()))
    return invalidArgument(where, ": key 'unk_id' must be the id of one of ", model.tokens.size(), " tokens, got ",
                           *unknown);
  model.unknown = int32_t(*unknown);
  model.unknownScore = least - kUnknownPenalty;
  absl::StatusOr<bool> byteFallback = getBoolOr(json, "byte_fallback", /*fallback=*/false, where);
  if (!byteFallback.ok())
    return byteFallback.status();
  model.byteFallback = *byteFallback;
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte)
    model.byteIds[byte] = model.tokenToId(concat("<0x", kHex[byte >> 4], kHex[byte & 15], ">")).value_or(-1);
  return model;
}

} // namespace graphc
