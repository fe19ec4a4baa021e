// Runtime/Generator on the test artefact, whose next token is always the one
// after the last: 7 is EOS, and 0 follows it.
#include "Support/File.h"
#include "ToyProgram.h"

#include <limits>

using namespace graphc;
using Stop = Generation::Stop;
using Ids = std::vector<int32_t>;

namespace {
const std::string kTokenizerFolder = GRAPHC_TEST_DIR "/models/demo/checkpoint";

std::shared_ptr<const Model> counter(const std::string &folder = "") {
  auto executable = Executable::load(GRAPHC_TEST_ARTEFACT);
  EXPECT_TRUE(executable.ok()) << executable.status();
  auto model = Model::open(*executable, folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

Generation made(absl::StatusOr<Generation> generation) {
  EXPECT_TRUE(generation.ok()) << generation.status();
  return generation.ok() ? *std::move(generation) : Generation{};
}

std::string failure(const absl::Status &status) { return std::string(status.message()); }
} // namespace

TEST(Generator, generatesUnequalSequencesToTheirEnds) {
  const Generation result =
      made(generateFromIds(counter(), {{3}, {5, 6, 1}, {6}}, {.maxNewTokens = 5}));
  ASSERT_EQ(result.sequences.size(), 3u);
  EXPECT_EQ(result.sequences[0].ids, (Ids{4, 5, 6, 7}));
  EXPECT_EQ(result.sequences[0].stop, Stop::Eos);
  EXPECT_EQ(result.sequences[1].ids, (Ids{2, 3, 4, 5, 6}));
  EXPECT_EQ(result.sequences[1].stop, Stop::Count);
  EXPECT_EQ(result.sequences[2].ids, (Ids{7}));
  EXPECT_EQ(result.promptTokens, 5);
  EXPECT_EQ(result.newTokens, 10);
  EXPECT_EQ(result.decodedTokens, 7);
  EXPECT_GT(result.prefillSeconds, 0);
  EXPECT_GT(result.tokensPerSecond(), 0);
  EXPECT_EQ(result.closingLine().find("10 tokens, "), 0u);
  EXPECT_NE(result.closingLine().find(" tok/s, cache none, 12 bytes"), std::string::npos)
      << result.closingLine();
}

TEST(Generator, goesOnAfterEosIfAsked) {
  const Generation result =
      made(generateFromIds(counter(), {{6}}, {.maxNewTokens = 4, .stopAtEos = false}));
  EXPECT_EQ(result.sequences[0].ids, (Ids{7, 0, 1, 2}));
}

TEST(Generator, stopsAtTheCapacity) {
  GenerateOptions options{.maxNewTokens = 1000, .stopAtEos = false};
  Generation result = made(generateFromIds(counter(), {{1, 2, 3}}, options, {.capacity = 5}));
  EXPECT_EQ(result.sequences[0].ids.size(), 3u); // the last one need not fit
  EXPECT_EQ(result.sequences[0].stop, Stop::Capacity);
  result = made(generateFromIds(counter(), {{1}}, options)); // the model's max_length of 64
  EXPECT_EQ(result.sequences[0].ids.size(), 64u);
}

TEST(Generator, streamsInOrderAndStopsForTheCaller) {
  std::vector<std::pair<int64_t, int32_t>> seen;
  std::vector<bool> last;
  GenerateOptions options{.maxNewTokens = 8};
  options.onToken = [&](const StreamedToken &token) {
    seen.push_back({token.sequence, token.id});
    last.push_back(token.isLast);
    return true;
  };
  made(generateFromIds(counter(), {{5}, {4}}, options));
  EXPECT_EQ(seen, (std::vector<std::pair<int64_t, int32_t>>{{0, 6}, {1, 5}, {0, 7}, {1, 6}, {1, 7}}));
  EXPECT_EQ(last, (std::vector<bool>{false, false, true, false, true}));
  options.onToken = [](const StreamedToken &token) { return token.id != 3; };
  const Generation result = made(generateFromIds(counter(), {{1}}, options));
  EXPECT_EQ(result.sequences[0].ids, (Ids{2, 3}));
  EXPECT_EQ(result.sequences[0].stop, Stop::Caller);
}

TEST(Generator, makesText) {
  auto model = counter(kTokenizerFolder);
  std::string streamed;
  GenerateOptions options{.maxNewTokens = 8};
  options.onToken = [&](const StreamedToken &token) {
    streamed += token.text;
    return true;
  };
  Generation result = made(generateFromText(model, {"\""}, options)); // BOS, then 3
  EXPECT_EQ(result.promptTokens, 2);
  EXPECT_EQ(result.sequences[0].text, "#$%&");
  EXPECT_EQ(streamed, "#$%&");
  EXPECT_EQ(*model->encode("#"), (Ids{0, 4}));
  EXPECT_EQ(*model->encode("#", /*addSpecialTokens=*/false), (Ids{4}));
  EXPECT_EQ(*model->decode(Ids{0, 2, 3}), "!\"");
  // Ids that the program does not have are refused like any others.
  EXPECT_EQ(failure(generateFromText(model, {"("}, {}).status()),
            "token 1 of sequence 0 must be from 0 to 7, got 9");
  EXPECT_EQ(generateFromText(counter(), {"x"}, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(made(generateFromIds(counter(), {{3}}, {})).sequences[0].text, ""); // no tokenizer
}

TEST(Generator, refusesABrokenTokenizerOnlyIfItIsNeeded) {
  const std::string folder = toy::testFolder();
  ASSERT_TRUE(writeFileAtomically(folder + "/tokenizer.json", {"{"}).ok());
  EXPECT_FALSE(generateFromIds(counter(folder), {{3}}, {}).ok());
  EXPECT_TRUE(generateFromIds(counter(folder), {{3}}, {.makeText = false}).ok());
}

TEST(Generator, continuesASession) {
  auto session = *Session::create(counter(), {.batch = 2, .capacity = 20});
  Generator generator(*session);
  const std::vector<Ids> first = {{1}, {4}};
  EXPECT_EQ(made(generator.generate(first, {.maxNewTokens = 2})).sequences[0].ids, (Ids{2, 3}));
  EXPECT_EQ(session->lengths()[0], 2); // the last token is not in the cache yet
  const std::vector<Ids> second = {{5, 2}, {}};
  const Generation result = made(generator.generate(second, {.maxNewTokens = 1}));
  EXPECT_EQ(result.sequences[0].ids, (Ids{3}));
  EXPECT_EQ(result.sequences[1].ids, (Ids{7})); // goes on from its own last token
  EXPECT_EQ(session->lengths()[0], 5);
  ASSERT_TRUE(session->reset(0).ok());
  EXPECT_EQ(failure(generator.generate(std::vector<Ids>{{}}, {}).status()),
            "prompt 0 must have at least one token, got none");
}

TEST(Generator, fillsTheCacheOnlyIfNoTokenIsWanted) {
  auto session = *Session::create(counter(), {});
  const Generation result =
      made(Generator(*session).generate(std::vector<Ids>{{1, 2}}, {.maxNewTokens = 0}));
  EXPECT_TRUE(result.sequences[0].ids.empty());
  EXPECT_EQ(session->lengths()[0], 2);
}

TEST(Generator, refusesWhatCannotBeGenerated) {
  auto model = counter();
  EXPECT_FALSE(generateFromIds(model, {}, {}).ok()); // a batch of 0
  EXPECT_EQ(failure(generateFromIds(model, {{1}, {}}, {}).status()),
            "prompt 1 must have at least one token, got none");
  EXPECT_EQ(failure(generateFromIds(model, {{1}}, {.maxNewTokens = -1}).status()),
            "new tokens must be at least 0, got -1");
  EXPECT_EQ(generateFromIds(model, {Ids(65, 1)}, {}).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_FALSE(generateFromIds(model, {{1}}, {.sampling = {.temperature = -1}}).ok());
  EXPECT_FALSE(generateFromIds(nullptr, {{1}}, {}).ok());
  auto session = *Session::create(model, {});
  EXPECT_EQ(failure(Generator(*session).generate(std::vector<Ids>{{1}, {2}}, {}).status()),
            "prompts must be at most the session's batch of 1, got 2");
}

TEST(Generator, namesTheSequenceWhoseLogitsAreNaN) {
  Program program = toy::program();
  auto entry = [](void *const *pointers, const int64_t *dims) {
    auto *logits = static_cast<float *>(pointers[toy::LogitsOut]);
    std::fill(logits, logits + dims[toy::Rows] * toy::kVocab, 0.0f);
    logits[toy::kVocab + 1] = std::numeric_limits<float>::quiet_NaN();
  };
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"table.weight", "F32", {10}, toy::bytesOf(toy::table())}});
  auto executable = Executable::create(program, entry, entry, nullptr);
  auto result = generateFromIds(*Model::open(*executable, folder), {{1}, {2}}, {});
  EXPECT_EQ(failure(result.status()).find("sequence 1: "), 0u) << result.status();
}

TEST(Generator, samplesSequencesApart) {
  // All logits of the toy beyond the third are 0: many tokens are alike likely.
  auto session = [] { return *Session::create(toy::model(), {.batch = 2, .capacity = 50}); };
  const std::vector<Ids> prompts = {{9}, {9}};
  const GenerateOptions options{
      .maxNewTokens = 20, .sampling = {.temperature = 50, .seed = 7}, .stopAtEos = false};
  auto one = session(), other = session();
  const Generation first = made(Generator(*one).generate(prompts, options));
  const Generation again = made(Generator(*other).generate(prompts, options));
  EXPECT_EQ(first.sequences[0].ids, again.sequences[0].ids);
  EXPECT_NE(first.sequences[0].ids, first.sequences[1].ids);
}
