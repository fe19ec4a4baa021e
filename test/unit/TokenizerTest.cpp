// Runtime/Tokenizer against golden output of Hugging Face tokenizers (made by
// test/models/tokenizers/make_tokenizers.py), streams against whole sequences,
// and what is refused.
#include "Runtime/Tokenizer.h"
#include "Runtime/Unicode.h"
#include "Support/Json.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <gtest/gtest.h>
#include <random>

using namespace graphc;

namespace {
const std::string kFolder = GRAPHC_TEST_DIR "/models/tokenizers/";
const char *const kKinds[] = {"gpt2",   "prefixed", "llama3",    "qwen",
                              "llama2", "mistral",  "metaspace", "cuts",
                              "t5",     "unigram_bytes"};

std::unique_ptr<Tokenizer> load(const std::string &path) {
  auto tokenizer = Tokenizer::load(path);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

std::unique_ptr<Tokenizer> fixture(const std::string &kind) {
  return load(kFolder + kind + ".json");
}

std::vector<int32_t> intsOf(const nlohmann::json &list) { return list.get<std::vector<int32_t>>(); }

std::vector<int32_t> encoded(const Tokenizer &tokenizer, std::string_view text,
                             bool addSpecialTokens = true) {
  auto ids = tokenizer.encode(text, addSpecialTokens);
  EXPECT_TRUE(ids.ok()) << ids.status();
  return ids.ok() ? *std::move(ids) : std::vector<int32_t>();
}

std::string fromHex(const std::string &hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

nlohmann::json goldens(const std::string &file = "goldens.json") {
  auto json = parseJsonFile(kFolder + file);
  EXPECT_TRUE(json.ok()) << json.status();
  return json.ok() ? *std::move(json) : nlohmann::json();
}

/// Streams `ids`; every part must be whole characters, the sum the whole text.
void checkStream(const Tokenizer &tokenizer, const std::vector<int32_t> &ids, bool skip) {
  StreamDecoder stream(tokenizer, skip);
  for (int round = 0; round < 2; ++round) { // finish() leaves it fresh
    std::string text;
    for (int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_TRUE(isValidUtf8(part));
      text += part;
    }
    text += stream.finish();
    EXPECT_EQ(text, tokenizer.decode(ids, skip));
  }
}

std::string refusal(const nlohmann::json &json) {
  auto tokenizer = Tokenizer::parse(json.dump(), "t.json");
  EXPECT_FALSE(tokenizer.ok());
  return std::string(tokenizer.status().message());
}

/// A file small enough to read: the letters a, b and the merge of them.
nlohmann::json smallFile() {
  return nlohmann::json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})");
}
} // namespace

TEST(Tokenizer, equalsHuggingFaceOnEveryKindAndText) {
  const nlohmann::json golden = goldens();
  ASSERT_GE(golden["inputs"].size(), 100u);
  for (const char *kind : kKinds) {
    const auto tokenizer = fixture(kind);
    ASSERT_TRUE(tokenizer);
    const nlohmann::json &cases = golden["kinds"][kind]["encode"];
    ASSERT_EQ(cases.size(), golden["inputs"].size());
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(std::string(kind) + " input " + std::to_string(i));
      const std::vector<int32_t> ids =
          encoded(*tokenizer, fromHex(golden["inputs"][i].get<std::string>()));
      EXPECT_EQ(ids, intsOf(cases[i]["ids"]));
      EXPECT_EQ(tokenizer->decode(ids, /*skipSpecialTokens=*/false),
                cases[i]["text"].get<std::string>());
      checkStream(*tokenizer, ids, /*skip=*/i % 2);
    }
  }
}

TEST(Tokenizer, decodesIdsThatNoTextEncodesTo) {
  const nlohmann::json golden = goldens();
  for (const char *kind : kKinds) {
    const auto tokenizer = fixture(kind);
    ASSERT_TRUE(tokenizer);
    for (const nlohmann::json &item : golden["kinds"][kind]["decode"]) {
      SCOPED_TRACE(std::string(kind) + " " + item["ids"].dump());
      const std::vector<int32_t> ids = intsOf(item["ids"]);
      EXPECT_EQ(tokenizer->decode(ids, /*skipSpecialTokens=*/true),
                item["text"].get<std::string>());
      checkStream(*tokenizer, ids, /*skip=*/true);
    }
  }
}

