// Windows, whose slots are rings, in compiled models: on every layer (Mistral), and
// next to a full slot (test/IR/mixed-windows.ir), there pinned to int8 with scales.
// However a sequence is cut, batched, rewound, saved and loaded, and however often
// its rings wrap, every logit has the bits of a session whose rings hold everything.
// Padding, which the interpreter knows, and compact rows, which sessions have, agree.
#include "Fixture.h"
#include "Import/Import.h"
#include "Reference/Interpreter.h"
#include "Support/MemoryPlan.h"
#include "Support/Safetensors.h"

#include "mlir/IR/MLIRContext.h"

#include <cmath>
#include <filesystem>
#include <map>

using namespace graphc;
using namespace graphc::system_test;

namespace {
constexpr int64_t kCapacity = 200, kTokens = 150;
const std::string kFixture = "mistral/window"; // the weights of both

std::string pathOf(const std::string &model) {
  return model == "mixed" ? std::string(GRAPHC_TEST_DIR) + "/IR/mixed-windows.ir" : folderOf(model);
}

class Windows : public testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    static std::map<std::string, std::shared_ptr<const Model>> known; // one compilation a model
    std::shared_ptr<const Model> &entry = known[GetParam()];
    if (!entry) {
      CompileOptions options;
      options.policy = {"compute=bf16,output=f32"};
      options.pins = {isMixed() ? "int8" : "bf16"};
      auto compiled = compile(pathOf(GetParam()), options);
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      entry = openModel(*compiled, kFixture);
    }
    model = entry;
    for (int64_t i = 0; i < kTokens; ++i)
      ids.push_back(int32_t((i * i + 3 * i) % 97));
    auto session = openSession(model, sizes(kCapacity));
    expected = logitsOf(*session, 0, ids); // 200 rows a ring: nothing is ever overwritten
  }
  bool isMixed() const { return GetParam() == "mixed"; }
  /// Chunks of at most 57 tokens make rings of 64 rows.
  SessionOptions sizes(int64_t chunk) const {
    return {.batch = 2, .capacity = kCapacity, .chunk = chunk, .threads = 2, .logitRows = 2 * kTokens};
  }
  /// Expects the logits of `part` of the tokens to be those of the whole run.
  void expectRows(std::span<const float> logits, int64_t first, const char *what) {
    const size_t vocab = expected.size() / kTokens;
    ASSERT_EQ(logits.size() % vocab, 0u);
    for (size_t i = 0; i < logits.size(); ++i)
      ASSERT_EQ(logits[i], expected[size_t(first) * vocab + i]) << what << ", token " << size_t(first) + i / vocab;
  }

  std::shared_ptr<const Model> model;
  Ids ids;
  std::vector<float> expected;
};
} // namespace

TEST_P(Windows, ringsWrapWithoutATrace) {
  for (const int64_t chunk : {1, 3, 16, 57}) {
    auto session = openSession(model, sizes(chunk));
    expectRows(logitsOf(*session, 0, ids), 0, "chunks");
  }
  auto session = openSession(model, sizes(8));
  for (int64_t i = 0; i < kTokens; ++i) // through the decode entry
    expectRows(logitsOf(*session, 0, std::span(ids).subspan(size_t(i), 1)), i, "token by token");
}

TEST_P(Windows, aSequenceBesideItChangesNothing) {
  auto session = openSession(model, sizes(16));
  const Ids other(ids.rbegin(), ids.rbegin() + 40);
  const std::span<const int32_t> all(ids);
  for (int64_t at = 0; at < kTokens; at += 50) {
    const NewTokens tokens[] = {{0, all.subspan(size_t(at), 50), NewTokens::Logits::All}, {1, other, NewTokens::Logits::None}};
    auto view = session->forward({tokens, size_t(at ? 1 : 2)});
    ASSERT_TRUE(view.ok()) << view.status();
    expectRows({view->data, size_t(view->rows * view->vocab)}, at, "beside another");
  }
}

TEST_P(Windows, rewoundSequencesContinueAsFreshOnes) {
  auto session = openSession(model, sizes(16));
  const std::span<const int32_t> all(ids);
  logitsOf(*session, 0, all);
  // Rings of 64 rows hold 86 .. 149; the token at 93 sees 86 .. 93.
  EXPECT_EQ(session->rewind(0, 92).code(), absl::StatusCode::kOutOfRange);
  for (const size_t length : {140, 120, 93}) {
    const absl::Status rewound = session->rewind(0, int64_t(length));
    ASSERT_TRUE(rewound.ok()) << rewound;
    const Ids detour(ids.rbegin(), ids.rbegin() + 5); // other rows in between, dropped again
    logitsOf(*session, 0, detour);
    ASSERT_TRUE(session->rewind(0, int64_t(length)).ok());
    expectRows(logitsOf(*session, 0, all.subspan(length, 7)), int64_t(length), "rewound");
  }
  ASSERT_TRUE(session->rewind(0, 0).ok());
  expectRows(logitsOf(*session, 0, all), 0, "from the start");
}

