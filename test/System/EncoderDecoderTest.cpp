// Compiled models with an encoder: against transformers in f32, and what must not
// change a bit, as in GoldenTest and BitEqualTest for decoders alone.
#include "Fixture.h"
#include "Runtime/Trace.h"
#include "Support/Program.h"
#include "graphc/c/graphc.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

using namespace graphc;
using namespace graphc::system_test;

namespace {
class EncoderDecoder : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    golden = readGolden(GetParam());
    static std::map<std::string, CompiledModel> known; // one compilation a fixture
    if (!known.contains(GetParam())) {
      CompileOptions options;
      options.policy = {"compute=f32"};
      options.outputs = {"logits", "hidden_states", "attentions", "cross_attentions", "encoder_hidden_states",
                         "encoder_attentions"};
      known.emplace(GetParam(), compileFixture(GetParam(), options));
    }
    compiled = known.at(GetParam());
    model = openModel(*compiled, GetParam());
    longest = std::max_element(golden.prompts.begin(), golden.prompts.end(), [](const Ids &a, const Ids &b) {
                return a.size() < b.size();
              }) - golden.prompts.begin();
  }
  SessionOptions sizes(int64_t threads = 2) const {
    return {.capacity = golden.sessionLength,
            .sourceCapacity = int64_t(golden.prompts[longest].size()),
            .threads = threads,
            .logitRows = 64};
  }
  /// More tokens, if the model's positions reach so far.
  int64_t roomier(int64_t tokens) const {
    const Program::Model &limits = compiled->program().model;
    return limits.isExtendable ? tokens + 9 : std::min(tokens + 9, limits.maxLength);
  }
  /// The longest source, and its decoder's tokens with the greedy ones.
  const Ids &source() const { return golden.prompts[longest]; }
  Ids decoded() const {
    Ids ids = golden.decoderPrompts[longest];
    ids.insert(ids.end(), golden.greedy[longest].begin(), golden.greedy[longest].end());
    return ids;
  }
  std::vector<float> whole(std::shared_ptr<const Model> of, SessionOptions with) const {
    auto session = openSession(std::move(of), with);
    encode(*session, 0, source());
    return logitsOf(*session, 0, decoded());
  }
  /// Compares the states `name`.0 .. of the session's last call with the array in `file`.
  void expectStates(const Session &session, const std::string &name, const std::string &file) const {
    const std::vector<float> states = readValues(GetParam(), file);
    const auto [low, high] = std::minmax_element(states.begin(), states.end());
    size_t at = 0;
    for (int64_t layer = 0; at < states.size(); ++layer) {
      auto state = session.output(name + "." + std::to_string(layer));
      ASSERT_TRUE(state.ok()) << state.status();
      for (int64_t row = 0; row < state->rows; ++row)
        for (int64_t column = 0; column < state->width; ++column, ++at)
          ASSERT_NEAR(state->at(row, column), states[at], 2e-5 * (*high - *low)) << name << layer << " row " << row;
    }
  }

  /// Compares the weights `name`.0 .. (rows, heads, keys) of the session's last call
  /// with the array (layers, heads, queries, keys) in `file`, if the fixture has it;
  /// of the other keys that there is room for, weights are 0.
  void expectWeights(const Session &session, const std::string &name, const std::string &file, int64_t keys, int64_t room) const {
    if (!std::filesystem::exists(folderOf(GetParam()) + "/" + file))
      return;
    const std::vector<float> expected = readValues(GetParam(), file);
    size_t at = 0;
    for (int64_t layer = 0; at < expected.size(); ++layer) {
      auto weights = session.output(name + "." + std::to_string(layer));
      ASSERT_TRUE(weights.ok()) << weights.status();
      for (int64_t h = 0; h < weights->width / room; ++h)
        for (int64_t row = 0; row < weights->rows; ++row)
          for (int64_t j = 0; j < room; ++j)
            ASSERT_NEAR(weights->at(row, h * room + j), j < keys ? expected[at++] : 0, 2e-5)
                << name << layer << " head " << h << " row " << row << " key " << j;
    }
  }

  Golden golden;
  std::optional<CompiledModel> compiled;
  std::shared_ptr<const Model> model;
  size_t longest = 0;
};
} // namespace