TEST(Tokenizer, equalsHuggingFaceOnRealFiles) {
  const char *folder = std::getenv("GRAPHC_TEST_DATA");
  if (!folder)
    GTEST_SKIP() << "GRAPHC_TEST_DATA does not name a folder with tokenizers/*.json";
  const std::string tokenizers = std::string(folder) + "/tokenizers/";
  const nlohmann::json golden = goldens(), real = goldens("real_goldens.json");
  for (const auto &[name, cases] : real.items()) {
    const auto tokenizer = load(tokenizers + name);
    ASSERT_TRUE(tokenizer);
    ASSERT_EQ(cases.size(), golden["inputs"].size());
    for (size_t i = 0; i < cases.size(); ++i) {
      const std::vector<int32_t> ids =
          encoded(*tokenizer, fromHex(golden["inputs"][i].get<std::string>()));
      EXPECT_EQ(ids, intsOf(cases[i])) << name << " input " << i;
      checkStream(*tokenizer, ids, /*skip=*/false);
    }
  }
  if (std::filesystem::exists(tokenizers + "bert_tokenizer.json"))
    EXPECT_EQ(Tokenizer::load(tokenizers + "bert_tokenizer.json").status().message(),
              tokenizers + "bert_tokenizer.json: model: key 'type' must be 'BPE' or 'Unigram', "
                           "got string 'WordPiece'");
}

TEST(Tokenizer, streamsRandomIdsAsItDecodesThem) {
  std::mt19937 rng(7);
  for (const char *kind : kKinds) {
    const auto tokenizer = fixture(kind);
    ASSERT_TRUE(tokenizer);
    for (int round = 0; round < 300; ++round) {
      std::vector<int32_t> ids(rng() % 20);
      for (int32_t &id : ids) // now and then one that does not exist
        id = int32_t(rng() % uint32_t(tokenizer->vocabSize() + 5)) - 2;
      checkStream(*tokenizer, ids, round % 2);
    }
  }
}

TEST(Tokenizer, streamHoldsBackHalfCharactersOnly) {
  const auto tokenizer = fixture("gpt2");
  ASSERT_TRUE(tokenizer);
  const std::vector<int32_t> ids = encoded(*tokenizer, "\xF0\x9F\xA7\xAD!"); // four byte tokens
  ASSERT_EQ(ids.size(), 5u);
  StreamDecoder stream(*tokenizer, /*skipSpecialTokens=*/true);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(stream.push(ids[size_t(i)]), "");
  EXPECT_EQ(stream.push(ids[3]), "\xF0\x9F\xA7\xAD");
  EXPECT_EQ(stream.push(ids[4]), "!");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), kReplacementCharacter);
}

TEST(Tokenizer, streamDropsTheLeadingBlankOfByteFallback) {
  const auto tokenizer = fixture("llama2");
  ASSERT_TRUE(tokenizer);
  const std::vector<int32_t> ids = encoded(*tokenizer, "the sea", /*addSpecialTokens=*/false);
  EXPECT_EQ(tokenizer->decode(ids, true), "the sea");
  StreamDecoder stream(*tokenizer, true);
  EXPECT_EQ(stream.push(*tokenizer->tokenToId("<s>")), "");
  EXPECT_EQ(stream.push(ids[0]).front(), 't');
}

