// Attention of many tokens, by tiles and by vectors: within the reference's bounds whatever
// is seen (causal, window, ring, all rows of a source), bit by bit the same on any
// number of threads, and independent of keys that a token does not see.
#include "KernelHarness.h"

#include "Reference/Comparison.h"
#include "Reference/Layers.h"
#include "graphc/IR/Kernel.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace graphc::test {
namespace {

struct Shape {
  int64_t kvHeads, group, headDim;
  DType keys = DType::BF16, values = DType::BF16;
  int64_t window = 0; ///< 0: none.
  bool causal = true; ///< Else the rows are a source's.
  int64_t heads() const { return kvHeads * group; }
  bool hasScales() const { return byteSize(keys) == 1; } ///< All 1, of both sides.
};

/// Rows that each sequence of a batch had before, and its new tokens. Blocks end within the
/// tokens, keys within a tile; a sequence may have one token, none, or nothing that it sees. The
/// last one fills the cache, which ends at an inaccessible page within a tile.
struct Sequence {
  int64_t length, tokens;
};
constexpr Sequence kBatch[] = {{0, 70}, {77, 1}, {5, 0}, {0, 3}, {110, 40}};
constexpr Sequence kSources[] = {{64, 1}, {5, 0}, {0, 40}, {1, 3}, {150, 5}};
/// Rows of a cache of all sequences.
constexpr int64_t kCapacity = 150;

std::string attentionText(const Shape &shape) {
  const std::string width = std::to_string(shape.kvHeads * shape.headDim), x = "memref<?x" + std::to_string(shape.heads() * shape.headDim) + "xbf16>";
  const std::string ints = "memref<?xi32>";
  const auto row = [&](DType dtype) { return "memref<?x" + width + "x" + std::string(info(dtype).name) + ">"; };
  const auto cache = [&](DType dtype) {
    return "memref<?x" + std::to_string(shape.kvHeads) + "x?x" + std::to_string(shape.headDim) + "x" +
           std::string(info(dtype).name) + ", " + std::to_string(cacheSpace(dtype)) + ">";
  };
  const std::string k = row(shape.keys), v = row(shape.values), ks = cache(shape.keys), vs = cache(shape.values);
  const std::string scales = "memref<?x" + std::to_string(shape.kvHeads) + "x?xf32, " + std::to_string(kScaleSpace) + ">";
  return "func.func @prefill(%t: index, %n: index, %q: " + x + (shape.causal ? ", %k: " + k + ", %v: " + v : "") + ", %ks: " + ks +
         ", %vs: " + vs + (shape.hasScales() ? ", %a: " + scales + ", %b: " + scales : "") + ", %s: " + ints + ", %l: " + ints + ", %y: " + x +
         ") attributes {llvm.emit_c_interface} {\n  kernel.cached_attention ins(%q" +
         (shape.causal ? ", %k, %v : " + x + ", " + k + ", " + v : " : " + x) + ") cache(%ks, %vs at %s, %l : " + ks + ", " + vs + ", " +
         ints + ", " + ints + ")" + (shape.hasScales() ? " key_scales(%a : " + scales + ") value_scales(%b : " + scales + ")" : "") + " outs(%y : " + x + ") {scale = 0.25" + (shape.causal ? ", causal" : "") +
         (shape.window ? ", ring, window = " + std::to_string(shape.window) + " : i64" : "") +
         ", phase = #kernel.phase<prefill>, layers = [\"a\"]}\n  return\n}\n";
}

/// A batch, and its cache: rows of old and new tokens, NaN behind them.
class Problem {
public:
  explicit Problem(const Shape &shape) : shape(shape), batch(shape.causal ? kBatch : kSources) {
    std::mt19937_64 engine(uint64_t(shape.headDim * 31 + shape.group));
    for (const Sequence &sequence : batch) {
      starts.push_back(tokens);
      tokens += sequence.tokens;
      for (auto [side, dtype] : {std::pair(&keys, shape.keys), std::pair(&values, shape.values)})
        side->push_back(Operand(dtype, shape.kvHeads * kCapacity, shape.headDim).random(engine));
    }
    starts.push_back(tokens);
    query = Operand(DType::BF16, tokens, shape.heads() * shape.headDim).random(engine);
  }

  int64_t rowsOf(size_t sequence) const { return batch[sequence].length + (shape.causal ? batch[sequence].tokens : 0); }

