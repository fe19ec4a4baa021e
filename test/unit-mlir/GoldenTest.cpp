// The interpreter against Hugging Face transformers on every fixture of
// test/models: logits, hidden states and greedy tokens, in f32 and in f64.
#include "Models.h"
#include "Support/Json.h"
#include "Support/Npy.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::reference;

using Tokens = std::vector<std::vector<int32_t>>;

namespace {
struct Golden {
  Tokens prompts, greedy;
  Tokens decoderPrompts; ///< With an encoder; prompts are its sources.
  int64_t sessionLength = 0;
  double range = 0, tolerance = 0;
};
} // namespace

static std::vector<int32_t> idsOf(const nlohmann::json &list) {
  std::vector<int32_t> ids;
  for (const auto &id : list)
    ids.push_back(int32_t(*id.get_ptr<const nlohmann::json::number_integer_t *>()));
  return ids;
}

static Tokens tokensOf(const nlohmann::json &list) {
  Tokens tokens;
  for (const auto &row : list)
    tokens.push_back(idsOf(row));
  return tokens;
}

static Golden readGolden(const std::string &folder) {
  const auto json = parseJsonFile(folder + "/golden.json");
  EXPECT_TRUE(json.ok()) << json.status();
  const auto decoderPrompts = json->contains("decoder_prompts") ? tokensOf((*json)["decoder_prompts"]) : Tokens();
  return {tokensOf(**getArray(*json, "prompts")), tokensOf(**getArray(*json, "greedy")), decoderPrompts,
          *getInt(*json, "session_length"), *getDouble(*json, "logits_range"), *getDouble(*json, "tolerance")};
}

/// Greatest difference from the f32 array in `file`.
static double distance(const Tensor &got, const std::string &file, int64_t first = 0) {
  const auto golden = readNpy(file);
  EXPECT_TRUE(golden.ok()) << golden.status();
  const auto expected = golden->values<float>().subspan(first);
  EXPECT_LE(got.data.size(), expected.size());
  double worst = 0;
  for (size_t i = 0; i < got.data.size(); ++i)
    worst = std::fmax(worst, std::fabs(got.data[i] - expected[i]));
  return worst;
}

/// Compares the layers of an output with the array in `file`, weights more closely.
void expectOutput(const Generation &result, const std::string &name, const std::string &file) {
  const std::vector<Tensor> &layers = result.kept.at(name);
  EXPECT_FALSE(layers.empty());
  for (size_t l = 0; l < layers.size(); ++l)
    EXPECT_LE(distance(layers[l], file, int64_t(l) * layers[l].size()), name.ends_with("attentions") ? 2e-5 : 1e-4)
        << name << ", layer " << l;
}

class Goldens : public testing::TestWithParam<std::string> {
protected:
  std::string folder = std::string(GRAPHC_TEST_DIR) + "/models/" + GetParam();
};

TEST_P(Goldens, logitsHiddenStatesAndTokens) {
  const Golden golden = readGolden(folder);
  Model model(folder);
  ASSERT_TRUE(model.isReady());
  for (const Mode mode : {Mode::PolicyExact, Mode::Order, Mode::F64}) {
    Interpreter interpreter = model.interpreter({.mode = mode, .orderSeed = 3, .sessionLength = golden.sessionLength});
    const int64_t length = int64_t(golden.greedy[0].size());
    for (size_t i = 0; i < golden.prompts.size(); ++i) {
      const auto result = generate(interpreter, {golden.prompts[i]},
                                   {.newTokens = length, .keepLogits = true, .keep = {"hidden_states", "attentions"}});
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->tokens[0], golden.greedy[i]) << "prompt " << i;
      const std::string number = std::to_string(i) + ".npy";
      EXPECT_LE(distance(result->logits, folder + "/logits_" + number), golden.tolerance) << "prompt " << i;
      expectOutput(*result, "hidden_states", folder + "/hidden_states_" + number);
      if (const std::string weights = folder + "/attentions_" + number; std::filesystem::exists(weights))
        expectOutput(*result, "attentions", weights);
    }
  }
}

