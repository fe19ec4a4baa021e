// Reads the key `decoder` of tokenizer.json into a chain of stages. Nested
// sequences become one chain, since each is run to its end in order anyway.
#include "Runtime/ComponentJson.h"
#include "Runtime/TokenDecoder.h"
#include "Support/Message.h"

namespace graphc {

using nlohmann::json;

namespace {
constexpr size_t kMaxStages = 64;     // feed() recurses over them
constexpr uint64_t kMaxGrowth = 1024; // of the text by all replacements together
} // namespace

absl::Status TokenDecoder::addReplace(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "pattern", "content"}, where); !status.ok())
    return status;
  if (fused) // the pattern could begin in one token and end in another
    return invalidArgument(where, ": Replace must come before Fuse and ByteLevel, got it after");
  absl::StatusOr<std::string> pattern = getLiteralPattern(json, where);
  if (!pattern.ok())
    return pattern.status();
  absl::StatusOr<std::string> content = getString(json, "content", where);
  if (!content.ok())
    return content.status();
  if (__builtin_mul_overflow(growth, replacementGrowth(*pattern, *content), &growth) ||
      growth > kMaxGrowth)
    return invalidArgument(where, ": replacements must lengthen text at most ", kMaxGrowth,
                           " times together, got more");
  stages.push_back(ReplaceStage{*std::move(pattern), *std::move(content)});
  return absl::OkStatus();
}

absl::Status TokenDecoder::addStrip(const json &json, const std::string &where) {
  absl::Status status = checkKeys(json, {"type", "content", "start", "stop"}, where);
  if (!status.ok())
    return status;
  absl::StatusOr<std::string> content = getCharacter(json, "content", where);
  if (!content.ok())
    return content.status();
  absl::StatusOr<int64_t> start = getInt(json, "start", where);
  if (!start.ok())
    return start.status();
  absl::StatusOr<int64_t> stop = getInt(json, "stop", where);
  if (!stop.ok())
    return stop.status();
  for (const auto &[key, count] : {std::pair("start", *start), std::pair("stop", *stop)})
    if (count < 0)
      return invalidArgument(where, ": key '", key, "' must not be negative, got number ", count);
  stages.push_back(StripStage{*std::move(content), uint64_t(*start), uint64_t(*stop), fused,
                              /*frontLeft=*/uint64_t(*start)});
  return absl::OkStatus();
}

absl::Status TokenDecoder::addMetaspace(const json &json, const std::string &where) {
  absl::StatusOr<MetaspaceOptions> options = parseMetaspace(json, where);
  if (!options.ok())
    return options.status();
  if (fused)
    return invalidArgument(where, ": Metaspace must come before Fuse and ByteLevel, got it after");
  stages.push_back(MetaspaceStage{std::move(options->replacement),
                                  options->prepend != MetaspaceOptions::Prepend::Never});
  return absl::OkStatus();
}

absl::Status TokenDecoder::add(const json &json, const std::string &where) {
  absl::StatusOr<std::string> type = getString(json, "type", where);
  if (!type.ok())
    return type.status();
  if (stages.size() == kMaxStages)
    return invalidArgument(where, ": decoder must have at most ", kMaxStages, " parts, got more");
  if (*type == "Replace")
    return addReplace(json, where);
  if (*type == "Strip")
    return addStrip(json, where);
  if (*type == "Metaspace")
    return addMetaspace(json, where);
  if (*type == "ByteFallback" || *type == "Fuse") {
    if (*type == "Fuse")
      fused = true; // later stages look at one text; nothing else changes
    else if (fused)
      return invalidArgument(where, ": ByteFallback must come before Fuse and ByteLevel, ",
                             "got it after");
    else
      stages.push_back(ByteFallbackStage{});
    return checkKeys(json, {"type"}, where);
  }
  if (*type == "ByteLevel") {
    if (fused)
      return invalidArgument(where, ": ByteLevel must come before Fuse and once, got it after");
    fused = true;
    stages.push_back(ByteLevelStage{});
    return checkKeys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"}, where);
  }
  if (*type != "Sequence")
    return unknownType(*type,
                       "'ByteLevel', 'Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace' or "
                       "'Sequence'",
                       where);
  if (absl::Status status = checkKeys(json, {"type", "decoders"}, where); !status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> list = getArray(json, "decoders", where);
  if (!list.ok())
    return list.status();
  for (size_t i = 0; i < (*list)->size(); ++i)
    if (absl::Status status = add((**list)[i], concat(where, ".decoders[", i, "]")); !status.ok())
      return status;
  return absl::OkStatus();
}

absl::StatusOr<TokenDecoder> TokenDecoder::parse(const json &json, const std::string &where) {
  TokenDecoder decoder;
  if (absl::Status status = decoder.add(json, where); !status.ok())
    return status;
  return decoder;
}

} // namespace graphc
