// Runtime/Session on the toy program: packing, chunks, rings, ragged batches,
// and errors that leave the session as it was.
#include "Runtime/Cores.h"
#include "Runtime/SessionState.h"
#include "ToyProgram.h"

using namespace graphc;
using Logits = NewTokens::Logits;
using Ints = std::vector<int32_t>;

namespace {
std::unique_ptr<Session> makeSession(const SessionOptions &options,
                                     Program program = toy::program()) {
  auto session = Session::create(toy::model(std::move(program)), options);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

std::vector<float> rowOf(const absl::StatusOr<LogitsView> &view, int64_t row = 0) {
  EXPECT_TRUE(view.ok()) << view.status();
  if (!view.ok() || row >= view->rows)
    return {};
  return {view->row(row).begin(), view->row(row).end()};
}

std::string failure(const absl::Status &status) { return std::string(status.message()); }

const Ints kLong = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 1, 2, 5, 3, 8, 1, 0, 0, 7};
} // namespace

TEST(Session, packsRaggedBatchesEndToEnd) {
  auto session = makeSession({.batch = 4, .capacity = 20});
  const Ints first = {1, 2, 3}, second = {4}, third = {5, 6};
  const NewTokens tokens[] = {{0, first}, {1, second, Logits::None}, {3, third, Logits::All}};
  auto logits = session->forward(tokens);
  ASSERT_TRUE(logits.ok()) << logits.status();
  ASSERT_EQ(toy::calls().size(), 1u);
  const toy::Call &call = toy::calls().front();
  EXPECT_FALSE(call.isDecode);
  EXPECT_EQ(call.ids, (Ints{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(call.positions, (Ints{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(call.starts, (Ints{0, 3, 4, 4, 6}));
  EXPECT_EQ(call.lengths, (Ints{0, 0, 0, 0}));
  EXPECT_EQ(call.rowIds, (Ints{2, 4, 5}));
  EXPECT_EQ(logits->rows, 3);
  EXPECT_EQ(rowOf(logits, 0), toy::expected(first));
  EXPECT_EQ(rowOf(logits, 1), toy::expected({5}));
  EXPECT_EQ(rowOf(logits, 2), toy::expected(third));
  EXPECT_EQ(Ints(session->lengths().begin(), session->lengths().end()), (Ints{3, 1, 0, 2}));
}

TEST(Session, sharesCoresByDefault) {
  const Ints id = {1};
  auto threadsOf = [&](const SessionOptions &options) {
    auto session = makeSession(options);
    EXPECT_TRUE(session->forward(std::vector<NewTokens>{{0, id}}).ok());
    return toy::calls().back().threads;
  };
  EXPECT_EQ(threadsOf({.capacity = 20}), availableCores());
  EXPECT_EQ(threadsOf({.capacity = 20, .threads = 4}), 4);
  int64_t together = 1;
  const CoreShare other(availableCores(), together); // a step of another session
  EXPECT_EQ(threadsOf({.capacity = 20}), std::max<int64_t>(1, availableCores() / 2));
  EXPECT_EQ(threadsOf({.capacity = 20, .threads = 4}), 4);
}

TEST(Session, leavesFinishedSequencesOut) {
  auto session = makeSession({.batch = 3, .capacity = 20});
  const Ints a = {1}, b = {2}, c = {3};
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, a}, {1, b}, {2, c}}).ok());
  auto logits = session->forward(std::vector<NewTokens>{{0, b}, {1, {}}, {2, a}});
  const toy::Call &call = toy::calls().back();
  EXPECT_TRUE(call.isDecode);
  EXPECT_EQ(call.starts, (Ints{0, 1, 1, 2}));
  EXPECT_EQ(call.positions, (Ints{1, 1}));
  EXPECT_EQ(rowOf(logits, 0), toy::expected({1, 2}));
  EXPECT_EQ(rowOf(logits, 1), toy::expected({3, 1}));
  logits = session->forward(std::vector<NewTokens>{{1, c}});
  EXPECT_EQ(rowOf(logits), toy::expected({2, 3})); // untouched while it was out
  ASSERT_TRUE(session->forward({}).ok());
  EXPECT_EQ(toy::calls().size(), 3u);
}

TEST(Session, splitsOfAPromptAgree) {
  for (int64_t chunk : {1, 2, 3, 7, 512})
    for (size_t split = 0; split <= kLong.size(); ++split) {
      auto session = makeSession({.capacity = 40, .chunk = chunk, .stateRows = 40});
      const std::span<const int32_t> all(kLong);
      ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, all.first(split)}}).ok());
      auto logits = session->forward(std::vector<NewTokens>{{0, all.subspan(split)}});
      if (split < kLong.size()) {
        EXPECT_EQ(rowOf(logits), toy::expected(kLong)) << chunk << " " << split;
      }
    }
}