TEST_P(Goldens, aRaggedBatchGivesWhatEachSequenceGivesAlone) {
  const Golden golden = readGolden(folder);
  Model model(folder);
  ASSERT_TRUE(model.isReady());
  Interpreter interpreter = model.interpreter({.sessionLength = golden.sessionLength});
  const int64_t length = int64_t(golden.greedy[0].size());
  const auto batch = generate(interpreter, golden.prompts, {.newTokens = length, .keepLogits = true});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->tokens, golden.greedy);
  for (size_t b = 0; b < golden.prompts.size(); ++b) {
    const auto alone = generate(interpreter, {golden.prompts[b]}, {.newTokens = 0, .keepLogits = true});
    ASSERT_TRUE(alone.ok()) << alone.status();
    const int64_t row = batch->logits.size() / int64_t(golden.prompts.size());
    for (int64_t i = 0; i < alone->logits.size(); ++i) // bit by bit: every sum has the same order
      ASSERT_EQ(batch->logits.data[int64_t(b) * row + i], alone->logits.data[i]) << "sequence " << b;
  }
}

TEST_P(Goldens, aPromptMayBeSplitAnywhere) {
  const Golden golden = readGolden(folder);
  Model model(folder);
  ASSERT_TRUE(model.isReady());
  for (const DType compute : {DType::F32, DType::BF16}) {
    model.setPolicy(compute, DType::F32);
    Interpreter interpreter = model.interpreter({.sessionLength = golden.sessionLength});
    const std::vector<int32_t> &prompt = golden.prompts.back();
    const auto whole = generate(interpreter, {prompt}, {.keepLogits = true});
    ASSERT_TRUE(whole.ok()) << whole.status();
    const int64_t vocab = whole->logits.columns();
    for (size_t split = 1; split < prompt.size(); ++split) {
      auto cache = interpreter.createCache(1, int64_t(prompt.size()) + int64_t(split) % 3);
      ASSERT_TRUE(cache.ok());
      for (const auto &[first, last] : {std::pair(size_t(0), split), std::pair(split, prompt.size())}) {
        const Tensor ids(DType::I32, {1, int64_t(last - first)}, {prompt.begin() + first, prompt.begin() + last});
        const auto outputs = interpreter.run(ids, nullptr, &*cache);
        ASSERT_TRUE(outputs.ok()) << outputs.status();
        const Tensor &logits = outputs->find("logits")->front();
        for (int64_t i = 0; i < logits.size(); ++i) // the cache holds C's values, so nothing is lost
          ASSERT_EQ(logits.data[i], whole->logits.data[int64_t(first) * vocab + i]) << "split at " << split;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Goldens, testing::ValuesIn(fixtures()), fixtureTestName);

/// A model with an encoder: @encode reads the source, @main decodes.
class EncoderDecoderGoldens : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override { ASSERT_TRUE(model.isReady()); }
  GenerateOptions options(Interpreter &encoder, Tokens sources, int64_t newTokens) const {
    GenerateOptions result;
    result.newTokens = newTokens;
    result.keepLogits = true;
    result.keep = optionalOutputs;
    result.encoder = &encoder;
    result.sources = std::move(sources);
    return result;
  }

  const std::vector<std::string> optionalOutputs = {"hidden_states", "attentions", "cross_attentions",
                                                    "encoder_hidden_states", "encoder_attentions"};
  std::string folder = std::string(GRAPHC_TEST_DIR) + "/models/" + GetParam();
  Golden golden = readGolden(folder);
  int64_t length = int64_t(golden.greedy[0].size());
  Model model{folder};
};

TEST_P(EncoderDecoderGoldens, logitsHiddenStatesAndTokens) {
  for (const Mode mode : {Mode::PolicyExact, Mode::Order, Mode::F64}) {
    Interpreter encoder = model.interpreter({.mode = mode, .orderSeed = 3}, "encode");
    Interpreter decoder = model.interpreter({.mode = mode, .orderSeed = 3}, "main");
    for (size_t i = 0; i < golden.prompts.size(); ++i) {
      const std::vector<int32_t> &source = golden.prompts[i];
      const auto result = generate(decoder, {golden.decoderPrompts[i]}, options(encoder, {source}, length));
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->tokens[0], golden.greedy[i]) << "prompt " << i;
      const std::string number = std::to_string(i) + ".npy";
      EXPECT_LE(distance(result->logits, folder + "/logits_" + number), golden.tolerance) << "prompt " << i;
      for (const std::string &name : optionalOutputs)
        if (const std::string file = folder + "/" + name + "_" + number; std::filesystem::exists(file))
          expectOutput(*result, name, file);
        else
          EXPECT_TRUE(name.ends_with("attentions")) << file << " is missing";
    }
  }
}

TEST_P(EncoderDecoderGoldens, aRaggedBatchGivesWhatEachSequenceGivesAlone) {
  Interpreter encoder = model.interpreter({}, "encode"), decoder = model.interpreter({}, "main");
  const auto batch = generate(decoder, golden.decoderPrompts, options(encoder, golden.prompts, length));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->tokens, golden.greedy);
  const int64_t row = batch->logits.size() / int64_t(golden.prompts.size());
  for (size_t b = 0; b < golden.prompts.size(); ++b) {
    const auto alone = generate(decoder, {golden.decoderPrompts[b]}, options(encoder, {golden.prompts[b]}, 0));
    ASSERT_TRUE(alone.ok()) << alone.status();
    for (int64_t i = 0; i < alone->logits.size(); ++i) // bit by bit: every sum has the same order
      ASSERT_EQ(batch->logits.data[int64_t(b) * row + i], alone->logits.data[i]) << "sequence " << b;
  }
}

