// The guarded run of a certificate, on programs written by hand that break what
// only a run can show: results that depend on rows without tokens, and memory
// that no plan has.
#include "Compiler/GuardedRun.h"

#include "Support/Program.h"

#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>

using namespace graphc;

namespace {

enum class Fault { None, ReadsStaleRow, KeepsMemory };
Fault fault = Fault::None;

enum : size_t { Ids, Starts, Lengths, Keys, LogitsOut };

/// Keys (batch, 1, capacity, 2) of f32, which are the ids; logits (rows, 2): the
/// sum of a sequence's keys.
Program program() {
  using Kind = Binding::Kind;
  Program result;
  result.model = {"guarded", 50, 2, 1, 64, {}, {}};
  result.targetName = "x86-64";
  result.features = {"sse2"};
  result.outputs = {"logits"};
  result.symbols = {"threads", "tokens", "batch", "rows", "capacity"};
  result.bindings = {
      Binding::of(Kind::Input, "ids", DType::I32, {Dim::of("tokens")}),
      Binding::of(Kind::Input, "starts", DType::I32, {Dim::of("batch", 1)}),
      Binding::of(Kind::Input, "lengths", DType::I32, {Dim::of("batch")}),
      Binding::of(Kind::Cache, "keys", DType::F32, {Dim::of("batch"), Dim::number(1), Dim::of("capacity"), Dim::number(2)}),
      Binding::of(Kind::Output, "logits", DType::F32, {Dim::of("rows"), Dim::number(50)})};
  return result;
}

void entry(void *const *pointers, const int64_t *dims) {
  auto ints = [&](size_t index) { return static_cast<const int32_t *>(pointers[index]); };
  auto *keys = static_cast<float *>(pointers[Keys]), *logits = static_cast<float *>(pointers[LogitsOut]);
  int64_t row = 0;
  for (int64_t s = 0; s < dims[2]; ++s) {
    const int32_t first = ints(Starts)[s], tokens = ints(Starts)[s + 1] - first;
    float *sequence = keys + s * dims[4] * 2;
    for (int32_t i = 0; i < tokens; ++i)
      sequence[(ints(Lengths)[s] + i) * 2] = sequence[(ints(Lengths)[s] + i) * 2 + 1] = float(ints(Ids)[first + i]);
    const int64_t visible = ints(Lengths)[s] + tokens + (fault == Fault::ReadsStaleRow && s == 0);
    float sum = 0;
    for (int64_t i = 0; i < std::min(visible, dims[4]) * 2; ++i)
      sum += sequence[i];
    if (tokens)
      std::fill_n(logits + row++ * 50, 50, sum);
  }
  if (fault == Fault::KeepsMemory) {
    void *memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    std::memset(memory, 1, 4096); // a page a step
  }
}

absl::StatusOr<Facts> run(Fault chosen) {
  fault = chosen;
  auto executable = Executable::create(program(), entry, entry, nullptr);
  EXPECT_TRUE(executable.ok()) << executable.status();
  return runGuarded(*executable, "", {.batch = 3});
}

TEST(GuardedRun, CountsWhatASoundProgramDoes) {
  const absl::StatusOr<Facts> facts = run(Fault::None);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ((*facts)[1], (Fact{"rows-written", 3 * 64}));
  EXPECT_EQ(facts->back().name, "page-ends");
}

TEST(GuardedRun, FindsResultsThatDependOnRowsWithoutTokens) {
  EXPECT_EQ(run(Fault::ReadsStaleRow).status().message(), "contract: run: results change with what stands in rows without tokens");
}

TEST(GuardedRun, FindsMemoryBeyondThePlan) {
  const absl::Status status = run(Fault::KeepsMemory).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_NE(status.message().find("contract: run: the measured peak is"), std::string::npos) << status;
}

} // namespace