TEST_P(EncoderDecoder, logitsHiddenStatesAndTokensAgreeWithTransformers) {
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    auto session = openSession(model, sizes());
    encode(*session, 0, golden.prompts[i]);
    const std::string number = std::to_string(i) + ".npy";
    const int64_t sourceLength = int64_t(golden.prompts[i].size()), sourceRoom = session->options().sourceCapacity;
    expectStates(*session, "encoder_hidden_states", "encoder_hidden_states_" + number);
    expectWeights(*session, "encoder_attentions", "encoder_attentions_" + number, sourceLength, sourceRoom);
    const std::vector<float> logits = logitsOf(*session, 0, golden.decoderPrompts[i]);
    const std::vector<float> expected = readValues(GetParam(), "logits_" + number);
    ASSERT_EQ(logits.size(), expected.size());
    double worst = 0;
    for (size_t k = 0; k < logits.size(); ++k)
      worst = std::fmax(worst, std::fabs(double(logits[k]) - expected[k]));
    EXPECT_LE(worst, golden.tolerance) << "prompt " << i << ", " << worst / golden.range << " of the range";
    expectStates(*session, "decoder_hidden_states", "hidden_states_" + number);
    expectWeights(*session, "decoder_attentions", "attentions_" + number, int64_t(golden.decoderPrompts[i].size()),
                  session->options().capacity);
    expectWeights(*session, "cross_attentions", "cross_attentions_" + number, sourceLength, sourceRoom);
  }
  const auto made = generateFromIds(model, golden.prompts,
                                    {.maxNewTokens = int64_t(golden.greedy[0].size()), .stopAtEos = false,
                                     .makeText = false, .decoderPrompts = golden.decoderPrompts});
  ASSERT_TRUE(made.ok()) << made.status();
  for (size_t i = 0; i < golden.prompts.size(); ++i)
    EXPECT_EQ(made->sequences[i].ids, golden.greedy[i]) << "prompt " << i;
}

TEST_P(EncoderDecoder, splitBatchedThreadsAndCapacityChangeNoBit) {
  const std::vector<float> expected = whole(model, sizes());
  const Ids ids = decoded();
  auto stepwise = openSession(model, sizes());
  encode(*stepwise, 0, source());
  std::vector<float> logits;
  for (const int32_t &id : ids) {
    const std::vector<float> row = logitsOf(*stepwise, 0, {&id, 1});
    logits.insert(logits.end(), row.begin(), row.end());
  }
  EXPECT_EQ(logits, expected) << "token by token";
  for (const int64_t threads : {1, 3, 5})
    EXPECT_EQ(whole(model, sizes(threads)), expected) << threads << " threads";
  SessionOptions larger = sizes();
  larger.sourceCapacity = roomier(larger.sourceCapacity);
  larger.capacity = roomier(larger.capacity);
  larger.chunk = 4; // cuts what the decoder is fed, never a source
  EXPECT_EQ(whole(model, larger), expected) << "larger, in chunks";

  // As one of three sequences, encoded in one call of the program or in several; the
  // first of them twice.
  std::vector<Source> sources;
  for (size_t i = 0; i < golden.prompts.size(); ++i)
    sources.push_back({int64_t(i), golden.prompts[i]});
  std::vector<std::vector<float>> states;
  for (const int64_t chunk : {512, 4}) {
    SessionOptions batched = sizes();
    batched.batch = int64_t(golden.prompts.size());
    batched.chunk = chunk;
    batched.stateRows = 64;
    auto session = openSession(model, batched);
    ASSERT_TRUE(session->encode(sources).ok());
    const OutputView last = *session->output("encoder_hidden_states.1");
    std::vector<float> &values = states.emplace_back();
    for (int64_t i = 0; i < last.rows * last.width; ++i)
      values.push_back(last.at(i / last.width, i % last.width));
    encode(*session, 0, golden.prompts[0]);
    EXPECT_EQ(logitsOf(*session, int64_t(longest), ids), expected) << "batched, chunk " << chunk;
  }
  EXPECT_EQ(states[0], states[1]) << "of all sources, in order";
}

