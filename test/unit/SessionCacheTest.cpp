// Runtime/SessionCache and Runtime/SavedCache on the toy program, whose cache
// mixes a full slot and a ring of window 4: rewinding, saving, loading, and
// refusals that change nothing.
#include "Runtime/SavedCache.h"
#include "Runtime/SessionState.h"
#include "Support/File.h"
#include "ToyProgram.h"

using namespace graphc;
using Logits = NewTokens::Logits;
using Ints = std::vector<int32_t>;

namespace {
std::unique_ptr<Session> makeSession(SessionOptions options, Program program = toy::program()) {
  options.stateRows = 100; // the toy has an output of all tokens
  auto session = Session::create(toy::model(std::move(program)), options);
  EXPECT_TRUE(session.ok()) << session.status();
  return session.ok() ? *std::move(session) : nullptr;
}

/// The logits of the last of `ids`, appended to `sequence`.
std::vector<float> feed(Session &session, const Ints &ids, int64_t sequence = 0) {
  auto logits = session.forward(std::vector<NewTokens>{{sequence, ids}});
  EXPECT_TRUE(logits.ok()) << logits.status();
  return logits.ok() ? std::vector<float>(logits->row(0).begin(), logits->row(0).end()) : std::vector<float>();
}

Ints ids(int count, int from = 0) {
  Ints result;
  for (int i = 0; i < count; ++i)
    result.push_back((from + i) * 7 % 10);
  return result;
}

Ints both(Ints a, const Ints &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Ints firstOf(const Ints &all, size_t count) { return Ints(all.begin(), all.begin() + ptrdiff_t(count)); }

/// All that a refusal must leave alone.
std::string cacheOf(const Session &session) {
  const auto &state = TraceAccess::stateOf(session);
  std::string bytes(reinterpret_cast<const char *>(state.cache.data()), state.cache.size());
  return bytes + toy::bytesOf(Ints(state.lengths, state.lengths + session.options().batch)) + toy::bytesOf(state.pending);
}

std::string failure(const absl::Status &status) { return std::string(status.message()); }

std::string fileIn(const std::string &name) { return testing::TempDir() + "graphc-cache-" + name; }
} // namespace

TEST(SessionCache, anOverrunLeavesTheMemoryAsItWas) {
  auto session = makeSession({.batch = 2, .capacity = 6, .chunk = 2});
  feed(*session, ids(4));
  feed(*session, ids(3), 1);
  const std::string before = cacheOf(*session);
  const Ints one = {1}, three = {1, 2, 3};
  const auto logits = session->forward(std::vector<NewTokens>{{0, one}, {1, ids(4)}}); // 7 rows in sequence 1
  EXPECT_EQ(logits.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(cacheOf(*session), before);
  EXPECT_EQ(session->forward(std::vector<NewTokens>{{0, three}}).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(cacheOf(*session), before);
}

TEST(SessionCache, rewoundSequencesContinueAsFreshOnes) {
  const Ints all = ids(20), other = ids(6, 3);
  for (size_t length = 0; length <= all.size(); ++length) { // 20 tokens: the ring of 64 rows has them all
    auto session = makeSession({.batch = 2, .capacity = 40, .chunk = 8});
    feed(*session, all);
    feed(*session, other, 1);
    ASSERT_TRUE(session->rewind(0, int64_t(length)).ok());
    EXPECT_EQ(session->lengths()[0], int32_t(length));
    EXPECT_EQ(feed(*session, other), toy::expected(both(firstOf(all, length), other))) << length;
    EXPECT_EQ(feed(*session, {1}, 1), toy::expected(both(other, {1}))); // untouched
  }
}

TEST(SessionCache, ringsRewindAsFarAsTheirRowsReach) {
  auto session = makeSession({.capacity = 100, .chunk = 8}); // 64 rows
  ASSERT_EQ(TraceAccess::lastCall(*session).dims[toy::Ring], 64);
  const Ints all = ids(90);
  feed(*session, all);
  // Rows 26 .. 89 are there; the token at 29 sees 26 .. 29.
  EXPECT_EQ(failure(session->rewind(0, 28)), "sequence 0 can be rewound to 29 to 90 tokens or to 0, since rings keep no "
                                             "older rows, got 28");
  EXPECT_EQ(session->lengths()[0], 90);
  ASSERT_TRUE(session->rewind(0, 50).ok());
  // What 50 .. 89 overwrote does not come back.
  EXPECT_EQ(session->rewind(0, 28).code(), absl::StatusCode::kOutOfRange);
  ASSERT_TRUE(session->rewind(0, 29).ok());
  EXPECT_EQ(feed(*session, {5}), toy::expected(both(firstOf(all, 29), {5})));
  ASSERT_TRUE(session->rewind(0, 0).ok());
  EXPECT_EQ(feed(*session, all), toy::expected(all));
  EXPECT_EQ(failure(session->rewind(0, 91)), "length must be from 0 to the sequence's 90 tokens, got 91");
  EXPECT_EQ(failure(session->rewind(0, -1)), "length must be from 0 to the sequence's 90 tokens, got -1");
  EXPECT_EQ(failure(session->rewind(1, 0)), "sequence must be from 0 to 0, got 1");
}

TEST(SessionCache, aRewindDropsTheTokenThatAGeneratorTook) {
  auto session = makeSession({.capacity = 40});
  Generator generator(*session);
  const GenerateOptions options{.maxNewTokens = 1, .stopAtEos = false, .makeText = false};
  ASSERT_TRUE(generator.generate(std::vector<Ints>{{1, 2}}, options).ok());
  ASSERT_TRUE(session->rewind(0, 1).ok());
  ASSERT_TRUE(generator.generate(std::vector<Ints>{{4}}, options).ok());
  EXPECT_EQ(toy::calls().back().ids, (Ints{4}));
}

TEST(SessionCache, savedAndLoadedCachesContinueAsOneSession) {
  const std::string path = fileIn("continue");
  const Ints first = ids(90), second = ids(3, 5), next = {6, 2};
  {
    auto session = makeSession({.batch = 3, .capacity = 100, .chunk = 8});
    feed(*session, first);
    feed(*session, second, 2);
    ASSERT_TRUE(session->saveCache(path).ok());
    EXPECT_EQ(Session::savedLengths(path)->sequences, (Ints{90, 0, 3}));
    EXPECT_EQ(Session::savedLengths(path)->sources, Ints());
    // 93 rows of bf16 in the full slot, 4 + 3 of f32 in the ring, keys and values, behind the header.
    const uint64_t rows = 2 * (93 * 2 + 7 * 4);
    EXPECT_EQ(std::filesystem::file_size(path) % kAlignment, rows % kAlignment);
    EXPECT_LT(std::filesystem::file_size(path), 1024 + rows);
  }
  for (const auto &[capacity, chunk] : {std::pair(100, 8), std::pair(95, 100), std::pair(93, 30)}) { // rings of 64 to 95 rows
    auto session = makeSession({.batch = 3, .capacity = capacity, .chunk = chunk});
    feed(*session, {1, 2, 3, 4}, 1);
    const absl::Status loaded = session->loadCache(path);
    ASSERT_TRUE(loaded.ok()) << loaded;
    EXPECT_EQ(Ints(session->lengths().begin(), session->lengths().end()), (Ints{90, 0, 3}));
    EXPECT_EQ(feed(*session, next), toy::expected(both(first, next)));
    EXPECT_EQ(feed(*session, next, 1), toy::expected(next));
    EXPECT_EQ(feed(*session, next, 2), toy::expected(both(second, next)));
    // A window's rows before the last four were not saved.
    EXPECT_EQ(session->rewind(0, 88).code(), absl::StatusCode::kOutOfRange);
    ASSERT_TRUE(session->rewind(0, 89).ok());
    EXPECT_EQ(feed(*session, {7}), toy::expected(both(firstOf(first, 89), {7})));
  }
}

TEST(SessionCache, theTokenThatAGeneratorTookIsSaved) {
  const std::string path = fileIn("pending");
  const GenerateOptions options{.maxNewTokens = 3, .stopAtEos = false, .makeText = false};
  auto whole = makeSession({.capacity = 40});
  Generator one(*whole);
  ASSERT_TRUE(one.generate(std::vector<Ints>{{1, 2}}, options).ok());
  ASSERT_TRUE(whole->saveCache(path).ok());
  const auto expected = one.generate(std::vector<Ints>{{4}}, options);
  ASSERT_TRUE(expected.ok());
  auto loaded = makeSession({.capacity = 40});
  ASSERT_TRUE(loaded->loadCache(path).ok());
  const auto actual = Generator(*loaded).generate(std::vector<Ints>{{4}}, options);
  ASSERT_TRUE(actual.ok());
  EXPECT_EQ(actual->sequences[0].ids, expected->sequences[0].ids);
  EXPECT_EQ(loaded->lengths()[0], whole->lengths()[0]);
}

TEST(SessionCache, refusesCachesOfOthersAndStaysAsItWas) {
  const std::string path = fileIn("refused");
  auto saved = makeSession({.batch = 2, .capacity = 50});
  feed(*saved, ids(30));
  ASSERT_TRUE(saved->saveCache(path).ok());
  const auto refusal = [&](const SessionOptions &options, Program program = toy::program()) {
    auto session = makeSession(options, std::move(program));
    feed(*session, {1, 2, 3});
    const std::string before = cacheOf(*session);
    const absl::Status status = session->loadCache(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(cacheOf(*session), before);
    return failure(status).substr(std::min(failure(status).size(), path.size() + 2));
  };
  EXPECT_EQ(refusal({.batch = 1, .capacity = 50}), "sequences must be 1, got 2; make a session of that batch");
  EXPECT_EQ(refusal({.batch = 2, .capacity = 29}), "sequences must be within the session's capacity of 29 tokens, got "
                                                   "30; make a session of a larger capacity");
  Program other = toy::program();
  other.bindings[toy::RingValues].dtype = DType::F16;
  EXPECT_EQ(refusal({.batch = 2, .capacity = 50}, other),
            "values of block 1 must be 1 heads of 1 f16 in a window of 4, got 1 heads of 1 f32 in a window of 4; compile "
            "with the pin that the cache was saved with");
  other = toy::program();
  other.bindings[toy::Keys].dims[2] = other.bindings[toy::Values].dims[2] = Dim::of("window:4");
  EXPECT_EQ(refusal({.batch = 2, .capacity = 50}, other),
            "keys of block 0 must be 1 heads of 1 bf16 in a window of 4, got 1 heads of 1 bf16");
  other = toy::program();
  other.bindings[toy::Values].dims[1] = Dim::number(2);
  EXPECT_EQ(refusal({.batch = 2, .capacity = 50}, other), "values of block 0 must be 2 heads of 1 bf16, got 1 heads of 1 bf16");
  other = toy::program();
  other.policy = "compute=bf16";
  EXPECT_TRUE(refusal({.batch = 2, .capacity = 50}, other).starts_with("model must be "));
  other = toy::program();
  for (const size_t table : {toy::Cos, toy::Sin}) {
    other.bindings[table].rope.scaling.type = RopeScaling::Type::LongRope;
    other.bindings[table].rope.scaling.originalMaxPositions = 16;
    other.bindings[table].rope.scaling.factor = 2;
    other.bindings[table].rope.scaling.shortFactor = other.bindings[table].rope.scaling.longFactor = {1};
  }
  EXPECT_TRUE(refusal({.batch = 2, .capacity = 50}, other).starts_with("model must be "));
  auto longer = makeSession({.capacity = 50}, other);
  feed(*longer, ids(5));
  ASSERT_TRUE(longer->saveCache(path).ok());
  EXPECT_EQ(refusal({.capacity = 60}, other), "capacity must be 60, got 50, since the model's rope depends on it");
}

TEST(SessionCache, otherWeightsAreAnotherModel) {
  const std::string path = fileIn("weights");
  auto session = makeSession({.capacity = 20});
  ASSERT_TRUE(session->saveCache(path).ok());
  std::vector<float> table = toy::table();
  table[7] = 3;
  const std::string folder = toy::testFolder();
  toy::writeCheckpoint(folder, {{"table.weight", "F32", {toy::kVocab}, toy::bytesOf(table)}});
  const std::shared_ptr<const Executable> executable(std::shared_ptr<void>(), &session->model().executable());
  auto other = Session::create(*Model::open(executable, folder), {.capacity = 20});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ((*other)->loadCache(path).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(SessionCache, refusesDamagedFiles) {
  const std::string path = fileIn("damaged");
  auto session = makeSession({.capacity = 50});
  feed(*session, ids(30));
  ASSERT_TRUE(session->saveCache(path).ok());
  const std::string good = *readFile(path), before = cacheOf(*session);
  const auto refusal = [&](std::string_view bytes) {
    EXPECT_TRUE(writeFileAtomically(path, {bytes}).ok());
    const absl::Status status = session->loadCache(path);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(cacheOf(*session), before);
    EXPECT_FALSE(Session::savedLengths(path).ok());
    return failure(status);
  };
  for (size_t size = 0; size < good.size(); size += 1 + size / 16)
    refusal(std::string_view(good).substr(0, size));
  EXPECT_EQ(refusal(std::string_view(good).substr(0, good.size() - 1)), path + ": rows must have 152 bytes, got 151");
  EXPECT_EQ(refusal(good + "x"), path + ": rows must have 152 bytes, got 153");
  EXPECT_EQ(refusal("not a cache at all"), path + ": must be a cache that graphc saved, got another file");
  const auto edited = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to); // of one size, so that the rest stays in place
    return text;
  };
  EXPECT_EQ(refusal(edited("\"version\":1", "\"version\":2")), path + ": version must be 1, got 2; save the cache anew");
  EXPECT_EQ(refusal(edited("\"lengths\":[30]", "\"lengths\":[99]")), path + ": lengths must be within the capacity of 50, got 99");
  EXPECT_EQ(refusal(edited("\"dtype\":\"bf16\"", "\"dtype\":\"bf61\"")), path + ": key 'dtype' must be a dtype, got 'bf61'");
  // Sources, which only a cross cache has.
  const SavedCache sourced{"m", 50, {3}, {-1}, {2}, {{0, "keys", DType::F32, 1, 1, 0}, {0, "cross_keys", DType::F32, 1, 1, 0}}};
  EXPECT_EQ(sourced.rowBytes(), (3u + 2) * 4);
  EXPECT_EQ(*parseSavedCache(sourced.header() + std::string(20, 'r'), "f"), sourced);
  SavedCache faulty = sourced;
  faulty.sources = {2, 2};
  EXPECT_EQ(failure(parseSavedCache(faulty.header(), "f").status()), "f: key 'sources' must have 1 lengths, got 2");
  faulty.sides.pop_back();
  EXPECT_EQ(failure(parseSavedCache(faulty.header(), "f").status()), "f: key 'sources' must have 0 lengths, got 2");
  EXPECT_EQ(session->loadCache(path + ".none").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(session->saveCache(path + ".none/file").code(), absl::StatusCode::kNotFound);
}
