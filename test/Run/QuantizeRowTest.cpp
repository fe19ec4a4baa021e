// Rows on their way into an 8-bit cache, on every target: elements and scales are
// the interpreter's, bit by bit, and so are the exceptions of numerics Q1.
#include "KernelHarness.h"

#include "Reference/Quantize.h"
#include "graphc/IR/Kernel.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

namespace graphc::test {
namespace {

/// A decode step of one row for each of as many sequences, into a cache of one row.
std::string attentionText(DType rows, DType pin, int64_t width) {
  const std::string w = std::to_string(width), x = "memref<?x" + w + "x" + std::string(info(rows).name) + ">";
  const std::string element = pin == DType::I8 ? "i8" : std::string(info(pin).name);
  const std::string cache = "memref<?x1x?x" + w + "x" + element + ", " + std::to_string(cacheSpace(pin)) + ">";
  const std::string scales = "memref<?x1x?xf32, " + std::to_string(kScaleSpace) + ">", ints = "memref<?xi32>";
  return "func.func @step(%t: index, %n: index, %q: " + x + ", %k: " + x + ", %v: " + x + ", %ks: " + cache + ", %vs: " + cache +
         ", %a: " + scales + ", %b: " + scales + ", %s: " + ints + ", %l: " + ints + ", %y: " + x +
         ") attributes {llvm.emit_c_interface} {\n  kernel.cached_attention ins(%q, %k, %v : " + x + ", " + x + ", " + x +
         ") cache(%ks, %vs at %s, %l : " + cache + ", " + cache + ", " + ints + ", " + ints + ") key_scales(%a : " + scales +
         ") value_scales(%b : " + scales + ") outs(%y : " + x +
         ") {scale = 0.5, causal, phase = #kernel.phase<decode>, layers = [\"a\"]}\n  return\n}\n";
}

/// Rows of all sizes, and those that Q1 names.
Operand hardRows(DType dtype, int64_t count, int64_t width) {
  std::mt19937_64 engine(uint64_t(width) * 31 + uint64_t(dtype));
  Operand x = Operand(dtype, count, width).random(engine);
  const int range = dtype == DType::F16 ? 14 : 118;
  for (int64_t row = 0; row < count; ++row) {
    const int exponent = int(engine() % uint64_t(2 * range)) - range;
    for (int64_t column = 0; column < width; ++column)
      x.set(row, column, std::ldexp(x.get(row, column), exponent));
  }
  const double special[] = {NAN, INFINITY, -INFINITY, 0x1p-100, 0x1.fcp-101, info(dtype).greatest, -info(dtype).greatest};
  for (int64_t i = 0; i < int64_t(std::size(special)); ++i) {
    for (int64_t column = 0; column < width; ++column)
      x.set(i, column, i < 3 ? double(column) : 0);
    x.set(i, i % width, special[i]);
  }
  return x;
}

class QuantizeRow : public testing::TestWithParam<const Target *> {
protected:
  void check(DType dtype, DType pin, int64_t width) {
    SCOPED_TRACE(testing::Message() << info(dtype).name << " to " << info(pin).name << ", width " << width);
    constexpr int64_t kCount = 300;
    const CompiledKernels kernels(attentionText(dtype, pin, width), *GetParam());
    ASSERT_TRUE(kernels);
    Operand x = hardRows(dtype, kCount, width), y(dtype, kCount, width), starts(DType::I32, 0, kCount + 1), lengths(DType::I32, 0, kCount);
    for (int64_t i = 0; i <= kCount; ++i)
      starts.set(0, i, double(i));
    for (int64_t i = 0; i < kCount; ++i)
      lengths.set(0, i, 0);
    std::vector<Operand> sides;
    for (int side = 0; side < 2; ++side)
      sides.push_back(Operand(pin, kCount, width).shaped({kCount, 1, 1, width}));
    for (int side = 0; side < 2; ++side)
      sides.push_back(Operand(DType::F32, kCount, 1).shaped({kCount, 1, 1}));
    kernels.run("step", 3, {{&x, kCount}, {&x, kCount}, {&x, kCount}, {&sides[0], kCount}, {&sides[1], kCount},
                            {&sides[2], kCount}, {&sides[3], kCount}, {&starts, kCount + 1}, {&lengths, kCount}, {&y, kCount}});
    reference::Tensor rows(dtype, {kCount, 1, 1, width});
    for (int64_t i = 0; i < rows.size(); ++i)
      rows.data[i] = x.get(i / width, i % width);
    const auto [elements, scales] = reference::quantize(reference::Arithmetic(), pin, rows);
    int64_t wrong = 0;
    for (int side = 0; side < 2; ++side) {
      for (int64_t row = 0; row < kCount; ++row) {
        const double scale = sides[2 + side].get(row, 0);
        wrong += !(scale == scales.data[row] || (std::isnan(scale) && std::isnan(scales.data[row])));
        for (int64_t column = 0; column < width; ++column)
          wrong += sides[side].get(row, column) != elements.data[row * width + column];
      }
      EXPECT_TRUE(sides[side].canariesIntact() && sides[2 + side].canariesIntact());
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(std::isnan(y.get(0, 0))) << "a row that is not finite shows";
  }
};

} // namespace

TEST_P(QuantizeRow, isTheInterpretersBitByBit) {
  for (DType pin : {DType::I8, DType::F8E4M3FN, DType::F8E5M2})
    for (int64_t width : {16, 20, 64})
      check(DType::F32, pin, width);
  check(DType::BF16, DType::I8, 33);
  check(DType::F16, DType::F8E4M3FN, 8);
}

INSTANTIATE_TEST_SUITE_P(Targets, QuantizeRow, testing::ValuesIn(hostTargets()), [](const auto &info) {
  std::string name(info.param->name);
  std::ranges::replace(name, '-', '_');
  return name;
});

} // namespace graphc::test
