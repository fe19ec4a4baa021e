// The top level of tokenizer.json, and its post-processor.
#include "Runtime/Bpe.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/TokenizerParts.h"
#include "Runtime/Unigram.h"
#include "Support/Message.h"

namespace graphc {

using nlohmann::json;

namespace {
/// Ids beyond the last token would make callers allocate for them.
constexpr int32_t kMaxHoles = 65536;

/// object[key], or null where it is absent.
const json &member(const json &object, std::string_view key) {
  static const json null;
  const auto entry = object.find(key);
  return entry == object.end() ? null : *entry;
}

/// The ids that the special token `id` of a template stands for.
absl::StatusOr<std::vector<int32_t>> templateIds(const json &specials, const std::string &id,
                                                 const TokenModel &model, const AddedTokens &added,
                                                 const std::string &where) {
  absl::StatusOr<const json *> special = getObject(specials, id, where);
  if (!special.ok())
    return special.status();
  const std::string inside = concat(where, ".", id);
  if (absl::Status status = checkKeys(**special, {"id", "ids", "tokens"}, inside); !status.ok())
    return status;
  absl::StatusOr<const json *> list = getArray(**special, "ids", inside);
  if (!list.ok())
    return list.status();
  std::vector<int32_t> ids;
  for (const json &value : **list) {
    const auto *number = value.get_ptr<const json::number_unsigned_t *>();
    if (!number || *number > INT32_MAX ||
        (!added.byId(int32_t(*number)) && !model.idToToken(int32_t(*number))))
      return invalidArgument(inside, ": key 'ids' must hold ids of tokens, got ",
                             describeJson(value));
    ids.push_back(int32_t(*number));
  }
  return ids;
}
} // namespace

absl::Status Tokenizer::Parts::parseTemplate(const json &json, const std::string &where) {
  absl::Status status = checkKeys(json, {"type", "single", "pair", "special_tokens"}, where);
  if (!status.ok())
    return status;
  if (std::exchange(hasTemplate, true))
    return invalidArgument(where, ": TemplateProcessing must occur once, got a second one");
  absl::StatusOr<const nlohmann::json *> single = getArray(json, "single", where);
  if (!single.ok())
    return single.status();
  absl::StatusOr<const nlohmann::json *> specials = getObject(json, "special_tokens", where);
  if (!specials.ok())
    return specials.status();
  bool seenText = false;
  for (size_t i = 0; i < (*single)->size(); ++i) {
    const nlohmann::json &piece = (**single)[i];
    const std::string inside = concat(where, ".single[", i, "]");
    if (piece.is_object() && piece.contains("Sequence")) {
      absl::StatusOr<const nlohmann::json *> sequence = getObject(piece, "Sequence", inside);
      if (!sequence.ok())
        return sequence.status();
      absl::StatusOr<std::string> id = getString(**sequence, "id", inside);
      if (!id.ok())
        return id.status();
      if (*id != "A" || std::exchange(seenText, true))
        return invalidArgument(inside, ": key 'id' must be 'A' and occur once, got string '", *id,
                               "'");
      continue;
    }
    absl::StatusOr<const nlohmann::json *> special = getObject(piece, "SpecialToken", inside);
    if (!special.ok())
      return special.status();
    absl::StatusOr<std::string> id = getString(**special, "id", inside);
    if (!id.ok())
      return id.status();
    auto ids = templateIds(**specials, *id, *model, added, concat(where, ".special_tokens"));
    if (!ids.ok())
      return ids.status();
    std::vector<int32_t> &side = seenText ? suffix : prefix;
    side.insert(side.end(), ids->begin(), ids->end());
  }
  if (!seenText)
    return invalidArgument(where, ": key 'single' must hold Sequence 'A', got none");
  return absl::OkStatus();
}

absl::Status Tokenizer::Parts::parsePostProcessor(const json &json, const std::string &where) {
  if (json.is_null())
    return absl::OkStatus();
  absl::StatusOr<std::string> type = getString(json, "type", where);
  if (!type.ok())
    return type.status();
  if (*type == "TemplateProcessing")
    return parseTemplate(json, where);
  if (*type == "ByteLevel") // moves offsets, which nobody asks for here
    return checkKeys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"}, where);
  if (*type != "Sequence")
    return unknownType(*type, "'TemplateProcessing', 'ByteLevel' or 'Sequence'", where);
  if (absl::Status status = checkKeys(json, {"type", "processors"}, where); !status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> list = getArray(json, "processors", where);
  if (!list.ok())
    return list.status();
  for (size_t i = 0; i < (*list)->size(); ++i)
    if (absl::Status status =
            parsePostProcessor((**list)[i], concat(where, ".processors[", i, "]"));
        !status.ok())
      return status;
  return absl::OkStatus();
}

/// A token has one id wherever it is listed, and an id one token.
absl::Status Tokenizer::Parts::checkIds(const std::string &where) const {
  const int64_t limit = int64_t(model->idCount()) + int64_t(added.all().size()) + kMaxHoles;
  for (const auto &[id, token] : added.all()) {
    const std::optional<int32_t> inModel = model->tokenToId(token.content);
    if (inModel && *inModel != id)
      return invalidArgument(where, ": id of '", token.content, "' must be ", *inModel,
                             " as in the vocabulary, got ", id);
    const std::string *sameId = model->idToToken(id);
    if (sameId && *sameId != token.content)
      return invalidArgument(where, ": id of '", token.content, "' must be free, got ", id,
                             ", which is '", *sameId, "' in the vocabulary");
    if (id >= limit)
      return invalidArgument(where, ": id of '", token.content, "' must be below ", limit, ", got ",
                             id);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<TokenModel>> parseTokenModel(const json &json, const std::string &where) {
  const auto owned = [](auto model) -> absl::StatusOr<std::unique_ptr<TokenModel>> {
    if (!model.ok())
      return model.status();
    return std::make_unique<std::decay_t<decltype(*model)>>(*std::move(model));
  };
  absl::StatusOr<std::optional<std::string>> type = getOptionalString(json, "type", where);
  return type.ok() && *type == "Unigram" ? owned(UnigramModel::parse(json, where)) : owned(BpeModel::parse(json, where));
}

absl::StatusOr<std::unique_ptr<const Tokenizer::Parts>>
Tokenizer::Parts::parse(std::string_view text, std::string_view nameForErrors) {
  absl::StatusOr<json> root = parseJson(text, nameForErrors);
  if (!root.ok())
    return root.status();
  const std::string where(nameForErrors);
  absl::StatusOr<std::optional<std::string>> version = getOptionalString(*root, "version", where);
  if (!version.ok())
    return version.status();
  if (version->value_or("1.0") != "1.0")
    return invalidArgument(where, ": key 'version' must be '1.0', got string '", **version, "'");
  absl::Status status = checkKeys(*root,
                                  {"version", "truncation", "padding", "added_tokens", "normalizer",
                                   "pre_tokenizer", "post_processor", "decoder", "model"},
                                  where);
  if (!status.ok())
    return status;

  auto parts = std::make_unique<Parts>();
  auto model = parseTokenModel(member(*root, "model"), where + ": model");
  if (!model.ok())
    return model.status();
  parts->model = *std::move(model);
  auto normalizer = parseNormalizer(member(*root, "normalizer"), where + ": normalizer");
  if (!normalizer.ok())
    return normalizer.status();
  parts->normalizer = *std::move(normalizer);
  auto preTokenizer = parsePreTokenizer(member(*root, "pre_tokenizer"), where + ": pre_tokenizer");
  if (!preTokenizer.ok())
    return preTokenizer.status();
  parts->preTokenizer = *std::move(preTokenizer);
  auto decoder = TokenDecoder::parse(member(*root, "decoder"), where + ": decoder");
  if (!decoder.ok())
    return decoder.status();
  parts->decoder = *std::move(decoder);
  absl::StatusOr<const json *> tokens = getOptionalArray(*root, "added_tokens", where);
  if (!tokens.ok())
    return tokens.status();
  auto added = AddedTokens::parse(*tokens ? **tokens : json::array(), *parts->normalizer,
                                  where + ": added_tokens");
  if (!added.ok())
    return added.status();
  parts->added = *std::move(added);
  if (status = parts->checkIds(where + ": added_tokens"); !status.ok())
    return status;
  status = parts->parsePostProcessor(member(*root, "post_processor"), where + ": post_processor");
  if (!status.ok())
    return status;
  return std::unique_ptr<const Parts>(std::move(parts));
}

} // namespace graphc