TEST(Session, cutsLongPromptsIntoChunks) {
  auto session = makeSession({.batch = 2, .capacity = 40, .chunk = 8, .logitRows = 23,
                              .stateRows = 23});
  const Ints other = {6, 5, 4};
  const NewTokens tokens[] = {{0, kLong, Logits::All}, {1, other, Logits::All}};
  auto logits = session->forward(tokens);
  ASSERT_TRUE(logits.ok()) << logits.status();
  ASSERT_EQ(toy::calls().size(), 3u);
  EXPECT_EQ(toy::calls()[1].starts, (Ints{0, 8, 8}));
  EXPECT_EQ(toy::calls()[2].starts, (Ints{0, 4, 7})); // the rest, and the other sequence
  EXPECT_EQ(toy::calls()[2].lengths, (Ints{16, 0}));
  ASSERT_EQ(logits->rows, 23); // of all calls, in order
  for (size_t i = 0; i < kLong.size(); ++i)
    EXPECT_EQ(rowOf(logits, int64_t(i)), toy::expected(Ints(kLong.begin(), kLong.begin() + i + 1)));
  EXPECT_EQ(rowOf(logits, 22), toy::expected(other));
  auto states = session->output("hidden_states.0");
  ASSERT_TRUE(states.ok()) << states.status();
  EXPECT_EQ(states->rows, 23);
  EXPECT_EQ(states->width, 1);
  EXPECT_EQ(states->dtype, "f32");
  EXPECT_EQ(states->at(19, 0), toy::table()[7]);
  EXPECT_EQ(states->at(22, 0), toy::table()[4]);
}

TEST(Session, usesDecodeOnlyForSingleTokens) {
  auto session = makeSession({.batch = 2, .capacity = 40});
  const Ints one = {1}, two = {1, 2};
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, one}, {1, two}}).ok());
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, one}, {1, one}}).ok());
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{1, one}}).ok());
  EXPECT_FALSE(toy::calls()[0].isDecode);
  EXPECT_TRUE(toy::calls()[1].isDecode);
  EXPECT_TRUE(toy::calls()[2].isDecode);
}

TEST(Session, batchedDecodeBeyondTheChunkTakesSeveralCalls) {
  auto session = makeSession({.batch = 5, .capacity = 10, .chunk = 2});
  const Ints ids = {3};
  auto logits = session->forward(
      std::vector<NewTokens>{{0, ids}, {1, ids}, {2, ids}, {3, ids}, {4, ids}});
  EXPECT_EQ(toy::calls().size(), 3u);
  for (int64_t row = 0; row < 5; ++row)
    EXPECT_EQ(rowOf(logits, row), toy::expected(ids));
}

TEST(Session, ringsAreSmallerThanTheCapacityAndWrap) {
  auto session = makeSession({.capacity = 100, .chunk = 30});
  EXPECT_EQ(TraceAccess::lastCall(*session).dims[toy::Ring], 64);
  Ints all;
  for (int i = 0; i < 99; ++i) {
    const Ints next = {int32_t(i * 7 % 10)};
    all.push_back(next[0]);
    EXPECT_EQ(rowOf(session->forward(std::vector<NewTokens>{{0, next}})), toy::expected(all));
  }
}

TEST(Session, refusesBeforeAnythingIsWritten) {
  auto session = makeSession({.batch = 2, .capacity = 4});
  const Ints three = {1, 2, 3}, two = {1, 2}, bad = {1, 10}, negative = {-1};
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, three}}).ok());
  auto refused = [&](std::vector<NewTokens> tokens) {
    const size_t before = toy::calls().size();
    auto logits = session->forward(tokens);
    EXPECT_FALSE(logits.ok());
    EXPECT_EQ(toy::calls().size(), before);
    return failure(logits.status());
  };
  EXPECT_EQ(refused({{0, two}}), "sequence 0 must stay within the session's capacity of 4 tokens, "
                                 "got 3 and 2 new ones; make a session of a larger capacity");
  EXPECT_EQ(refused({{1, bad}}), "token 1 of sequence 1 must be from 0 to 9, got 10");
  EXPECT_EQ(refused({{1, negative}}), "token 0 of sequence 1 must be from 0 to 9, got -1");
  EXPECT_EQ(refused({{2, two}}), "sequence must be from 0 to 1, got 2");
  EXPECT_EQ(refused({{1, two}, {1, two}}),
            "sequences must be in order, each at most once, got 1 after 1");
  EXPECT_EQ(refused({{0, {}}, {1, three, Logits::All}}),
            "rows of logits in one forward must be at most 2, got 3; make a session of more logit "
            "rows");
  EXPECT_EQ(session->lengths()[0], 3);
  EXPECT_EQ(rowOf(session->forward(std::vector<NewTokens>{{0, std::span(two).first(1)}})),
            toy::expected({1, 2, 3, 1}));
  EXPECT_FALSE(session->output("attentions.0").ok());
}

TEST(Session, boundsTokensByStateRows) {
  auto session = makeSession({.capacity = 40, .stateRows = 5});
  EXPECT_EQ(failure(session->forward(std::vector<NewTokens>{{0, kLong}}).status()),
            "tokens in one forward must be at most 5 for outputs other than logits, got 20; make a "
            "session of more state rows");
}

