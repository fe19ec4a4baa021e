// What must not change a single bit (docs/Numerics.md T7, T8): how a prompt is
// split or batched, the number of threads, capacity, stale rows, a repeat, the
// shared object instead of the JIT, one more output.
#include "Fixture.h"
#include "Runtime/Trace.h"
#include "Support/Program.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

using namespace graphc;
using namespace graphc::system_test;

namespace {
/// A fixture and its pin.
struct Case {
  std::string fixture, pin;
  auto operator<=>(const Case &) const = default;
};
/// Fixtures whose ropes do not depend on the session's length.
const std::vector<Case> kPlain = {{"llama/mha", "f32"}, {"llama/mqa_bias_one_layer", "f32"}, {"llama/llama3", "f32"},
                                  {"gpt2/gelu_new", "f32"}, {"mistral/window", "int8"},
                                  {"llama/mqa_bias_one_layer", "k=f8E4M3FN,v=f8E5M2"}};

std::string caseName(const testing::TestParamInfo<Case> &info) {
  return testName({info.param.fixture + (info.param.pin == "f32" ? "" : "_" + info.param.pin), 0});
}

class BitEqual : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    fixture = GetParam().fixture;
    golden = readGolden(fixture);
    options.policy = {"compute=f32"};
    options.pins = {GetParam().pin};
    static std::map<Case, CompiledModel> known; // one compilation a case
    if (!known.contains(GetParam()))
      known.emplace(GetParam(), compileFixture(fixture, options));
    compiled = known.at(GetParam());
    model = openModel(*compiled, fixture);
    prompt = *std::max_element(golden.prompts.begin(), golden.prompts.end(),
                               [](const Ids &a, const Ids &b) { return a.size() < b.size(); });
    expected = whole(model, sizes());
  }
  SessionOptions sizes() const {
    return {.capacity = golden.sessionLength, .threads = 2, .logitRows = int64_t(prompt.size())};
  }
  std::vector<float> whole(std::shared_ptr<const Model> of, SessionOptions with) {
    auto session = openSession(std::move(of), with);
    return logitsOf(*session, 0, prompt);
  }

  /// Every element of every optional output for each token of `prompts`, prompts in order.
  std::vector<float> outputsOf(std::shared_ptr<const Model> of, SessionOptions with, const std::vector<Ids> &prompts) {
    std::vector<NewTokens> tokens;
    with.logitRows = 0;
    for (const Ids &ids : prompts) {
      tokens.push_back({int64_t(tokens.size()), ids, NewTokens::Logits::All});
      with.logitRows += int64_t(ids.size());
    }
    with.stateRows = with.logitRows;
    auto session = openSession(of, with);
    auto logits = session->forward(tokens);
    EXPECT_TRUE(logits.ok()) << logits.status();
    EXPECT_EQ(std::memcmp(logits->data, expected.data(), expected.size() * sizeof(float)), 0);
    std::vector<float> values;
    for (int64_t row = 0; row < with.stateRows; ++row)
      for (const std::string name : {"hidden_states", "attentions"})
        for (int64_t layer = 0;; ++layer) {
          auto output = session->output(name + "." + std::to_string(layer));
          if (!output.ok())
            break;
          for (int64_t column = 0; column < output->width; ++column)
            values.push_back(output->at(row, column));
        }
    return values;
  }

  std::string fixture;
  Golden golden;
  CompileOptions options;
  std::optional<CompiledModel> compiled;
  std::shared_ptr<const Model> model;
  Ids prompt;
  std::vector<float> expected;
};
} // namespace

TEST_P(BitEqual, promptSplitAtEveryPoint) {
  for (size_t at = 1; at < prompt.size(); ++at) {
    auto session = openSession(model, sizes());
    std::vector<float> logits = logitsOf(*session, 0, std::span(prompt).first(at));
    const std::vector<float> rest = logitsOf(*session, 0, std::span(prompt).subspan(at));
    logits.insert(logits.end(), rest.begin(), rest.end());
    ASSERT_EQ(logits, expected) << "split at " << at;
  }
}

TEST_P(BitEqual, tokenByToken) {
  auto session = openSession(model, sizes());
  std::vector<float> logits;
  for (const int32_t &id : prompt) {
    const std::vector<float> row = logitsOf(*session, 0, {&id, 1});
    logits.insert(logits.end(), row.begin(), row.end());
  }
  EXPECT_EQ(logits, expected);
}

TEST_P(BitEqual, chunksOfALongPrompt) {
  SessionOptions chunked = sizes();
  chunked.chunk = 3;
  EXPECT_EQ(whole(model, chunked), expected);
}

TEST_P(BitEqual, batchedAndAlone) {
  SessionOptions batched = sizes();
  batched.batch = int64_t(golden.prompts.size());
  batched.logitRows = 0;
  for (const Ids &ids : golden.prompts)
    batched.logitRows += int64_t(ids.size());
  auto session = openSession(model, batched);
  std::vector<NewTokens> tokens;
  for (size_t i = 0; i < golden.prompts.size(); ++i)
    tokens.push_back({int64_t(i), golden.prompts[i], NewTokens::Logits::All});
  auto view = session->forward(tokens);
  ASSERT_TRUE(view.ok()) << view.status();
  int64_t row = 0;
  for (size_t i = 0; i < golden.prompts.size(); ++i) {
    auto alone = openSession(model, sizes());
    const std::vector<float> logits = logitsOf(*alone, 0, golden.prompts[i]);
    EXPECT_EQ(std::memcmp(logits.data(), view->data + row * view->vocab, logits.size() * sizeof(float)), 0) << i;
    row += int64_t(golden.prompts[i].size());
  }
}

