// A guarded cache: a program that writes its new rows passes, and each way to
// write anything else is found, in the page of the new rows and beyond it.
#include "Runtime/CacheGuard.h"
#include "Support/Program.h"

#include <cmath>
#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace graphc;

namespace {

/// What the program below does besides writing its rows.
enum class Fault { None, OldRow, NextRow, FarRow, OtherSequence, LostRow, ReadsStaleRow };
Fault fault = Fault::None;

constexpr int64_t kWidth = 8, kCapacity = 2048, kHeads = 2, kVocab = 4;
enum : size_t { Ids, Positions, Starts, Lengths, RowIds, Keys, RingValues, LogitsOut };

/// Keys (batch, 2, capacity, 8) and a ring of values (batch, 1, window:4, 8), f32.
Program program() {
  using Kind = Binding::Kind;
  Program result;
  result.model = {"guarded", kVocab, 4, 1, kCapacity, {}, {}};
  result.targetName = "x86-64";
  result.features = {"sse2"};
  result.outputs = {"logits"};
  result.symbols = {"threads", "tokens", "batch", "rows", "capacity", "window:4"};
  result.bindings = {
      Binding::of(Kind::Input, "ids", DType::I32, {Dim::of("tokens")}),
      Binding::of(Kind::Input, "positions", DType::I32, {Dim::of("tokens")}),
      Binding::of(Kind::Input, "starts", DType::I32, {Dim::of("batch", 1)}),
      Binding::of(Kind::Input, "lengths", DType::I32, {Dim::of("batch")}),
      Binding::of(Kind::Input, "row_ids", DType::I32, {Dim::of("rows")}),
      Binding::of(Kind::Cache, "keys", DType::F32, {Dim::of("batch"), Dim::number(kHeads), Dim::of("capacity"), Dim::number(kWidth)}),
      Binding::of(Kind::Cache, "values", DType::F32, {Dim::of("batch"), Dim::number(1), Dim::of("window:4"), Dim::number(kWidth)}),
      Binding::of(Kind::Output, "logits", DType::F32, {Dim::of("rows"), Dim::number(kVocab)})};
  return result;
}

void writeRow(float *rows, int64_t row, float value) {
  for (int64_t i = 0; i < kWidth; ++i)
    rows[row * kWidth + i] = value;
}

void entry(void *const *pointers, const int64_t *dims) {
  auto ints = [&](size_t index) { return static_cast<const int32_t *>(pointers[index]); };
  auto *keys = static_cast<float *>(pointers[Keys]), *values = static_cast<float *>(pointers[RingValues]);
  const int64_t batch = dims[2], capacity = dims[4], ring = dims[5];
  float sum = 0;
  for (int64_t s = 0; s < batch; ++s)
    for (int32_t m = ints(Starts)[s]; m < ints(Starts)[s + 1]; ++m) {
      const int64_t position = ints(Positions)[m];
      for (int64_t h = 0; h < kHeads; ++h)
        writeRow(keys, (s * kHeads + h) * capacity + position, float(ints(Ids)[m]));
      if (fault != Fault::LostRow)
        writeRow(values, s * ring + position % ring, float(ints(Ids)[m]));
      const int64_t last = s * kHeads * capacity + position;
      sum += keys[last * kWidth];
      if (fault == Fault::OldRow && position > 0)
        keys[(last - 1) * kWidth + 3] += 1;
      if (fault == Fault::NextRow)
        keys[(last + 1) * kWidth] = 1;
      if (fault == Fault::FarRow)
        keys[(last + 1024) * kWidth] = 1;
      if (fault == Fault::OtherSequence)
        keys[(batch - 1 - s) * kHeads * capacity * kWidth] = 2;
      if (fault == Fault::ReadsStaleRow)
        sum += keys[(last + 1) * kWidth];
    }
  auto *logits = static_cast<float *>(pointers[LogitsOut]);
  for (int64_t i = 0; i < dims[3] * kVocab; ++i)
    logits[i] = sum;
}

class CacheGuardTest : public testing::Test {
protected:
  CacheGuardTest() {
    fault = Fault::None;
    auto executable = Executable::create(program(), entry, entry, nullptr);
    EXPECT_TRUE(executable.ok()) << executable.status();
    session = *Session::create(*Model::open(*executable, ""), {.batch = 2, .capacity = kCapacity, .chunk = 16});
    guard = *CacheGuard::create(*session);
  }

