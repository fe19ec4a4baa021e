// A program written by hand, for tests of the runtime: what its entries compute
// shows every row they were given. Token t has the value table[t]; the logits
// of the token at position p, from the two caches of its sequence, are
//   logits[0] = sum of the values at positions 0 .. p, from the full cache
//   logits[1] = sum of those at max(0, p - 3) .. p, from a ring of window 4
//   logits[2] = cos of its position, from the rope table
// and 0 beyond.
#pragma once

#include "Support/Program.h"
#include "graphc/Runtime.h"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

namespace graphc::toy {

inline constexpr int64_t kVocab = 10, kWindow = 4;

/// Positions of the toy's bindings.
enum : size_t { Ids, Positions, Starts, Lengths, RowIds, Table, Keys, Values, RingKeys, RingValues,
                Cos, Sin, Scratch, LogitsOut, States, TraceAt };
/// Positions of its symbols.
enum : size_t { Threads, Tokens, Batch, Rows, Capacity, Ring };

inline Program program() {
  using Kind = Binding::Kind;
  Program toy;
  toy.model = {"toy", kVocab, 4, 2, 100, {}, {9}, {}, {}};
  toy.targetName = "x86-64";
  toy.features = {"sse2"};
  toy.outputs = {"logits", "hidden_states"};
  toy.symbols = {"threads", "tokens", "batch", "rows", "capacity", "window:4"};
  auto &all = toy.bindings;
  for (auto [name, dim] : {std::pair("ids", Dim::of("tokens")), {"positions", Dim::of("tokens")},
                           {"starts", Dim::of("batch", 1)}, {"lengths", Dim::of("batch")},
                           {"row_ids", Dim::of("rows")}})
    all.push_back(Binding::of(Kind::Input, name, DType::I32, {dim}));
  all.push_back(Binding::of(Kind::Parameter, "table", DType::F32, {Dim::number(kVocab)}));
  all.back().source = "table.weight";
  for (int64_t block : {0, 1})
    for (const char *side : {"keys", "values"}) {
      const Dim rows = Dim::of(block ? "window:4" : "capacity");
      all.push_back(Binding::of(Kind::Cache, side, block ? DType::F32 : DType::BF16,
                            {Dim::of("batch"), Dim::number(1), rows, Dim::number(1)}));
      all.back().block = block;
    }
  for (const char *part : {"cos", "sin"}) {
    all.push_back(Binding::of(Kind::Rope, part, DType::F32, {Dim::of("capacity"), Dim::number(1)}));
    all.back().rope.dim = 2;
  }
  all.push_back(Binding::of(Kind::Buffer, "x", DType::F32, {Dim::of("tokens"), Dim::number(4)}));
  all.push_back(Binding::of(Kind::Output, "logits", DType::F32, {Dim::of("rows"), Dim::number(kVocab)}));
  all.push_back(Binding::of(Kind::Output, "hidden_states.0", DType::F32, {Dim::of("tokens"), Dim::number(1)}));
  all.push_back(Binding::of(Kind::Trace, "trace", DType::F32, {}));
  toy.kernels = {{{"embedder"}, {{int64_t(States), "embedder"}}},
                 {{"head"}, {{int64_t(LogitsOut), "head"}}}};
  return toy;
}

/// A call that the toy's entries saw.
struct Call {
  bool isDecode;
  std::vector<int32_t> ids, positions, starts, lengths, rowIds;
  int64_t threads;
};
inline std::vector<Call> &calls() {
  static std::vector<Call> seen;
  return seen;
}

struct Hook {
  void (*callback)(void *, int64_t);
  void *context;
};

template <bool isDecode> void entry(void *const *pointers, const int64_t *dims) {
  auto ints = [&](size_t index) { return static_cast<int32_t *>(pointers[index]); };
  auto floats = [&](size_t index) { return static_cast<float *>(pointers[index]); };
  const int64_t capacity = dims[Capacity], ring = dims[Ring];
  auto copy = [&](size_t index, int64_t count) {
    return std::vector<int32_t>(ints(index), ints(index) + count);
  };
  calls().push_back({isDecode, copy(Ids, dims[Tokens]), copy(Positions, dims[Tokens]),
                     copy(Starts, dims[Batch] + 1), copy(Lengths, dims[Batch]),
                     copy(RowIds, dims[Rows]), dims[Threads]});
  auto *keys = static_cast<uint16_t *>(pointers[Keys]);
  const auto *hook = static_cast<const Hook *>(pointers[TraceAt]);
  std::vector<int64_t> sequenceOf(static_cast<size_t>(dims[Tokens]));
  for (int64_t s = 0; s < dims[Batch]; ++s)
    for (int32_t m = ints(Starts)[s]; m < ints(Starts)[s + 1]; ++m) {
      const float value = floats(Table)[ints(Ids)[m]];
      const int32_t position = ints(Positions)[m];
      sequenceOf[size_t(m)] = s;
      floats(Scratch)[m * 4] = value;
      floats(States)[m] = value;
      keys[s * capacity + position] = floatToBf16(value);
      floats(RingKeys)[s * ring + position % ring] = value;
    }
  hook->callback(hook->context, 0);
  for (int64_t r = 0; r < dims[Rows]; ++r) {
    const int32_t m = ints(RowIds)[r], position = ints(Positions)[m];
    const int64_t s = sequenceOf[size_t(m)];
    float *logits = floats(LogitsOut) + r * kVocab;
    std::fill(logits, logits + kVocab, 0.0f);
    for (int64_t p = 0; p <= position; ++p)
      logits[0] += bf16ToFloat(keys[s * capacity + p]);
    for (int64_t p = std::max<int64_t>(0, position - kWindow + 1); p <= position; ++p)
      logits[1] += floats(RingKeys)[s * ring + p % ring];
    logits[2] = floats(Cos)[position];
  }
  hook->callback(hook->context, 1);
}

/// Writes model.safetensors with `tensors` (name, dtype as safetensors spells
/// it, shape, bytes) into `folder`, the header padded to `alignTo` bytes.
struct StoredTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};
inline void writeCheckpoint(const std::string &folder, const std::vector<StoredTensor> &tensors,
                            size_t alignTo = 64) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const StoredTensor &tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  std::string text = header.dump();
  while ((text.size() + 8) % alignTo)
    text += ' ';
  const uint64_t size = text.size();
  std::filesystem::create_directories(folder);
  std::ofstream file(folder + "/model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char *>(&size), 8);
  file << text << data;
}