TEST_P(BitEqual, otherThreadsCapacityAndARepeat) {
  for (const int64_t threads : {1, 2, 3, 5}) {
    SessionOptions other = sizes();
    other.threads = threads;
    EXPECT_EQ(whole(model, other), expected) << threads << " threads";
  }
  SessionOptions larger = sizes();
  larger.capacity = compiled->program().model.maxLength;
  EXPECT_EQ(whole(model, larger), expected);
}

TEST_P(BitEqual, staleRowsAreNeverRead) {
  auto session = openSession(model, sizes());
  const CallView call = TraceAccess::lastCall(*session);
  for (size_t i = 0; i < call.program.bindings.size(); ++i) {
    const Binding &binding = call.program.bindings[i];
    if (binding.kind == Binding::Kind::Cache)
      std::memset(call.pointers[i], 0xff, *byteSize(call.program, binding, call.dims)); // NaN in every dtype
  }
  EXPECT_EQ(logitsOf(*session, 0, prompt), expected);
}

TEST_P(BitEqual, oneMoreOutput) {
  CompileOptions more = options;
  for (const char *one : {"hidden_states", "attentions"}) {
    more.outputs = {"logits", one};
    EXPECT_EQ(whole(openModel(compileFixture(fixture, more), fixture), sizes()), expected) << one;
  }
}

/// All optional outputs at once change no logit, and are themselves the same
/// however the prompts are split and batched.
TEST_P(BitEqual, allOptionalOutputs) {
  CompileOptions all = options;
  all.outputs = {"logits", "hidden_states", "attentions"};
  const auto asked = openModel(compileFixture(fixture, all), fixture);
  const std::vector<float> states = outputsOf(asked, sizes(), {prompt});
  SessionOptions chunked = sizes();
  chunked.chunk = 3;
  EXPECT_EQ(outputsOf(asked, chunked, {prompt}), states);
  chunked.threads = 3;
  chunked.batch = 3;
  std::vector<float> batched = outputsOf(asked, chunked, {prompt, golden.prompts[0], golden.prompts[1]});
  batched.resize(states.size());
  EXPECT_EQ(batched, states);
}

TEST_P(BitEqual, sharedObjectAndJit) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("graphc-system-" + caseName({GetParam(), 0}));
  std::filesystem::create_directories(folder);
  const std::string path = folder / "out.so";
  const absl::Status written = compiled->writeSharedObject(path);
  ASSERT_TRUE(written.ok()) << written;
  EXPECT_TRUE(std::filesystem::exists(folder / "out.h"));
  auto executable = Executable::load(path);
  ASSERT_TRUE(executable.ok()) << executable.status();
  auto loaded = Model::open(*executable, folderOf(fixture));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(whole(*loaded, sizes()), expected);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(All, BitEqual, testing::ValuesIn(kPlain), caseName);

namespace {
/// Tokens behind whose number the keys of a token are several segments.
constexpr size_t kLong = 390, kDecoded = 8;

Ids drawnIds(size_t count, uint32_t seed) {
  Ids ids(count);
  for (int32_t &id : ids)
    id = int32_t((seed = seed * 1664525 + 1013904223) >> 21); // of 2,048
  return ids;
}

class LongContext : public testing::TestWithParam<std::string> {};
} // namespace

/// Sums of segments are joined in one order, in a prefill and in a decode step, on any
/// number of threads, alone and beside another sequence.
TEST_P(LongContext, segmentsAreJoinedInOneOrder) {
  CompileOptions options;
  options.policy = {"compute=f32"};
  options.pins = {GetParam()};
  const auto model = openModel(compileFixture("demo/checkpoint", options), "demo/checkpoint");
  const Ids prompt = drawnIds(kLong, 1), other = drawnIds(kLong / 3, 2);
  auto session = openSession(model, {.capacity = 512, .threads = 2, .logitRows = int64_t(kLong)});
  const std::vector<float> all = logitsOf(*session, 0, prompt);
  const int64_t vocab = int64_t(all.size() / kLong);
  const std::vector<float> expected(all.end() - int64_t(kDecoded) * vocab, all.end());
  for (const int64_t threads : {1, 2, 3, 5}) {
    auto session = openSession(model, {.capacity = 512, .batch = 2, .threads = threads, .logitRows = int64_t(kLong)});
    logitsOf(*session, 1, std::span(prompt).first(kLong - kDecoded));
    logitsOf(*session, 0, std::span(other).first(other.size() - kDecoded));
    std::vector<float> decoded;
    for (size_t i = kDecoded; i > 0; --i) {
      const std::vector<NewTokens> tokens = {{0, {&other[other.size() - i], 1}, NewTokens::Logits::All},
                                             {1, {&prompt[kLong - i], 1}, NewTokens::Logits::All}};
      auto view = session->forward(std::span(tokens).subspan(i % 2)); // every other time alone
      ASSERT_TRUE(view.ok()) << view.status();
      const float *row = view->data + (i % 2 ? 0 : vocab);
      decoded.insert(decoded.end(), row, row + vocab);
    }
    EXPECT_EQ(decoded, expected) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(All, LongContext, testing::Values("f32", "bf16", "int8"));
