// Fuzzes the tokenizer. An input that starts with '{' is a tokenizer.json, then
// a zero byte, then text; with 'R' a regular expression, a zero byte and text;
// anything else is text for two tokenizers built here, which lose nothing.
#include "Runtime/ComponentJson.h"
#include "Runtime/Regex.h"
#include "Runtime/Tokenizer.h"
#include "Runtime/Unicode.h"

#include <cstdint>
#include <cstdlib>

using namespace graphc;

namespace {
void require(bool condition) {
  if (!condition)
    std::abort();
}

std::unique_ptr<Tokenizer> build(const nlohmann::json &file) {
  auto tokenizer = Tokenizer::parse(file.dump());
  require(tokenizer.ok());
  return *std::move(tokenizer);
}

/// All bytes, merges of ASCII letters, the words of Llama 3, one added token.
std::unique_ptr<Tokenizer> byteLevel() {
  nlohmann::json file = nlohmann::json::parse(R"({"normalizer": null, "post_processor": null,
    "added_tokens": [{"id": 300, "content": "<|end|>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "behavior": "Isolated", "invert": false, "pattern": {"Regex":
       "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
    "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {}, "merges": []}})");
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string character;
    appendByteCharacter(character, static_cast<unsigned char>(byte));
    file["model"]["vocab"][character] = byte;
  }
  int id = 256;
  for (const char *merge :
       {"a b", "ab a", "a a", "aa aa", "\u00c3 \u00a9", "\u0120 a", "\u0120 \u0120"}) {
    std::string merged = merge;
    merged.erase(merged.find(' '), 1);
    file["model"]["vocab"][merged] = id++;
    file["model"]["merges"].push_back(merge);
  }
  return build(file);
}

/// Byte tokens, a few letters, the normalizer and decoder of Llama 2.
std::unique_ptr<Tokenizer> byteFallback() {
  nlohmann::json file = nlohmann::json::parse(R"({"pre_tokenizer": null, "post_processor": null,
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"},
      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>",
      "vocab": {"<unk>": 0, "\u2581": 300, "a": 301, "b": 302, "\u2581a": 303, "ab": 304, "\u00e9": 305},
      "merges": ["\u2581 a", "a b"]}})");
  const std::string_view hex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte)
    file["model"]["vocab"][std::string("<0x") + hex[byte / 16] + hex[byte % 16] + ">"] = byte + 1;
  return build(file);
}

void checkDecoding(const Tokenizer &tokenizer, const std::vector<int32_t> &ids) {
  for (bool skip : {false, true}) {
    StreamDecoder stream(tokenizer, skip);
    std::string text;
    for (int32_t id : ids) {
      const std::string part = stream.push(id);
      require(isValidUtf8(part));
      text += part;
    }
    text += stream.finish();
    require(isValidUtf8(text) && text == tokenizer.decode(ids, skip));
  }
}

/// The bytes of `text` as ids, some out of range.
std::vector<int32_t> idsFrom(const Tokenizer &tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    const int32_t id = uint8_t(text[i]) | uint8_t(text[i + 1]) << 8;
    ids.push_back(id % (tokenizer.vocabSize() + 2) - 1);
  }
  return ids;
}

std::vector<int32_t> checkEncoding(const Tokenizer &tokenizer, std::string_view text) {
  auto ids = tokenizer.encode(text, /*addSpecialTokens=*/true);
  if (!ids.ok())
    return {};
  for (int32_t id : *ids)
    require(id >= 0 && id < tokenizer.vocabSize());
  checkDecoding(tokenizer, *ids);
  return *std::move(ids);
}
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::unique_ptr<Tokenizer> level = byteLevel(), fallback = byteFallback();
  const std::string_view input(reinterpret_cast<const char *>(data), size);
  const size_t zero = input.find('\0');
  const std::string_view head = input.substr(0, zero);
  const std::string_view text = zero == std::string_view::npos ? "" : input.substr(zero + 1);
  if (input.starts_with('{')) {
    auto tokenizer = Tokenizer::parse(head, "fuzz");
    require(tokenizer.ok() == tokenizer.status().message().empty());
    if (!tokenizer.ok())
      return 0;
    (void)checkEncoding(**tokenizer, text);
    checkDecoding(**tokenizer, idsFrom(**tokenizer, text));
  } else if (input.starts_with('R')) {
    const std::string valid = toValidUtf8(text), pattern = toValidUtf8(head.substr(1));
    auto regex = Regex::compile(pattern);
    if (!regex.ok())
      return 0;
    if (auto matches = regex->findAll(valid); matches.ok())
      for (size_t i = 0; i < matches->size(); ++i)
        require((*matches)[i].begin <= (*matches)[i].end && (*matches)[i].end <= valid.size() &&
                (i == 0 || (*matches)[i - 1].end <= (*matches)[i].begin));
  } else {
    const std::string valid = toValidUtf8(input);
    require(level->decode(checkEncoding(*level, input), /*skipSpecialTokens=*/false) == valid);
    require(fallback->decode(checkEncoding(*fallback, input), /*skipSpecialTokens=*/false) ==
            replaceAll(valid, "\u2581", " "));
    checkDecoding(*level, idsFrom(*level, input));
    checkDecoding(*fallback, idsFrom(*fallback, input));
  }
  return 0;
}