TEST(Tokenizer, knowsItsTokens) {
  const auto tokenizer = fixture("llama3");
  ASSERT_TRUE(tokenizer);
  const auto begin = tokenizer->tokenToId("<|begin_of_text|>");
  ASSERT_TRUE(begin);
  EXPECT_TRUE(tokenizer->isSpecial(*begin));
  EXPECT_EQ(tokenizer->idToToken(*begin), "<|begin_of_text|>");
  EXPECT_EQ(tokenizer->tokenToId("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer->idToToken(tokenizer->vocabSize()), std::nullopt);
  EXPECT_EQ(tokenizer->vocabSize(), *tokenizer->tokenToId("<|im_end|>") + 1);
  EXPECT_EQ(encoded(*tokenizer, "x").front(), *begin);
  EXPECT_NE(encoded(*tokenizer, "x", /*addSpecialTokens=*/false).front(), *begin);
}

TEST(Tokenizer, skipsSpecialTokensThatAreNormalized) {
  nlohmann::json file = smallFile();
  file["normalizer"] = {{"type", "Prepend"}, {"prepend", "a"}};
  file["added_tokens"] = {{{"id", 3},
                           {"content", "!"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", true},
                           {"special", true}}};
  auto tokenizer = Tokenizer::parse(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->decode(std::vector<int32_t>{3, 1}, true), "b");
  EXPECT_EQ((*tokenizer)->decode(std::vector<int32_t>{3, 1}, false), "a!b");
}

TEST(Tokenizer, encodesVeryLongWordsInReasonableTime) {
  const auto start = std::chrono::steady_clock::now();
  for (const char *kind : kKinds) {
    const auto tokenizer = fixture(kind);
    ASSERT_TRUE(tokenizer);
    for (const char *unit :
         {"a", "the", " ", "\xCC\x81\xCC\xA3\xCC\xA7", "\xF0\x9F\x91\x8D", "7"}) {
      std::string text;
      while (text.size() < 200000)
        text += unit;
      const bool isDropped = *unit == ' ' && std::string_view(kind) == "unigram_bytes"; // by Strip
      EXPECT_EQ(encoded(*tokenizer, text).empty(), isDropped) << kind << ", " << unit;
    }
  }
  // A quadratic step would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

TEST(Tokenizer, boundsPatternsThatBacktrack) {
  nlohmann::json file = smallFile();
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(?:a|a|a)*b"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  auto tokenizer = Tokenizer::parse(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->encode(std::string(60, 'a'), false).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE((*tokenizer)->encode("aab", false).ok());
}

TEST(Tokenizer, refusesUnknownComponentsByName) {
  const std::pair<const char *, nlohmann::json> cases[] = {
      {"normalizer", {{"type", "BertNormalizer"}}},
      {"pre_tokenizer", {{"type", "Whitespace"}}},
      {"post_processor", {{"type", "RobertaProcessing"}}},
      {"decoder", {{"type", "WordPiece"}}}};
  for (const auto &[key, value] : cases) {
    nlohmann::json file = smallFile();
    file[key] = value;
    const std::string message = refusal(file);
    EXPECT_EQ(message.find("t.json: " + std::string(key) + ": key 'type' must be '"), 0u)
        << message;
    EXPECT_NE(message.find("got string '" + value["type"].get<std::string>() + "'"),
              std::string::npos)
        << message;
    file[key] = {{"type", "Sequence"},
                 {std::string(key) == "pre_tokenizer"    ? "pretokenizers"
                  : std::string(key) == "normalizer"     ? "normalizers"
                  : std::string(key) == "post_processor" ? "processors"
                                                         : "decoders",
                  {value}}};
    EXPECT_NE(refusal(file).find("[0]: key 'type'"), std::string::npos) << refusal(file);
  }
}

/// A Precompiled map of one character, 'a', to the replacement at `place` of "b".
static std::string tinyMap(uint32_t place) {
  std::vector<uint32_t> units(0x62);
  units[0] = 0;                                // the root, offset 0
  units[0x61] = 0x61 | 1 << 8 | (0x01u << 10); // 'a', a value, at 0x61 ^ 0x01
  units[0x60] = place | 1u << 31;
  std::string bytes;
  const auto put = [&](uint32_t value) {
    for (int i = 0; i < 4; ++i)
      bytes.push_back(char(value >> 8 * i));
  };
  put(uint32_t(units.size() * 4));
  for (uint32_t unit : units)
    put(unit);
  bytes += 'b';
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = i; j < i + 3; ++j)
      bits = bits << 8 | (j < bytes.size() ? static_cast<unsigned char>(bytes[j]) : 0);
    for (size_t j = 0; j < 4; ++j)
      text += i + j <= bytes.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

TEST(Tokenizer, mapsCharactersByATrie) {
  nlohmann::json file = smallFile();
  file["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", tinyMap(0)}};
  const auto mapped = Tokenizer::parse(file.dump(), "f");
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(encoded(**mapped, "aca"), encoded(**Tokenizer::parse(smallFile().dump(), "f"), "bcb"));
}

TEST(Tokenizer, refusesWhatItWouldOtherwiseIgnore) {
  const auto refused = [](const char *pointer, nlohmann::json value, std::string_view reason) {
    nlohmann::json file = smallFile();
    file[nlohmann::json::json_pointer(pointer)] = std::move(value);
    const std::string message = refusal(file);
    EXPECT_NE(message.find(reason), std::string::npos) << message;
  };
  refused("/model/type", "WordPiece",
          "model: key 'type' must be 'BPE' or 'Unigram', got string 'WordPiece'");
  refused("/model/type", "Unigram", "model: key 'merges' must be one of type, unk_id");
  const auto unigram = [&](const std::string &vocab, nlohmann::json unknown, std::string_view reason) {
    refused("/model",
            {{"type", "Unigram"}, {"unk_id", unknown}, {"vocab", nlohmann::json::parse(vocab)}, {"byte_fallback", false}},
            reason);
  };
  unigram(R"([["a", -1.0], ["b", "x"]])", 0, "model.vocab[1]: entry must be [token, score], got");
  unigram(R"([["a", -1.0]])", 1, "key 'unk_id' must be the id of one of 1 tokens, got 1");
  unigram(R"([["a", -1.0]])", nullptr, "key 'unk_id'");
  unigram("[[\"" + std::string(257, 'a') + "\", -1.0]]", 0, "token must have at most 256 bytes, got 257");
  const auto precompiled = [&](std::string map, std::string_view reason) {
    refused("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", map}}, reason);
  };
  precompiled("AAA", "must be base64 of at most 4 MiB, got 3 characters that are not");
  precompiled("AAAA", "must hold a trie, got 3 bytes");
  precompiled("CAAAAAAAAAA=", "must begin with the size of a trie within it, got 8 of 8 bytes");
  // Root with offset 0, 'a' with a value at offset 0x60, which is beyond the replacements.
  precompiled(tinyMap(/*place=*/9), "must map to the 2 bytes of its replacements, got place 9");
  refused("/normalizer", {{"type", "Strip"}, {"strip_left", true}}, "key 'strip_right'");
  refused("/model/dropout", 0.1, "model: key 'dropout' must be null or 0, got number 0.1");
  refused("/model/end_of_word_suffix", "</w>", "key 'end_of_word_suffix'");
  refused("/model/new_option", true, "key 'new_option' must be one of type,");
  refused("/model/unk_token", "<unk>", "key 'unk_token' must be in the vocabulary");
  refused("/model/vocab/c", -1, "id of token 'c' must be an integer of 0");
  refused("/model/vocab/c", 1 << 30, "id of token 'c' must be an integer of 0");
  refused("/model/vocab/c", 2, "id 2 must belong to one token, got 'ab' and 'c'");
  refused("/model/merges/1", "a b c", "merges[1]: merge must be 'left right'");
  refused("/model/merges/1", "a q", "merges[1]: token must be in the vocabulary, got 'q'");
  refused("/version", "2.0", "key 'version' must be '1.0'");
  refused("/unheard_of", 1, "key 'unheard_of'");
  refused("/decoder", nullptr, "decoder: key 'type' must be a string");
  refused("/pre_tokenizer/use_regexp", true, "key 'use_regexp'");
  refused("/pre_tokenizer",
          {{"type", "Split"},
           {"pattern", {{"Regex", "\\w+"}}},
           {"behavior", "Isolated"},
           {"invert", false}},
          "pre_tokenizer.pattern: regular expression must use the syntax that Oniguruma and PCRE2 "
          "share, got the escape '\\w' at byte 0");
  refused("/normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", "a"}}}, {"content", ""}},
          "key 'Regex' must be one of String");
  refused("/post_processor",
          {{"type", "TemplateProcessing"},
           {"pair", nlohmann::json::array()},
           {"single", {{{"SpecialToken", {{"id", "x"}, {"type_id", 0}}}}}},
           {"special_tokens", nlohmann::json::object()}},
          "post_processor.special_tokens: key 'x' must be an object, got nothing");
  nlohmann::json token = {{"id", 5},         {"content", "ab"}, {"single_word", false},
                          {"lstrip", false}, {"rstrip", false}, {"normalized", false},
                          {"special", true}};
  refused("/added_tokens/0", token, "id of 'ab' must be 2 as in the vocabulary, got 5");
  token["content"] = "x", token["id"] = 1;
  refused("/added_tokens/0", token, "id of 'x' must be free, got 1");
  token["id"] = 1 << 30;
  refused("/added_tokens/0", token, "id of 'x' must be below");
}

TEST(Tokenizer, refusesGrowthWithoutBound) {
  nlohmann::json file = smallFile(), doubling = nlohmann::json::array();
  for (int i = 0; i < 60; ++i)
    doubling.push_back({{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}});
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", doubling}};
  auto tokenizer = Tokenizer::parse(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_FALSE((*tokenizer)->encode("a", false).ok());
  EXPECT_TRUE((*tokenizer)->encode("", false).ok());
  file = smallFile();
  file["decoder"] = {{"type", "Sequence"}, {"decoders", doubling}};
  EXPECT_NE(refusal(file).find("must lengthen text at most"), std::string::npos);
}
