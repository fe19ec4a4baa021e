// The functions that kernels compute, over any set of f32 inputs: compiled code
// against f64, in units of what docs/Numerics.md allows (T5).
#pragma once

#include "KernelHarness.h"

#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace graphc::test {

/// Exact values of one function, infinity as 2^128, and one over its allowed
/// errors; an element an input.
struct Expected {
  std::vector<double> exact, perAllowed;
};

/// A function of one argument, as some kernel computes it.
struct Function {
  std::string name;
  std::string epilogue;  ///< Over %x, yielding %y; empty if `emit` builds it.
  mlir::Value (*emit)(kernel::VectorEmitter &, mlir::Value);
  double unit;           ///< The table's bound in ulps; 0: the allowed error is a derived bound instead.
  bool (*isInput)(float);///< Where it is specified.
  void (*expect)(std::span<const float> x, Expected &expected);
};

/// exp, exp2 on [0, 1), tanh, erf, 1/sqrt; silu, gelu, gelu_tanh.
std::span<const Function> functions();

/// The greatest error of one function on one target.
struct Worst {
  double error = 0;  ///< In units of what is allowed: right up to 1. Infinite if NaN is missing or invented.
  float input = 0;
  uint64_t inputs = 0;
};

/// A function compiled for each target that this host runs.
class FunctionSweep {
public:
  explicit FunctionSweep(const Function &function);

  /// Evaluates up to kBlock inputs on every target; those outside the domain are left out.
  void run(std::span<const float> inputs);

  static constexpr int64_t kBlock = 1 << 18;
  const std::vector<const Target *> targets = hostTargets();
  std::vector<Worst> worst; ///< (targets)

private:
  const Function &function;
  std::vector<std::unique_ptr<CompiledKernels>> kernels; ///< (targets)
  Operand x, y;
  Expected expected;
};

} // namespace graphc::test
