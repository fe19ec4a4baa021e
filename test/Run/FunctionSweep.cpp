// Formulas are those of passes/kernel/LowerLayers.cpp and of the emitters of norms
// and attention. The exact values are the C library's in f64, some 2^-50 off.
#include "FunctionSweep.h"

#include "Reference/Arithmetic.h"
#include "Reference/FunctionTable.h"
#include "Reference/Layers.h"
#include "passes/cpu/VectorEmitter.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <gtest/gtest.h>

namespace graphc::test {

using namespace reference;

namespace {
constexpr int64_t kColumns = 1 << 12;
constexpr FunctionTable kTable;

/// The distance of f32 values around x; of the smallest normal ones below those.
double ulp(double x) {
  const int64_t exponent = int64_t(std::bit_cast<uint64_t>(x) >> 52 & 0x7ff) - 1023;
  return std::bit_cast<double>(uint64_t(std::max<int64_t>(exponent, -126) - 23 + 1023) << 52);
}

/// Infinity counts as the first power of two that is no f32 value.
double finite(double x) { return x > 0x1p128 ? 0x1p128 : x < -0x1p128 ? -0x1p128 : x; }

/// `ulps` of the exact value; where that is subnormal, any value as small (N2).
template <double (*F)(double), double FunctionTable::*Ulps> void ulpsOf(std::span<const float> x, Expected &expected) {
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = finite(F(x[i]));
    expected.exact[i] = exact;
    expected.perAllowed[i] = 1 / (std::fabs(exact) < kFlush ? kFlush : kTable.*Ulps * ulp(exact));
  }
}

/// The interpreter's own bound.
template <Activation A> void boundOf(std::span<const float> x, Expected &expected) {
  const Tensor tensor(DType::F32, {int64_t(x.size())}, std::vector<double>(x.begin(), x.end()));
  Tensor y = activate(Arithmetic(Mode::PolicyExact, 0, /*bounds=*/true), A, tensor, {});
  for (size_t i = 0; i < x.size(); ++i) {
    expected.exact[i] = finite(y.centre[i]);
    expected.perAllowed[i] = 1 / (y.bound[i] + ulp(expected.exact[i]) / 2); // and the rounding of the result
  }
}

double exponential(double x) { return std::exp(x); }
double powerOfTwo(double x) { return std::exp2(x); }
double hyperbolicTangent(double x) { return std::tanh(x); }
double errorFunction(double x) { return std::erf(x); }
double reciprocalRoot(double x) { return 1 / std::sqrt(x); }

bool isAny(float) { return true; }
bool isFraction(float x) { return x >= 0 && x < 1; }
bool isNotNegative(float x) { return !(x < 0); }
bool isNotInfinite(float x) { return !std::isinf(x); }

mlir::Value emitFraction(kernel::VectorEmitter &e, mlir::Value x) { return e.exp2Fraction(x); }

const Function kFunctions[] = {
    {"exp", "%y = math.exp %x : f32", nullptr, kTable.exp, isAny, ulpsOf<exponential, &FunctionTable::exp>},
    {"exp2", "", emitFraction, kTable.exp2, isFraction, ulpsOf<powerOfTwo, &FunctionTable::exp2>},
    {"tanh", "%y = math.tanh %x : f32", nullptr, kTable.tanh, isAny, ulpsOf<hyperbolicTangent, &FunctionTable::tanh>},
    {"erf", "%y = math.erf %x : f32", nullptr, kTable.erf, isAny, ulpsOf<errorFunction, &FunctionTable::erf>},
    {"rsqrt", "%one = arith.constant 1.0 : f32\n%root = math.sqrt %x : f32\n%y = arith.divf %one, %root : f32", nullptr,
     kTable.rsqrt, isNotNegative, ulpsOf<reciprocalRoot, &FunctionTable::rsqrt>},
    {"silu",
     "%one = arith.constant 1.0 : f32\n%n = arith.negf %x : f32\n%e = math.exp %n : f32\n"
     "%s = arith.addf %e, %one : f32\n%y = arith.divf %x, %s : f32",
     nullptr, 0, isNotInfinite, boundOf<Activation::Silu>},
    {"gelu",
     "%c = arith.constant 0.70710678118654752 : f32\n%half = arith.constant 0.5 : f32\n%one = arith.constant 1.0 : f32\n"
     "%z = arith.mulf %x, %c : f32\n%e = math.erf %z : f32\n%h = arith.mulf %x, %half : f32\n"
     "%s = arith.addf %e, %one : f32\n%y = arith.mulf %h, %s : f32",
     nullptr, 0, isNotInfinite, boundOf<Activation::Gelu>},
    {"gelu_tanh",
     "%c = arith.constant 0.044715 : f32\n%r = arith.constant 0.79788456080286536 : f32\n"
     "%half = arith.constant 0.5 : f32\n%one = arith.constant 1.0 : f32\n%x2 = arith.mulf %x, %x : f32\n"
     "%x3 = arith.mulf %x2, %x : f32\n%cube = arith.mulf %x3, %c : f32\n%a = arith.addf %x, %cube : f32\n"
     "%z = arith.mulf %a, %r : f32\n%t = math.tanh %z : f32\n%h = arith.mulf %x, %half : f32\n"
     "%s = arith.addf %t, %one : f32\n%y = arith.mulf %h, %s : f32",
     nullptr, 0, isNotInfinite, boundOf<Activation::GeluTanh>},
};

std::string textOf(const Function &function) {
  const std::string type = "memref<?x" + std::to_string(kColumns) + "xf32>";
  return "func.func @f(%thread: index, %threads: index, %in: " + type + ", %out: " + type + ") attributes {llvm.emit_c_interface} {\n" +
         "kernel.elementwise ins(%in : " + type + ") outs(%out : " + type + ") attributes {layers = [\"f\"]} {\n^bb0(%x: f32):\n" +
         (function.emit ? "kernel.yield %x : f32\n" : function.epilogue + "\nkernel.yield %y : f32\n") + "}\nreturn\n}\n";
}

/// Does what emitElementwise does, with the function before the epilogue.
void emitInstead(mlir::ModuleOp module, const Target &target, const Function &function) {
  module->walk([&](kernel::ElementwiseOp op) {
    kernel::VectorEmitter e(op, target);
    e.pieces(e.dim(op.getX(), 0), kColumns, [&](mlir::Value row, mlir::Value from, mlir::Value to) {
      e.columns(from, to, kColumns, [&](mlir::Value column, int64_t count) {
        e.epilogue(op, function.emit(e, e.loadWide(op.getX(), {row, column}, count)), row, column, count);
      });
    });
    op.erase();
  });
}
} // namespace