// Padding has no position, so it takes no row of the cross slots, on either side.
TEST_P(EncoderDecoderGoldens, paddedSourcesGiveWhatCompactOnesGive) {
  Interpreter encoder = model.interpreter({}, "encode"), decoder = model.interpreter({}, "main");
  const int64_t width = int64_t(std::ranges::max(golden.prompts, {}, &std::vector<int32_t>::size).size()) + 2;
  for (size_t b = 0; b < golden.prompts.size(); ++b) {
    const std::vector<int32_t> &source = golden.prompts[b], &prompt = golden.decoderPrompts[b];
    const auto alone = generate(decoder, {prompt}, options(encoder, {source}, 0));
    ASSERT_TRUE(alone.ok()) << alone.status();
    for (const bool left : {true, false}) {
      Tensor ids(DType::I32, {1, width}), mask(DType::I32, {1, width});
      for (size_t t = 0, first = left ? size_t(width) - source.size() : 0; t < source.size(); ++t)
        ids.data[first + t] = source[t], mask.data[first + t] = 1;
      auto cache = decoder.createCache(1, golden.sessionLength, width);
      ASSERT_TRUE(cache.ok());
      const auto encoded = encoder.run(ids, &mask, &*cache);
      ASSERT_TRUE(encoded.ok()) << encoded.status();
      const auto outputs = decoder.run(Tensor(DType::I32, {1, int64_t(prompt.size())}, {prompt.begin(), prompt.end()}), nullptr, &*cache);
      ASSERT_TRUE(outputs.ok()) << outputs.status();
      EXPECT_EQ(outputs->find("logits")->front().data, alone->logits.data) << "sequence " << b << (left ? " left" : " right");
    }
  }
}

TEST_P(EncoderDecoderGoldens, decodingTokenByTokenReadsTheSameSource) {
  for (const DType compute : {DType::F32, DType::BF16}) {
    model.setPolicy(compute, DType::F32);
    Interpreter encoder = model.interpreter({}, "encode"), decoder = model.interpreter({}, "main");
    const std::vector<int32_t> &source = golden.prompts[0];
    std::vector<int32_t> ids = golden.decoderPrompts[0];
    ids.insert(ids.end(), golden.greedy[0].begin(), golden.greedy[0].end());
    const auto whole = generate(decoder, {ids}, options(encoder, {source}, 0));
    ASSERT_TRUE(whole.ok()) << whole.status();
    auto cache = decoder.createCache(1, int64_t(ids.size()), int64_t(source.size()) + 3);
    ASSERT_TRUE(cache.ok());
    const Tensor input(DType::I32, {1, int64_t(source.size())}, {source.begin(), source.end()});
    ASSERT_TRUE(encoder.run(input, nullptr, &*cache).ok());
    for (size_t t = 0; t < ids.size(); ++t) {
      const auto outputs = decoder.run(Tensor(DType::I32, {1, 1}, {double(ids[t])}), nullptr, &*cache);
      ASSERT_TRUE(outputs.ok()) << outputs.status();
      const Tensor &logits = outputs->find("logits")->front();
      for (int64_t i = 0; i < logits.size(); ++i)
        ASSERT_EQ(logits.data[i], whole->logits.data[int64_t(t) * logits.size() + i]) << "token " << t;
    }
  }
}