  /// Runs on `threads` threads in turn: a first time for the new rows, which a thread may need of another.
  std::vector<double> run(const CompiledKernels &kernels, int threads) {
    const int64_t count = int64_t(batch.size()), width = shape.kvHeads * shape.headDim;
    const int64_t ring = shape.window ? (shape.window + 40 + 63) / 64 * 64 : kCapacity;
    Operand newKeys(shape.keys, tokens, width), newValues(shape.values, tokens, width), out(DType::BF16, tokens, shape.heads() * shape.headDim);
    Operand at(DType::I32, 0, count + 1), lengths(DType::I32, 0, count);
    std::vector<Operand> caches;
    for (auto [side, rows] : {std::pair(&keys, &newKeys), std::pair(&values, &newValues)}) {
      const DType dtype = (*side)[0].dtype;
      Operand cache(dtype, count * shape.kvHeads * ring, shape.headDim);
      for (int64_t s = 0; s < count; ++s)
        for (int64_t h = 0; h < shape.kvHeads; ++h)
          for (int64_t row = 0; row < rowsOf(s); ++row)
            for (int64_t d = 0; d < shape.headDim; ++d) {
              const double value = (*side)[s].get(h * kCapacity + row, d);
              if (row < batch[s].length)
                cache.set((s * shape.kvHeads + h) * ring + row % ring, d, value);
              else
                rows->set(starts[s] + row - batch[s].length, h * shape.headDim + d, value);
            }
      caches.push_back(std::move(cache).shaped({count, shape.kvHeads, ring, shape.headDim}));
    }
    std::vector<Operand> scales;
    for (int side = 0; side < 2 && shape.hasScales(); ++side) {
      Operand ones(DType::F32, count * shape.kvHeads, ring);
      for (int64_t row = 0; row < ones.rows; ++row)
        for (int64_t i = 0; i < ring; ++i)
          ones.set(row, i, 1);
      scales.push_back(std::move(ones).shaped({count, shape.kvHeads, ring}));
    }
    for (int64_t s = 0; s <= count; ++s)
      at.set(0, s, double(starts[s]));
    for (int64_t s = 0; s < count; ++s)
      lengths.set(0, s, double(batch[s].length));
    std::vector<std::pair<Operand *, int64_t>> operands = {{&query, tokens}};
    if (shape.causal)
      operands.insert(operands.end(), {{&newKeys, tokens}, {&newValues, tokens}});
    operands.insert(operands.end(), {{&caches[0], 0}, {&caches[1], 0}});
    for (Operand &ones : scales)
      operands.emplace_back(&ones, 0);
    operands.insert(operands.end(), {{&at, count + 1}, {&lengths, count}, {&out, tokens}});
    for (int i = 0; i < 2; ++i)
      kernels.run("prefill", threads, operands);
    EXPECT_TRUE(out.canariesIntact() && caches[0].canariesIntact() && caches[1].canariesIntact());
    std::vector<double> result;
    for (int64_t token = 0; token < tokens; ++token)
      for (int64_t column = 0; column < shape.heads() * shape.headDim; ++column)
        result.push_back(out.get(token, column));
    return result;
  }

  /// y of a sequence: (1, heads, tokens, headDim) with its bounds.
  reference::Tensor expected(size_t s) const {
    const int64_t rows = rowsOf(s), count = batch[s].tokens, headDim = shape.headDim;
    reference::Tensor q(DType::BF16, {1, shape.heads(), count, headDim}), at(DType::I32, {1, count}), places(DType::I32, {1, rows});
    reference::Tensor k(DType::BF16, {1, shape.kvHeads, rows, headDim}), v = k;
    for (int64_t t = 0; t < count; ++t) {
      at.data[t] = double(batch[s].length + t);
      for (int64_t h = 0; h < shape.heads(); ++h)
        for (int64_t d = 0; d < headDim; ++d)
          q.data[(h * count + t) * headDim + d] = query.get(starts[s] + t, h * headDim + d);
    }
    for (int64_t row = 0; row < rows; ++row) {
      places.data[row] = double(row);
      for (int64_t h = 0; h < shape.kvHeads; ++h)
        for (int64_t d = 0; d < headDim; ++d)
          for (auto [side, tensor] : {std::pair(&keys, &k), std::pair(&values, &v)})
            tensor->data[(h * rows + row) * headDim + d] = roundTo(DType::BF16, (*side)[s].get(h * kCapacity + row, d));
    }
    return reference::attention(reference::Arithmetic(reference::Mode::PolicyExact, 0, /*bounds=*/true), q, k, v, at, places,
                                {.scale = 0.25, .causal = shape.causal, .window = shape.window, .compute = DType::BF16},
                                {.output = DType::BF16})
        .y;
  }