std::span<const Function> functions() { return kFunctions; }

FunctionSweep::FunctionSweep(const Function &function)
    : worst(targets.size()), function(function), x(DType::F32, kBlock / kColumns, kColumns),
      y(DType::F32, kBlock / kColumns, kColumns) {
  for (const Target *target : targets) {
    const std::function<void(mlir::ModuleOp)> emit = [&](mlir::ModuleOp module) { emitInstead(module, *target, function); };
    kernels.push_back(std::make_unique<CompiledKernels>(textOf(function), *target, function.emit ? emit : nullptr));
  }
}

void FunctionSweep::run(std::span<const float> inputs) {
  auto *in = reinterpret_cast<float *>(x.begin());
  const size_t count = std::copy_if(inputs.begin(), inputs.end(), in, function.isInput) - in;
  if (count == 0)
    return;
  const int64_t rows = (int64_t(count) + kColumns - 1) / kColumns;
  std::fill(in + count, in + rows * kColumns, 0.5f);
  const std::span<const float> taken(in, count);
  expected.exact.resize(count);
  expected.perAllowed.resize(count);
  function.expect(taken, expected);
  const auto *out = reinterpret_cast<const float *>(y.begin());
  for (size_t t = 0; t < targets.size(); ++t) {
    if (!*kernels[t])
      continue; // a failure already
    kernels[t]->run("f", /*threads=*/1, {{&x, rows}, {&y, rows}});
    Worst &most = worst[t];
    most.inputs += count;
    auto error = [&](size_t i) {
      const double exact = expected.exact[i], y = out[i];
      const double error = std::fabs(finite(y) - exact) * expected.perAllowed[i];
      const bool isNan = exact != exact, hasNan = y != y;
      return isNan != hasNan ? INFINITY : isNan ? 0 : error;
    };
    double greatest = 0;
    for (size_t i = 0; i < count; ++i)
      greatest = std::max(greatest, error(i));
    if (greatest <= most.error)
      continue;
    most.error = greatest;
    size_t i = 0;
    while (error(i) != greatest)
      ++i;
    most.input = in[i];
  }
}

} // namespace graphc::test
