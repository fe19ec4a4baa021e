// Reads and checks the key `model` of tokenizer.json. Whatever passes here can
// be encoded with: no id or pair needs a check later.
#include "Runtime/Bpe.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

namespace graphc {

using nlohmann::json;

namespace {
/// Ids may leave holes, but a huge one must not allocate a huge table.
constexpr int64_t kMaxHoles = 65536;

/// The two tokens of a merge, or an error. Files hold "a b" or ["a", "b"].
absl::StatusOr<std::pair<std::string_view, std::string_view>>
mergePair(const json &merge, size_t index, const std::string &where) {
  if (const std::string *line = merge.get_ptr<const std::string *>()) {
    const size_t blank = line->find(' ');
    if (blank != std::string::npos && line->find(' ', blank + 1) == std::string::npos) {
      const std::string_view view = *line;
      return std::pair(view.substr(0, blank), view.substr(blank + 1));
    }
  } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
             merge[1].is_string()) {
    return std::pair<std::string_view, std::string_view>(*merge[0].get_ptr<const std::string *>(),
                                                         *merge[1].get_ptr<const std::string *>());
  }
  return invalidArgument(where, ".merges[", index,
                         "]: merge must be 'left right' or ['left', 'right'], got ",
                         describeJson(merge));
}

/// Keys that would change the tokens and that no supported family sets.
absl::Status checkUnsupported(const json &model, const std::string &where) {
  absl::StatusOr<std::optional<double>> dropout = getOptionalDouble(model, "dropout", where);
  if (!dropout.ok())
    return dropout.status();
  if (dropout->value_or(0) != 0)
    return invalidArgument(where, ": key 'dropout' must be null or 0, got number ", **dropout);
  for (std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    absl::StatusOr<std::optional<std::string>> affix = getOptionalString(model, key, where);
    if (!affix.ok())
      return affix.status();
    if (!affix->value_or("").empty())
      return invalidArgument(where, ": key '", key, "' must be null or '', got string '", **affix,
                             "'");
  }
  return absl::OkStatus();
}
} // namespace

absl::Status BpeModel::parseVocabulary(const json &vocab, const std::string &where) {
  std::vector<std::pair<const std::string *, int32_t>> entries;
  entries.reserve(vocab.size());
  int64_t count = 0;
  for (auto entry = vocab.begin(); entry != vocab.end(); ++entry) {
    const auto *number = entry->get_ptr<const json::number_unsigned_t *>();
    if (!number || *number >= vocab.size() + kMaxHoles || *number > INT32_MAX)
      return invalidArgument(where, ".vocab: id of token '", entry.key(),
                             "' must be an integer of 0 to ", vocab.size() + kMaxHoles - 1,
                             ", got ", describeJson(*entry));
    entries.push_back({&entry.key(), int32_t(*number)});
    count = std::max(count, int64_t(*number) + 1);
  }
  texts.resize(size_t(count));
  ids.reserve(entries.size());
  for (const auto &[token, id] : entries) {
    std::optional<std::string> &text = texts[size_t(id)];
    if (text)
      return invalidArgument(where, ".vocab: id ", id, " must belong to one token, got '", *text,
                             "' and '", *token, "'");
    text = *token;
    ids.emplace(*text, id); // `texts` no longer grows: the view stays valid
  }
  return absl::OkStatus();
}

absl::Status BpeModel::parseMerges(const json &list, const std::string &where) {
  merges.reserve(list.size());
  std::string merged;
  uint32_t rank = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    // merges.txt begins with such a line, and some converters kept it.
    if (list[i].is_string() && list[i].get_ref<const std::string &>().starts_with("#version"))
      continue;
    auto pair = mergePair(list[i], i, where);
    if (!pair.ok())
      return pair.status();
    merged = concat(pair->first, pair->second);
    for (std::string_view token : {pair->first, pair->second, std::string_view(merged)})
      if (!ids.contains(token))
        return invalidArgument(where, ".merges[", i, "]: token must be in the vocabulary, got '",
                               token, "'");
    const auto key = uint64_t(uint32_t(ids.at(pair->first))) << 32 | uint32_t(ids.at(pair->second));
    merges.insert_or_assign(key, Merge{rank++, ids.at(merged)});
  }
  return absl::OkStatus();
}

absl::Status BpeModel::parseOptions(const json &model, const std::string &where) {
  const std::pair<std::string_view, bool *> flags[] = {{"fuse_unk", &fuseUnknown},
                                                       {"byte_fallback", &byteFallback},
                                                       {"ignore_merges", &ignoreMerges}};
  for (const auto &[key, flag] : flags) {
    absl::StatusOr<bool> value = getBoolOr(model, key, /*fallback=*/false, where);
    if (!value.ok())
      return value.status();
    *flag = *value;
  }
  absl::StatusOr<std::optional<std::string>> token = getOptionalString(model, "unk_token", where);
  if (!token.ok())
    return token.status();
  if (*token && !(unknown = tokenToId(**token)))
    return invalidArgument(where, ": key 'unk_token' must be in the vocabulary, got string '",
                           **token, "'");
  return absl::OkStatus();
}

void BpeModel::indexCharacters() {
  std::string character;
  for (char32_t codePoint = 0; codePoint < characterIds.size(); ++codePoint) {
    character.clear();
    appendUtf8(character, codePoint);
    characterIds[codePoint] = tokenToId(character).value_or(-1);
  }
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte)
    byteIds[byte] = tokenToId(concat("<0x", kHex[byte >> 4], kHex[byte & 15], ">")).value_or(-1);
}

absl::StatusOr<BpeModel> BpeModel::parse(const json &json, const std::string &where) {
  absl::StatusOr<std::optional<std::string>> type = getOptionalString(json, "type", where);
  if (!type.ok())
    return type.status();
  if (type->value_or("BPE") != "BPE") // files of 2020 have no type
    return unknownType(**type, "'BPE' or 'Unigram'", where);
  absl::Status status =
      checkKeys(json,
                {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                 "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"},
                where);
  if (status.ok())
    status = checkUnsupported(json, where);
  if (!status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> vocab = getObject(json, "vocab", where);
  if (!vocab.ok())
    return vocab.status();
  absl::StatusOr<const nlohmann::json *> merges = getArray(json, "merges", where);
  if (!merges.ok())
    return merges.status();

  BpeModel model;
  if (status = model.parseVocabulary(**vocab, where); !status.ok())
    return status;
  if (status = model.parseMerges(**merges, where); !status.ok())
    return status;
  if (status = model.parseOptions(json, where); !status.ok())
    return status;
  model.indexCharacters();
  return model;
}

} // namespace graphc
