// Matrix products of every dtype pair, layout, phase and target against f64
// sums, in the interval of numerics T2 with the chain lengths that the emitters
// state; and bit by bit across rows, threads and phases (T8).
#include "KernelHarness.h"

#include "Reference/Arithmetic.h"
#include "passes/cpu/TileTable.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace graphc::test {
namespace {

struct Pair {
  DType x, kernel;
};
constexpr Pair kPairs[] = {{DType::F32, DType::F32},   {DType::F32, DType::BF16}, {DType::F32, DType::F16},
                           {DType::BF16, DType::BF16}, {DType::F16, DType::F16},
                           {DType::BF16, DType::F8E4M3FN}, {DType::F32, DType::F8E5M2}};
/// K and N.
constexpr std::pair<int64_t, int64_t> kShapes[] = {{1, 8},    {8, 1},   {20, 77},  {31, 3},
                                                   {32, 128}, {33, 77}, {64, 128}, {172, 77},
                                                   {96, 77}, {160, 16}, {32, 300}};
constexpr std::pair<int64_t, int64_t> kFewShapes[] = {{1, 77}, {33, 3}, {172, 128}};
constexpr std::pair<int64_t, int64_t> kOneShape[] = {{172, 77}};
constexpr int64_t kRows[] = {1, 2, 3, 5, 6, 7, 13, 40};
constexpr int64_t kTileRowCounts[] = {1, 2, 3, 7, 16, 31, 48, 71}; // of products by tiles: one, two, four; many and 7

std::string name(DType dtype) { return std::string(info(dtype).name); }

/// Interior and its rounding to x's type after a bias is added: two destinations.
std::string matmulText(const std::string &function, int64_t k, int64_t n, Pair types, bool inputMajor, const char *phase,
                       const std::string &tile = "") {
  const std::string x = name(types.x), w = name(types.kernel), columns = std::to_string(n), depth = std::to_string(k);
  const std::string xType = "memref<?x" + depth + "x" + x + ">", bType = "memref<" + columns + "x" + x + ">";
  const std::string wType = "memref<" + (inputMajor ? depth + "x" + columns : columns + "x" + depth) + "x" + w + ">";
  const std::string interior = "memref<?x" + columns + "xf32>", yType = "memref<?x" + columns + "x" + x + ">";
  std::string text = "func.func @" + function + "(%t: index, %n: index, %x: " + xType + ", %w: " + wType + ", %b: " + bType +
                     ", %i: " + interior + ", %y: " + yType + ") attributes {llvm.emit_c_interface} {\n" +
                     "  kernel.matmul ins(%x, %w : " + xType + ", " + wType + ") fused(%b : " + bType + ") outs(%i, %y : " +
                     interior + ", " + yType + ") attributes {" + (inputMajor ? "input_major, " : "") +
                     "phase = #kernel.phase<" + phase + ">, layers = [\"m\"]" + tile + "} {\n  ^bb0(%acc: f32, %bias: " + x + "):\n";
  if (types.x == DType::F32)
    text += "    %1 = arith.addf %acc, %bias : f32\n    kernel.yield %acc, %1 : f32, f32\n";
  else
    text += "    %0 = arith.extf %bias : " + x + " to f32\n    %1 = arith.addf %acc, %0 : f32\n" +
            "    %2 = arith.truncf %1 : f32 to " + x + "\n    kernel.yield %acc, %2 : f32, " + x + "\n";
  return text + "  }\n  return\n}\n";
}

/// The longest chain of roundings: as EmitMatmul.cpp, EmitInputMajorMatmul.cpp and
/// EmitTileMatmul.cpp say.
int64_t chain(int64_t k, Pair types, bool inputMajor, const Target &target, bool byTiles) {
  const bool dot = target.bf16Dot && types.x == DType::BF16 && types.kernel == DType::BF16;
  const int64_t lanes = target.lanes(), product = dot || target.fma ? 0 : 1;
  if (byTiles)
    return k / kernel::kTileDepth + 17;
  if (inputMajor)
    return (dot ? 2 * ((k + 1) / 2) : k) + product;
  const int64_t steps = dot ? 2 * ((k + 2 * lanes - 1) / (2 * lanes)) : (k + lanes - 1) / lanes;
  return steps + product + int64_t(std::log2(lanes));
}

struct Problem {
  Problem(int64_t k, int64_t n, Pair types, bool inputMajor, int64_t maxRows, uint64_t seed)
      : engine(seed), k(k), n(n), maxRows(maxRows) {
    x = Operand(types.x, maxRows, k).random(engine);
    kernel = (inputMajor ? Operand(types.kernel, k, n) : Operand(types.kernel, n, k)).random(engine);
    bias = Operand(types.x, 0, n).random(engine);
    for (int64_t m = 0; m < maxRows; ++m)
      for (int64_t column = 0; column < n; ++column) {
        double sum = 0, size = 0;
        for (int64_t i = 0; i < k; ++i) {
          const double term = x.get(m, i) * (inputMajor ? kernel.get(i, column) : kernel.get(column, i));
          sum += term;
          size += std::fabs(term);
        }
        sums.push_back(sum);
        sizes.push_back(size);
      }
  }