TEST_P(EncoderDecoder, staleRowsAndAnEarlierSourceAreNeverRead) {
  const std::vector<float> expected = whole(model, sizes());
  auto session = openSession(model, sizes());
  const CallView call = TraceAccess::lastCall(*session);
  for (size_t i = 0; i < call.program.bindings.size(); ++i)
    if (const Binding &binding = call.program.bindings[i]; binding.kind == Binding::Kind::Cache)
      std::memset(call.pointers[i], 0xff, *byteSize(call.program, binding, call.dims)); // NaN in every dtype
  encode(*session, 0, source());
  EXPECT_EQ(logitsOf(*session, 0, decoded()), expected);
  EXPECT_EQ(session->lengths()[0], int32_t(decoded().size()));
  encode(*session, 0, Ids{1}); // shorter: the rows behind it are stale
  EXPECT_EQ(session->lengths()[0], 0);
  EXPECT_EQ(session->sourceLengths()[0], 1);
  auto fresh = openSession(model, sizes());
  encode(*fresh, 0, Ids{1});
  EXPECT_EQ(logitsOf(*session, 0, decoded()), logitsOf(*fresh, 0, decoded()));
}

TEST_P(EncoderDecoder, sharedObjectServesIt) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("graphc-encoder-" + testName({GetParam(), 0}));
  std::filesystem::create_directories(folder);
  const std::string path = folder / "out.so";
  ASSERT_TRUE(compiled->writeSharedObject(path).ok());
  auto executable = Executable::load(path);
  ASSERT_TRUE(executable.ok()) << executable.status();
  auto loaded = Model::open(*executable, folderOf(GetParam()));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const std::vector<float> expected = whole(model, sizes());
  EXPECT_EQ(whole(*loaded, sizes()), expected);

  // The same from C.
  char *error = nullptr;
  graphc_model *opened = graphc_open(path.c_str(), folderOf(GetParam()).c_str(), &error);
  ASSERT_TRUE(opened) << error;
  graphc_session_options options = {};
  options.capacity = sizes().capacity;
  options.source_capacity = sizes().sourceCapacity;
  graphc_session *session = graphc_session_open(opened, &options, &error);
  ASSERT_TRUE(session) << error;
  ASSERT_EQ(graphc_session_encode(session, 0, source().data(), source().size(), &error), 0) << error;
  const Ids ids = decoded();
  const float *logits = nullptr;
  ASSERT_EQ(graphc_forward(session, 0, ids.data(), ids.size(), &logits, &error), 0) << error;
  const size_t vocab = size_t(graphc_vocab_size(opened));
  EXPECT_EQ(std::vector<float>(logits, logits + vocab), std::vector<float>(expected.end() - ptrdiff_t(vocab), expected.end()));
  graphc_session_close(session);
  graphc_close(opened);
  std::filesystem::remove_all(folder);
}

TEST_P(EncoderDecoder, faultyCallsWriteNothing) {
  auto session = openSession(model, sizes());
  const auto fails = [&](const absl::Status &status, absl::StatusCode code, std::string_view text) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(std::string(status.message()).find(text), std::string::npos) << status;
  };
  const Ids start = golden.decoderPrompts[0];
  const NewTokens tokens{0, start, NewTokens::Logits::Last};
  fails(session->forward({&tokens, 1}).status(), absl::StatusCode::kFailedPrecondition,
        "sequence 0 must have a source before it decodes");
  encode(*session, 0, source());
  const std::vector<float> expected = logitsOf(*session, 0, start);
  const auto read = [&](const Ids &ids) {
    const Source one{0, ids};
    return session->encode({&one, 1});
  };
  fails(read(Ids(source().size() + 1, 1)), absl::StatusCode::kOutOfRange, "make a session of a larger source capacity");
  fails(read({}), absl::StatusCode::kInvalidArgument, "must have at least one token");
  fails(read({1, 1 << 20}), absl::StatusCode::kInvalidArgument,
        "token 1 of sequence 0 must be from 0 to");
  EXPECT_EQ(session->lengths()[0], int32_t(start.size())) << "a refused source must not reset the decoder";
  ASSERT_TRUE(session->reset(0).ok());
  EXPECT_EQ(logitsOf(*session, 0, start), expected) << "a refused source must leave the old one";
}