TEST(Session, resetEmptiesOneSequence) {
  auto session = makeSession({.batch = 2, .capacity = 4});
  const Ints ids = {1, 2, 3};
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, ids}, {1, ids}}).ok());
  ASSERT_TRUE(session->reset(0).ok());
  EXPECT_FALSE(session->reset(2).ok());
  const Ints again = {5, 6, 7, 8};
  EXPECT_EQ(rowOf(session->forward(std::vector<NewTokens>{{0, again}})), toy::expected(again));
  EXPECT_EQ(session->lengths()[1], 3);
}

TEST(Session, memoryIsWhatThePlanCounts) {
  const Program program = toy::program();
  for (SessionOptions options : {SessionOptions{.batch = 1, .capacity = 7},
                                 SessionOptions{.batch = 3, .capacity = 100, .chunk = 9,
                                                .threads = 2, .logitRows = 5, .stateRows = 11}}) {
    auto session = makeSession(options);
    auto plan = planMemory(program, {.batch = options.batch, .capacity = options.capacity, .chunk = options.chunk,
                                     .threads = session->options().threads, .logitRows = options.logitRows,
                                     .stateRows = options.stateRows});
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(TraceAccess::stateOf(*session).allocatedBytes, plan->total() - plan->weightsMapped - plan->tables);
    EXPECT_EQ(session->cacheBytes(), plan->cache);
  }
}

TEST(Session, widensLogitsOfOtherTypes) {
  Program program = toy::program();
  program.bindings[toy::LogitsOut].dtype = DType::BF16;
  auto executable = Executable::create(
      program,
      [](void *const *pointers, const int64_t *dims) {
        for (int64_t i = 0; i < dims[toy::Rows] * toy::kVocab; ++i)
          static_cast<uint16_t *>(pointers[toy::LogitsOut])[i] = floatToBf16(float(i));
      },
      [](void *const *, const int64_t *) {}, nullptr);
  ASSERT_TRUE(executable.ok()) << executable.status();
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"table.weight", "F32", {10}, toy::bytesOf(toy::table())}});
  auto session = Session::create(*Model::open(*executable, folder), {.logitRows = 2});
  ASSERT_TRUE(session.ok()) << session.status();
  const Ints ids = {1, 2};
  auto logits = (*session)->forward(std::vector<NewTokens>{{0, ids, Logits::All}});
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_EQ(logits->row(1)[9], 19.0f);
  EXPECT_EQ((*session)->output("logits")->dtype, "bf16");
}

TEST(Session, describesItsCache) {
  auto session = makeSession({.batch = 2, .capacity = 10});
  EXPECT_EQ(session->cacheDType(), "bf16/f32");
  EXPECT_EQ(session->cacheBytes(), 2u * 2 * 10 * 2 + 2u * 2 * 10 * 4 + 2 * 4);
  Program mixed = toy::program();
  mixed.bindings[toy::RingKeys].dtype = DType::BF16;
  mixed.bindings[toy::RingValues].dtype = DType::F16;
  EXPECT_EQ(makeSession({}, mixed)->cacheDType(), "bf16/k=bf16,v=f16");
}

TEST(Session, tracesKernels) {
  auto session = makeSession({.capacity = 10});
  std::vector<int64_t> kernels;
  ASSERT_TRUE(TraceAccess::set(*session, [&](const CallView &call, int64_t kernel) {
                kernels.push_back(kernel);
                const TracedKernel &traced = call.program.kernels[size_t(kernel)];
                if (traced.layers.front() == "embedder") { // what a trace writes is used
                  static_cast<uint16_t *>(call.pointers[toy::Keys])[0] = floatToBf16(256);
                  EXPECT_EQ(call.dims[toy::Tokens], 2);
                }
              }).ok());
  const Ints ids = {1, 2};
  auto logits = session->forward(std::vector<NewTokens>{{0, ids}});
  EXPECT_EQ(rowOf(logits)[0], 256 + toy::table()[2]);
  EXPECT_EQ(kernels, (std::vector<int64_t>{0, 1}));
  ASSERT_TRUE(TraceAccess::set(*session, {}).ok());
  ASSERT_TRUE(session->forward(std::vector<NewTokens>{{0, ids}}).ok());
  EXPECT_EQ(kernels.size(), 2u);
  Program untraced = toy::program();
  untraced.bindings.pop_back();
  EXPECT_FALSE(TraceAccess::set(*makeSession({}, untraced), {}).ok());
}

TEST(Session, refusesOptionsBeyondTheModel) {
  auto model = toy::model();
  EXPECT_EQ(failure(Session::create(model, {.capacity = 101}).status()),
            "capacity must be from 1 to 100, got 101");
  EXPECT_EQ(failure(Session::create(model, {.chunk = -1}).status()),
            "chunk must be from 1 to 2147483647, got -1");
  EXPECT_FALSE(Session::create(nullptr, {}).ok());
  EXPECT_EQ((*Session::create(model, {}))->options().capacity, 100);
}