  /// Checks `rows` rows of what a kernel wrote.
  void check(const Operand &interior, const Operand &y, int64_t rows, int64_t h) const {
    int64_t outside = 0, different = 0, wrong = 0;
    for (int64_t m = 0; m < rows; ++m)
      for (int64_t column = 0; column < n; ++column) {
        const double centre = sums[m * n + column], value = interior.get(m, column);
        const double bound = reference::chainError(h) * sizes[m * n + column] + double(2 * k) * reference::kFlush;
        outside += !(std::fabs(value - centre) <= bound);
        const double b = bias.get(0, column);
        wrong += y.get(m, column) != roundTo(y.dtype, float(float(value) + float(b)));
        different += y.get(m, column) != roundTo(y.dtype, float(float(centre) + float(b)));
      }
    EXPECT_EQ(outside, 0) << rows << " rows";
    EXPECT_EQ(wrong, 0) << "epilogue, " << rows << " rows";
    if (byteSize(y.dtype) == 2)
      EXPECT_LE(different, rows * n / 100 + 2); // T4
    for (int64_t m = rows; m < maxRows; ++m)
      for (int64_t column = 0; column < n; ++column)
        EXPECT_TRUE(std::isnan(interior.get(m, column)) && std::isnan(y.get(m, column))) << "wrote row " << m;
    EXPECT_TRUE(interior.canariesIntact() && y.canariesIntact());
  }

  std::mt19937_64 engine;
  int64_t k, n, maxRows;
  Operand x{DType::F32, 0, 1}, kernel{DType::F32, 0, 1}, bias{DType::F32, 0, 1};
  std::vector<double> sums, sizes; // (maxRows, n)
};

struct Results {
  Results(const Problem &problem, DType dtype) : interior(DType::F32, problem.maxRows, problem.n), y(dtype, problem.maxRows, problem.n) {}
  Operand interior, y;
};

Results run(const CompiledKernels &kernels, const std::string &function, Problem &problem, DType dtype, int64_t rows,
            int threads) {
  Results results(problem, dtype);
  kernels.run(function, threads, {{&problem.x, rows}, {&problem.kernel, problem.kernel.rows}, {&problem.bias, problem.n},
                                  {&results.interior, rows}, {&results.y, rows}});
  return results;
}

/// NaN for all that should be equal is a failure elsewhere.
void expectSameRow(const Operand &a, int64_t rowA, const Operand &b, int64_t rowB) {
  for (int64_t column = 0; column < a.columns; ++column)
    ASSERT_EQ(a.get(rowA, column), b.get(rowB, column)) << "row " << rowA << ", column " << column;
}

class MatmulTest : public testing::TestWithParam<const Target *> {
protected:
  void check(Pair types, bool inputMajor, std::span<const std::pair<int64_t, int64_t>> shapes,
             const std::string &tile = "") {
    const Target &target = *GetParam();
    std::string text;
    for (auto [k, n] : shapes)
      for (const char *phase : {"prefill", "decode"})
        text += matmulText(phase + std::to_string(k) + "x" + std::to_string(n), k, n, types, inputMajor, phase, tile);
    CompiledKernels kernels(text, target);
    ASSERT_TRUE(kernels);
    for (auto [k, n] : shapes) {
      SCOPED_TRACE(testing::Message() << name(types.x) << " x " << name(types.kernel) << ", K " << k << ", N " << n
                                      << (inputMajor ? ", input major" : ""));
      const std::string shape = std::to_string(k) + "x" + std::to_string(n);
      const bool tiles = target.bf16Tiles && types.x == DType::BF16 && types.kernel == DType::BF16 && !inputMajor &&
                         k % kernel::kTileDepth == 0 && n >= kernel::kTileRows;
      const std::span<const int64_t> rowCounts = tiles ? std::span<const int64_t>(kTileRowCounts) : kRows;
      Problem problem(k, n, types, inputMajor, rowCounts.back(), uint64_t(k * 1000 + n));
      const auto check = [&](const Results &results, int64_t rows) {
        problem.check(results.interior, results.y, rows, chain(k, types, inputMajor, target, tiles && rows > kernel::kDotRows));
      };
      // Few rows have another order of sums where more are multiplied by tiles.
      Results all = run(kernels, "prefill" + shape, problem, types.x, problem.maxRows, 1);
      Results few = run(kernels, "prefill" + shape, problem, types.x, kernel::kDotRows, 1);
      check(all, problem.maxRows);
      int threads = 1;
      for (int64_t rows : rowCounts)
        for (std::string phase : {"prefill", "decode"}) {
          Results some = run(kernels, phase + shape, problem, types.x, rows, threads = threads % 5 + 1);
          check(some, rows);
          for (int64_t m = 0; m < rows; ++m)
            expectSameRow(some.interior, m, tiles && rows <= kernel::kDotRows ? few.interior : all.interior, m);
        }
    }
  }
};

TEST_P(MatmulTest, OutputMajor) {
  for (Pair types : kPairs)
    check(types, /*inputMajor=*/false, kShapes);
}

TEST_P(MatmulTest, InputMajor) {
  for (Pair types : kPairs)
    check(types, /*inputMajor=*/true, kFewShapes);
}

TEST_P(MatmulTest, OtherTiles) {
  for (Pair types : {Pair{DType::BF16, DType::BF16}, Pair{DType::F32, DType::BF16}}) {
    check(types, false, kOneShape, ", tile = #kernel.tile<rows = [3, 1], cols = 12, unroll = 2, block = 24, depth = 64, prefetch = 64>");
    check(types, false, kOneShape, ", tile = #kernel.tile<rows = [1], cols = 1, unroll = 1, block = 16, depth = 32, prefetch = 0>");
    check(types, true, kOneShape, ", tile = #kernel.tile<rows = [5, 1], cols = 32, unroll = 1, block = 32, depth = 0, prefetch = 0>");
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, MatmulTest, testing::ValuesIn(hostTargets()), [](const auto &info) {
  std::string name(info.param->name);
  std::ranges::replace(name, '-', '_');
  return name;
});

} // namespace
} // namespace graphc::test