  /// A prompt in sequence 0, one token in the other, then single tokens.
  absl::Status step(std::vector<int32_t> first, std::vector<int32_t> second) {
    const NewTokens tokens[] = {{0, first}, {1, second}};
    return guard->forward(tokens).status();
  }

  std::unique_ptr<Session> session;
  std::unique_ptr<CacheGuard> guard;
};

TEST_F(CacheGuardTest, acceptsWritesToAllNewRowsAndNothingElse) {
  const absl::Status prefill = step({1, 2, 3, 1, 2}, {3});
  ASSERT_TRUE(prefill.ok()) << prefill;
  for (int i = 0; i < 70; ++i) { // around the ring of 64 rows
    const absl::Status decode = step({1}, {2});
    ASSERT_TRUE(decode.ok()) << decode;
  }
  ASSERT_TRUE(step({}, {2}).ok());
  const Facts facts = guard->facts();
  EXPECT_EQ(facts[0], (Fact{"steps", 72}));
  EXPECT_EQ(facts[1], (Fact{"rows-written", (5 + 1 + 70 * 2 + 1) * (kHeads + 1)})); // seed property 8
  EXPECT_EQ(facts[2], (Fact{"bytes-written", (5 + 1 + 70 * 2 + 1) * (kHeads + 1) * kWidth * 4}));
  EXPECT_GT(facts[3].value, 72u * 50); // pages of 4 KiB: 64 of keys
  EXPECT_GT(facts[4].value, 72u * 4096);
  EXPECT_EQ(facts[5], (Fact{"rows-reused", (75 - 64) + (72 - 64)})) << "tokens of both sequences, beyond the ring";
}

TEST_F(CacheGuardTest, marksRowsWithoutATokenAsNaN) {
  fault = Fault::ReadsStaleRow;
  const std::vector<int32_t> ids = {1};
  const NewTokens tokens[] = {{0, ids}};
  auto logits = guard->forward(tokens);
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_TRUE(std::isnan(logits->data[0]));
}

struct Case {
  Fault fault;
  const char *name, *message;
};
class GuardedFault : public CacheGuardTest, public testing::WithParamInterface<Case> {};

TEST_P(GuardedFault, isFound) {
  ASSERT_TRUE(step({1, 2, 3}, {3}).ok());
  fault = GetParam().fault;
  EXPECT_EQ(step({2}, {1}).message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(Cache, GuardedFault, testing::Values(
    Case{Fault::OldRow, "OldRow", "contract: run: the step wrote to a row that is not new: keys of block 0, sequence 0, head 0, row 2"},
    Case{Fault::NextRow, "NextRow", "contract: run: the step wrote to a row that is not new: keys of block 0, sequence 0, head 0, row 4"},
    Case{Fault::FarRow, "FarRow", "contract: run: the step wrote to a page without new rows: keys of block 0, sequence 0, head 0, row 1027"},
    Case{Fault::OtherSequence, "OtherSequence", "contract: run: the step wrote to a row that is not new: keys of block 0, sequence 0, head 0, row 0"},
    Case{Fault::LostRow, "LostRow", "contract: run: the step did not write a new row: values of block 0, sequence 0, head 0, row 3"}),
    [](const auto &info) { return std::string(info.param.name); });

TEST_F(CacheGuardTest, refusesWhatOneCallDoesNotTake) {
  EXPECT_EQ(step(std::vector<int32_t>(17, 1), {}).message(), "guarded step must have at most 16 tokens, got 17");
  ASSERT_TRUE(step({1}, {}).ok());
  EXPECT_EQ(CacheGuard::create(*session).status().message(), "guarded session must be new, got a sequence of 1 tokens");
}

TEST(ResidentBytes, growByWhatIsTouched) {
  const uint64_t before = *residentBytes();
  const size_t size = size_t(8) << 20;
  void *memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  for (size_t at = 0; at < size; at += 4096)
    static_cast<volatile char *>(memory)[at] = 1;
  const uint64_t grown = *residentBytes() - before;
  ::munmap(memory, size);
  EXPECT_GE(grown, size);
  EXPECT_LT(grown, size + (size_t(1) << 20));
}

} // namespace