TEST_P(Windows, loadedCachesContinueAsOneSession) {
  const std::string path = testing::TempDir() + "graphc-windows-" + testName({GetParam(), 0}) + ".cache";
  const std::span<const int32_t> all(ids);
  auto first = openSession(model, sizes(16));
  logitsOf(*first, 0, all.first(100));
  logitsOf(*first, 1, all.first(5));
  ASSERT_TRUE(first->saveCache(path).ok());
  for (const int64_t chunk : {1, 16, 200}) { // rings of other sizes
    SessionOptions other = sizes(chunk);
    other.capacity = kTokens;
    auto session = openSession(model, other);
    const absl::Status loaded = session->loadCache(path);
    ASSERT_TRUE(loaded.ok()) << loaded;
    expectRows(logitsOf(*session, 0, all.subspan(100)), 100, "loaded");
    expectRows(logitsOf(*session, 1, all.subspan(5, 20)), 5, "loaded, the other one");
  }
  std::filesystem::remove(path);
}

TEST_P(Windows, thePlanHasFewerRowsForRings) {
  auto plan = planMemory(model->executable().program(), {.capacity = kCapacity, .chunk = 16});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->blocks.size(), 2u);
  EXPECT_EQ(plan->blocks[0].rows, 64);
  EXPECT_EQ(plan->blocks[1].rows, isMixed() ? kCapacity : 64);
  const uint64_t bytesOfRow = isMixed() ? 12 + 4 : 2 * 12; // with its scale
  EXPECT_EQ(plan->cache, 2u * 2 * bytesOfRow * uint64_t(64 + (isMixed() ? kCapacity : 64)) + 4);
}

INSTANTIATE_TEST_SUITE_P(Models, Windows, testing::Values("mistral/window", "mixed"), testName);

/// A batch of the same prompts: padded on the left, on the right, and as compact
/// rows. Padding has no position, so it takes no row and no query sees it.
TEST(Padding, leftRightAndNoneAgree) {
  for (const std::string fixture : {"mistral/window", "llama/mha", "gpt2/gelu_new"}) {
    const Golden golden = readGolden(fixture);
    mlir::MLIRContext context;
    auto module = importModel(context, folderOf(fixture));
    ASSERT_TRUE(module);
    auto checkpoint = Checkpoint::open(folderOf(fixture));
    ASSERT_TRUE(checkpoint.ok());
    reference::CheckpointParameters parameters(*checkpoint);
    auto interpreter = reference::Interpreter::create(*module, parameters, {.sessionLength = golden.sessionLength});
    ASSERT_TRUE(interpreter.ok()) << interpreter.status();
    const int64_t batch = int64_t(golden.prompts.size());
    size_t width = 0;
    for (const Ids &prompt : golden.prompts)
      width = std::max(width, prompt.size());

    std::vector<std::vector<std::vector<double>>> sides; // left, right: logits of each prompt, then of a next token
    for (const bool left : {true, false}) {
      auto cache = interpreter->createCache(batch, golden.sessionLength);
      ASSERT_TRUE(cache.ok());
      reference::Tensor input(DType::I32, {batch, int64_t(width)}), mask(DType::I32, {batch, int64_t(width)});
      std::vector<size_t> starts;
      for (size_t b = 0; b < golden.prompts.size(); ++b) {
        starts.push_back(b * width + (left ? width - golden.prompts[b].size() : 0));
        for (size_t t = 0; t < golden.prompts[b].size(); ++t)
          input.data[starts[b] + t] = golden.prompts[b][t], mask.data[starts[b] + t] = 1;
      }
      auto outputs = interpreter->run(input, &mask, &*cache);
      ASSERT_TRUE(outputs.ok()) << outputs.status();
      reference::Tensor next(DType::I32, {batch, 1});
      for (size_t b = 0; b < golden.prompts.size(); ++b) {
        EXPECT_EQ(cache->lengths[b], int32_t(golden.prompts[b].size()));
        next.data[b] = golden.greedy[b][0];
      }
      auto after = interpreter->run(next, nullptr, &*cache);
      ASSERT_TRUE(after.ok()) << after.status();
      const reference::Tensor &logits = outputs->find("logits")->front(), &last = after->find("logits")->front();
      const int64_t vocab = logits.columns();
      std::vector<std::vector<double>> &side = sides.emplace_back();
      for (size_t b = 0; b < golden.prompts.size(); ++b) {
        const auto from = logits.data.begin() + int64_t(starts[b]) * vocab;
        side.emplace_back(from, from + int64_t(golden.prompts[b].size()) * vocab);
        side.back().insert(side.back().end(), last.data.begin() + int64_t(b) * vocab, last.data.begin() + int64_t(b + 1) * vocab);
      }
    }
    EXPECT_EQ(sides[0], sides[1]) << fixture;

    CompileOptions options;
    options.policy = {"compute=f32"};
    auto session = openSession(openModel(compileFixture(fixture, options), fixture),
                               {.batch = batch, .capacity = golden.sessionLength, .logitRows = 64});
    for (size_t b = 0; b < golden.prompts.size(); ++b) {
      std::vector<float> compact = logitsOf(*session, int64_t(b), golden.prompts[b]);
      const std::vector<float> last = logitsOf(*session, int64_t(b), std::span(golden.greedy[b]).first(1));
      compact.insert(compact.end(), last.begin(), last.end());
      ASSERT_EQ(compact.size(), sides[0][b].size());
      for (size_t i = 0; i < compact.size(); ++i)
        ASSERT_NEAR(compact[i], sides[0][b][i], golden.tolerance) << fixture << " prompt " << b;
    }
  }
}
