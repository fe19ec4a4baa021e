// Conversions of 8-bit floats on every target against the dtype table: all 256
// values widened, and f32 values rounded at and around every boundary, at random
// and at the special ones.
#include "KernelHarness.h"

#include "passes/cpu/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <gtest/gtest.h>

namespace graphc::test {
namespace {

constexpr int64_t kColumns = 1021; // not a multiple of any vector

/// One elementwise kernel from `from` to `to`.
std::string conversionText(DType from, DType to) {
  const std::string x(info(from).name), y(info(to).name), columns = std::to_string(kColumns);
  const std::string xType = "memref<?x" + columns + "x" + x + ">", yType = "memref<?x" + columns + "x" + y + ">";
  const std::string rounded = to == DType::F32 ? "    kernel.yield %v : f32\n"
                                               : "    %r = arith.truncf %v : f32 to " + y + "\n    kernel.yield %r : " + y + "\n";
  return "func.func @convert(%t: index, %n: index, %x: " + xType + ", %y: " + yType +
         ") attributes {llvm.emit_c_interface} {\n  kernel.elementwise ins(%x : " + xType + ") outs(%y : " + yType +
         ") attributes {layers = [\"c\"]} {\n  ^bb0(%v: f32):\n" + rounded + "  }\n  return\n}\n";
}

/// f32 values that show a wrong rounding to `dtype`: its values, the middles
/// between neighbours, what lies right beside those, specials, random bits.
std::vector<float> hardValues(DType dtype) {
  std::vector<float> values = {0.0f, INFINITY, NAN, 0x1p-149f, 0x1p-127f, 0x1.fffffep127f, std::bit_cast<float>(0x7f800001u)};
  float previous = 0;
  for (int bits = 1; bits < 0x80; ++bits) {
    const auto byte = uint8_t(bits);
    const float value = loadElement(dtype, &byte);
    const float next = std::isfinite(value) ? value : previous * 8 / 7; // about where the next would be
    const float middle = previous + (next - previous) / 2;
    for (float at : {next, middle, 480.0f, 464.0f, 61440.0f, 65536.0f})
      values.insert(values.end(), {at, std::nextafter(at, 0.0f), std::nextafter(at, INFINITY)});
    previous = next;
  }
  uint32_t state = 12345;
  for (int i = 0; i < 500000; ++i) {
    state = state * 1664525u + 1013904223u;
    values.push_back(std::bit_cast<float>(i % 2 ? state : (state & 0x87ffffffu) | 0x38000000u)); // or near the type's range
  }
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i)
    values.push_back(-values[i]);
  return values;
}

class Conversions : public testing::TestWithParam<const Target *> {};

} // namespace

TEST_P(Conversions, everyEightBitFloatIsWidenedExactly) {
  for (DType dtype : {DType::F8E4M3FN, DType::F8E5M2}) {
    const CompiledKernels kernels(conversionText(dtype, DType::F32), *GetParam());
    ASSERT_TRUE(kernels);
    Operand x(dtype, 1, kColumns), y(DType::F32, 1, kColumns);
    for (int64_t i = 0; i < kColumns; ++i) {
      const auto byte = uint8_t(i); // also in the part of a vector at the end
      x.set(0, i, loadElement(dtype, &byte));
    }
    kernels.run("convert", 1, {{&x, 1}, {&y, 1}});
    for (int64_t i = 0; i < kColumns; ++i) {
      const auto expected = float(x.get(0, i)), actual = float(y.get(0, i));
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(actual)
                                       : std::bit_cast<uint32_t>(actual) == std::bit_cast<uint32_t>(expected))
          << info(dtype).name << " byte " << i % 256 << ": got " << actual << ", expected " << expected;
    }
    EXPECT_TRUE(y.canariesIntact());
  }
}

/// 32 and 64 at once, as attention reads rows of a cache.
TEST(ByteTables, everyF8E4M3FNIsWidenedExactly) {
  const std::vector<const Target *> targets = hostTargets();
  const auto target = std::ranges::find_if(targets, [](const Target *target) { return target->byteTables; });
  if (target == targets.end())
    GTEST_SKIP() << "no target of this host looks bytes up";
  for (int64_t width : {32, 64}) {
    const auto emit = [&](mlir::ModuleOp module) {
      module->walk([&](kernel::ElementwiseOp op) {
        kernel::VectorEmitter e(op, **target);
        e.loop(e.index(0), e.index(kColumns / width * width), e.index(width), [&](mlir::Value column) {
          mlir::Value x = e.load(op.getX(), {e.index(0), column}, width);
          mlir::Value y = mlir::arith::ExtFOp::create(e.b, e.loc, mlir::VectorType::get({width}, e.b.getBF16Type()), x);
          for (int64_t from = 0; from < width; from += e.lanes()) {
            mlir::Value part = mlir::vector::ExtractStridedSliceOp::create(e.b, e.loc, y, {from}, {e.lanes()}, {1});
            e.store(e.widen(part), op.getOuts()[0], {e.index(0), e.add(column, from)});
          }
        });
        op.erase();
      });
    };
    const CompiledKernels kernels(conversionText(DType::F8E4M3FN, DType::F32), **target, emit);
    ASSERT_TRUE(kernels);
    Operand x(DType::F8E4M3FN, 1, kColumns), y(DType::F32, 1, kColumns);
    for (int64_t i = 0; i < kColumns; ++i)
      x.begin()[i] = char(i);
    kernels.run("convert", 1, {{&x, 1}, {&y, 1}});
    for (int64_t i = 0; i < kColumns / width * width; ++i) {
      const auto expected = float(x.get(0, i)), actual = float(y.get(0, i));
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(actual)
                                       : std::bit_cast<uint32_t>(actual) == std::bit_cast<uint32_t>(expected))
          << "byte " << i % 256 << " of " << width << " at once: got " << actual << ", expected " << expected;
    }
  }
}

TEST_P(Conversions, roundingToEightBitsIsTheTables) {
  for (DType dtype : {DType::F8E4M3FN, DType::F8E5M2}) {
    const CompiledKernels kernels(conversionText(DType::F32, dtype), *GetParam());
    ASSERT_TRUE(kernels);
    const std::vector<float> values = hardValues(dtype);
    const int64_t rows = (int64_t(values.size()) + kColumns - 1) / kColumns;
    Operand x(DType::F32, rows, kColumns), y(dtype, rows, kColumns);
    for (int64_t i = 0; i < rows * kColumns; ++i)
      x.set(i / kColumns, i % kColumns, values[size_t(i) % values.size()]);
    kernels.run("convert", 1, {{&x, rows}, {&y, rows}});
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows * kColumns; ++i) {
      const auto value = float(x.get(i / kColumns, i % kColumns));
      const double expected = roundTo(dtype, value), actual = y.get(i / kColumns, i % kColumns);
      const bool same = std::isnan(expected) ? std::isnan(actual)
                                             : actual == expected && std::signbit(actual) == std::signbit(expected);
      if (!same && ++wrong < 5)
        ADD_FAILURE() << info(dtype).name << " of " << value << ": got " << actual << ", expected " << expected;
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_TRUE(y.canariesIntact());
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, Conversions, testing::ValuesIn(hostTargets()), [](const auto &info) {
  std::string name(info.param->name);
  std::ranges::replace(name, '-', '_');
  return name;
});

} // namespace graphc::test