template <typename T> std::string bytesOf(const std::vector<T> &values) {
  return std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
}

/// A folder of its own for the running test, removed by the next run of it.
inline std::string testFolder() {
  const auto *test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder =
      testing::TempDir() + "graphc-" + test->test_suite_name() + "." + test->name();
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

/// Values of the toy's table: exact in bf16, distinct sums.
inline std::vector<float> table() { return {1, 2, 4, 8, 16, 32, 64, 128, 0.5f, 0.25f}; }

inline std::shared_ptr<const Model> model(Program toy = program()) {
  calls().clear();
  auto executable = Executable::create(std::move(toy), entry<false>, entry<true>, nullptr);
  EXPECT_TRUE(executable.ok()) << executable.status();
  const std::string folder = testFolder();
  writeCheckpoint(folder, {{"table.weight", "F32", {kVocab}, bytesOf(table())}});
  auto model = Model::open(*executable, folder);
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *model : nullptr;
}

/// What the toy computes for the last token of `ids`, from the definition.
inline std::vector<float> expected(const std::vector<int32_t> &ids) {
  std::vector<float> logits(kVocab);
  for (size_t p = 0; p < ids.size(); ++p) {
    logits[0] += table()[size_t(ids[p])];
    if (p + kWindow >= ids.size())
      logits[1] += table()[size_t(ids[p])];
  }
  logits[2] = float(std::cos(double(float(ids.size() - 1))));
  return logits;
}

} // namespace graphc::toy