TEST_P(EncoderDecoderGoldens, aNewSourceReplacesTheOldOne) {
  Interpreter encoder = model.interpreter({}, "encode"), decoder = model.interpreter({}, "main");
  auto cache = decoder.createCache(1, 8, 64);
  ASSERT_TRUE(cache.ok());
  std::vector<Tensor> logits;
  for (const size_t source : {2, 1, 2}) { // the longest, a shorter one, the longest again
    const std::vector<int32_t> &ids = golden.prompts[source];
    ASSERT_TRUE(encoder.run(Tensor(DType::I32, {1, int64_t(ids.size())}, {ids.begin(), ids.end()}), nullptr, &*cache).ok());
    EXPECT_EQ(cache->blocks[0].cross->written[0], int32_t(ids.size()));
    cache->lengths = {0};
    const auto outputs = decoder.run(Tensor(DType::I32, {1, 1}, {1.0}), nullptr, &*cache);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    logits.push_back(outputs->find("logits")->front());
  }
  EXPECT_EQ(logits[0].data, logits[2].data);
  EXPECT_NE(logits[0].data, logits[1].data);
  const auto tooLong = encoder.run(Tensor(DType::I32, {1, 65}, std::vector<double>(65, 1.0)), nullptr, &*cache);
  EXPECT_EQ(tooLong.status().message(), "sequence 0 needs 65 cache rows, the session was declared with 64");
}

INSTANTIATE_TEST_SUITE_P(Models, EncoderDecoderGoldens, testing::ValuesIn(encoderDecoderFixtures()), fixtureTestName);

TEST(GoldenTokens, demo) {
  const std::string folder = std::string(GRAPHC_TEST_DIR) + "/models/demo";
  const auto json = parseJsonFile(folder + "/golden.json");
  ASSERT_TRUE(json.ok()) << json.status();
  const nlohmann::json &first = (**getArray(*json, "cases"))[0];
  const std::vector<int32_t> prompt = idsOf(**getArray(first, "prompt_tokens"));
  std::vector<int32_t> greedy = idsOf(**getArray(first, "greedy_tokens"));
  greedy.resize(std::min<size_t>(greedy.size(), 12));
  Model model(folder + "/checkpoint");
  ASSERT_TRUE(model.isReady());
  Interpreter interpreter = model.interpreter({});
  const auto result = generate(interpreter, {prompt}, {.newTokens = int64_t(greedy.size())});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tokens[0], greedy);
}

TEST(GoldenTokens, stories260K) {
  const char *data = std::getenv("GRAPHC_TEST_DATA");
  const std::string folder = data ? std::string(data) + "/checkpoints/stories260K" : std::string();
  if (!data || !std::filesystem::exists(folder))
    GTEST_SKIP() << "GRAPHC_TEST_DATA has no checkpoints/stories260K";
  const auto json = parseJsonFile(folder + "/golden.json");
  ASSERT_TRUE(json.ok());
  const std::vector<int32_t> golden = idsOf(**getArray(*json, "token_ids"));
  Model model(folder);
  ASSERT_TRUE(model.isReady());
  Interpreter interpreter = model.interpreter({});
  const auto result = generate(interpreter, {{golden[0]}}, {.newTokens = int64_t(golden.size()) - 1});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tokens[0], std::vector<int32_t>(golden.begin() + 1, golden.end()));
}