TEST_P(EncoderDecoder, cacheBytesAreThoseOfTheDeclaredSlots) {
  const SessionOptions options = sizes();
  auto session = openSession(model, options);
  int64_t bytes = 2 * 4; // lengths of sequence and source
  for (const Binding &binding : compiled->program().bindings)
    if (binding.kind == Binding::Kind::Cache)
      bytes += (binding.name.starts_with("cross_") ? options.sourceCapacity : options.capacity) * binding.dims[1].offset *
               binding.dims[3].offset * 4;
  EXPECT_EQ(int64_t(session->cacheBytes()), bytes);
  EXPECT_EQ(session->cacheDType(), "f32");
}

TEST_P(EncoderDecoder, outputsThatAreAskedForChangeNoBit) {
  CompileOptions options;
  options.policy = {"compute=f32"};
  const CompiledModel plain = compileFixture(GetParam(), options);
  EXPECT_EQ(whole(openModel(plain, GetParam()), sizes()), whole(model, sizes()));
}

TEST_P(EncoderDecoder, savedAndLoadedCachesContinueAsOneSession) {
  const std::string path = testing::TempDir() + "graphc-encoder-cache-" + testName({GetParam(), 0});
  const Ids ids = decoded(), first(ids.begin(), ids.begin() + 2), second(ids.begin() + 2, ids.end());
  SessionOptions options = sizes();
  options.batch = 2;
  auto session = openSession(model, options);
  encode(*session, 1, source());
  logitsOf(*session, 1, first);
  ASSERT_TRUE(session->saveCache(path).ok());
  const std::vector<float> expected = logitsOf(*session, 1, second);
  options.sourceCapacity = roomier(options.sourceCapacity);
  options.capacity = roomier(options.capacity);
  auto other = openSession(model, options);
  ASSERT_TRUE(other->loadCache(path).ok());
  EXPECT_EQ(other->sourceLengths()[0], 0);
  EXPECT_EQ(other->sourceLengths()[1], int32_t(source().size()));
  EXPECT_EQ(logitsOf(*other, 1, second), expected);
  EXPECT_EQ(Session::savedLengths(path)->sources, (Ids{0, int32_t(source().size())}));

  options.sourceCapacity = int64_t(source().size()) - 1;
  auto small = openSession(model, options);
  const absl::Status refused = small->loadCache(path);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(refused.message()).find("make a session of a larger source capacity"), std::string::npos) << refused;
  EXPECT_EQ(small->sourceLengths()[1], 0);
  std::filesystem::remove(path);
}

// A prompt without tokens keeps the source, and the decoder goes on where it was.
TEST_P(EncoderDecoder, generationsInPartsAreOne) {
  const GenerateOptions all{.maxNewTokens = 8, .stopAtEos = false, .makeText = false, .decoderPrompts = {golden.decoderPrompts[longest]}};
  auto session = openSession(model, sizes());
  const auto expected = Generator(*session).generate(std::vector<Ids>{source()}, all);
  ASSERT_TRUE(expected.ok()) << expected.status();
  auto again = openSession(model, sizes());
  GenerateOptions part = all;
  part.maxNewTokens = 3;
  const auto first = Generator(*again).generate(std::vector<Ids>{source()}, part);
  ASSERT_TRUE(first.ok()) << first.status();
  part.maxNewTokens = 5;
  part.decoderPrompts.clear();
  const auto second = Generator(*again).generate(std::vector<Ids>{{}}, part);
  ASSERT_TRUE(second.ok()) << second.status();
  Ids ids = first->sequences[0].ids;
  ids.insert(ids.end(), second->sequences[0].ids.begin(), second->sequences[0].ids.end());
  EXPECT_EQ(ids, expected->sequences[0].ids);
  auto fresh = openSession(model, sizes());
  EXPECT_EQ(Generator(*fresh).generate(std::vector<Ids>{{}}, part).status().message(),
            "decoder prompt 0 must have at least one token, got none");
}

INSTANTIATE_TEST_SUITE_P(All, EncoderDecoder, testing::ValuesIn(kEncoderDecoders), testName);