  void check(const std::vector<double> &y) {
    for (size_t s = 0; s < batch.size(); ++s) {
      if (references.size() == s)
        references.push_back(expected(s));
      std::vector<double> actual;
      for (int64_t h = 0; h < shape.heads(); ++h)
        for (int64_t t = 0; t < batch[s].tokens; ++t)
          for (int64_t d = 0; d < shape.headDim; ++d)
            actual.push_back(y[((starts[s] + t) * shape.heads() + h) * shape.headDim + d]);
      const reference::Agreement agreement = reference::compare(references[s], actual);
      EXPECT_TRUE(agreement.holds(DType::BF16))
          << "sequence " << s << ": " << agreement.outside << " of " << agreement.count << " outside, " << agreement.different
          << " different, worst " << agreement.worst << " bounds, first " << agreement.first;
    }
  }

  Shape shape;
  std::span<const Sequence> batch;
  int64_t tokens = 0;
  std::vector<int64_t> starts;
  std::vector<Operand> keys, values; // of each sequence: (kvHeads * kCapacity, headDim)
  Operand query{DType::F32, 0, 1};
  std::vector<reference::Tensor> references; // of each sequence, once they are asked for
};

class Attention : public testing::TestWithParam<const Target *> {};

/// Weaker targets share the form of those without tiles, and round slowly.
std::vector<const Target *> targetsOfBf16() {
  std::vector<const Target *> targets = hostTargets();
  std::erase_if(targets, [](const Target *target) { return !target->bf16Dot; });
  return targets;
}

} // namespace

TEST_P(Attention, isWithinItsBounds) {
  static std::vector<Problem> problems; // and their references, for all targets
  if (problems.empty())
    for (const Shape &shape : {Shape{2, 3, 64}, Shape{1, 1, 96, DType::F32, DType::F16},
                               Shape{2, 2, 32, DType::BF16, DType::BF16, /*window=*/40},
                               Shape{1, 20, 128, DType::F16, DType::F32, /*window=*/0, /*causal=*/false},
                               Shape{2, 3, 64, DType::F8E4M3FN, DType::F8E4M3FN, /*window=*/0, /*causal=*/false},
                               Shape{1, 2, 80, DType::F8E4M3FN, DType::F8E5M2, /*window=*/0, /*causal=*/false}})
      problems.emplace_back(shape);
  for (Problem &problem : problems) {
    const Shape &shape = problem.shape;
    SCOPED_TRACE(testing::Message() << shape.kvHeads << " x " << shape.group << " heads of " << shape.headDim);
    const CompiledKernels kernels(attentionText(shape), *GetParam());
    ASSERT_TRUE(kernels);
    const std::vector<double> y = problem.run(kernels, 1);
    problem.check(y);
    EXPECT_EQ(problem.run(kernels, 3), y) << "three threads";
  }
}

/// Keys and values that are not finite show where they are seen, and nowhere else.
TEST_P(Attention, doesNotDependOnKeysThatATokenDoesNotSee) {
  const Shape shape{1, 3, 64};
  const CompiledKernels kernels(attentionText(shape), *GetParam());
  ASSERT_TRUE(kernels);
  Problem problem(shape);
  const std::vector<double> finite = problem.run(kernels, 2);
  constexpr int64_t kKey = 50, kColumn = 5; // of the first sequence, whose tokens begin at position 0
  problem.values[0].set(kKey, kColumn, INFINITY);
  const std::vector<double> infinite = problem.run(kernels, 2);
  problem.keys[0].set(kKey, 0, NAN);
  const std::vector<double> nan = problem.run(kernels, 2);
  const int64_t width = shape.heads() * shape.headDim;
  for (int64_t token = 0; token < problem.tokens; ++token)
    for (int64_t column = 0; column < width; ++column) {
      const int64_t at = token * width + column;
      const bool isSeen = token >= kKey && token < kBatch[0].tokens;
      if (isSeen && column % shape.headDim == kColumn)
        ASSERT_EQ(infinite[at], INFINITY) << "token " << token;
      else
        ASSERT_EQ(infinite[at], finite[at]) << "token " << token << " column " << column;
      if (isSeen)
        ASSERT_TRUE(std::isnan(nan[at])) << "token " << token << " column " << column;
      else
        ASSERT_EQ(nan[at], finite[at]) << "token " << token << " column " << column;
    }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Attention);
INSTANTIATE_TEST_SUITE_P(Targets, Attention, testing::ValuesIn(targetsOfBf16()), [](const auto &info) {
  std::string name(info.param->name);
  std::ranges::replace(name, '-', '_');
  return name;
});

} // namespace graphc::test
