// The four arithmetics in which a layer's definition can be evaluated. An op is
// written once against this class; it decides where a value is rounded and in
// what order a sum is taken (docs/Numerics.md, "Modes").
#pragma once

#include "Reference/Tensor.h"

#include <map>
#include <span>

namespace graphc::reference {

enum class Mode : uint8_t {
  PolicyExact, ///< Every rounding point; sums in f64, rounded once: the centre of all orders.
  Order,       ///< The same with f32 sums in a permuted order: what a correct kernel may give.
  Dot,         ///< Sums of bf16 products as vdpbf16ps takes them, bit by bit; other sums in f32.
  Tiles,       ///< The same as tdpbf16ps takes them, where it can: lengths that are multiples of 32.
  F64,         ///< No rounding point.
};

enum class Semantics : uint8_t {
  Graphc, ///< The interior is f32, the result is rounded once.
  Axon,   ///< Interior steps and the result are rounded to the compute type first.
};

/// Where an op rounds: rd_output(rd_interior(f32 value)). Graphc: interior = F32.
struct Rounding {
  DType interior = DType::F32;
  DType output = DType::F32;
};

/// Half an ulp of f32, relative.
inline constexpr double kUnit = 0x1p-24;
/// What N2 lets compiled code replace by zero lies below this.
inline constexpr double kFlush = 0x1p-126;

/// min(h, 6 sqrt h) u: relative error of a sum whose longest chain has h
/// roundings (Higham and Mary 2019; Ipsen and Zhou 2020).
double chainError(int64_t roundings);

/// Exact product-sum of one vdpbf16ps lane: two fused steps, the odd element
/// first, with subnormal operands and results replaced by zeros.
float dotPair(float accumulator, float a0, float a1, float b0, float b1);

/// An element of one tdpbf16ps: accumulator + (sum of even products + sum of odd
/// products), each sum of fused steps from zero over the 16 pairs, with subnormal
/// operands and results replaced by zeros. `a`, `b`: 32 values of bf16.
float dotTile(float accumulator, const float *a, const float *b);

class Arithmetic {
public:
  explicit Arithmetic(Mode mode = Mode::PolicyExact, uint64_t orderSeed = 0, bool bounds = false)
      : mode(mode), orderSeed(orderSeed), bounds(bounds && mode == Mode::PolicyExact) {}

  bool isF64() const { return mode == Mode::F64; }
  /// bf16 products by pairs, everything else in f32 in order.
  bool isDot() const { return mode == Mode::Dot || mode == Mode::Tiles; }
  /// True if results carry centre, bound and radius; PolicyExact only.
  bool hasBounds() const { return bounds; }

  /// rd_T(x); x itself in f64 mode.
  double round(DType type, double x) const { return isF64() ? x : roundTo(type, x); }
  double f32(double x) const { return isF64() ? x : double(float(x)); }
  /// rd_interior(f32(x)): an interior rounding point.
  double interior(const Rounding &rounding, double x) const { return round(rounding.interior, f32(x)); }
  /// x with its significand rounded to that of `type`; the exponent is free.
  double roundSignificand(DType type, double x) const;

  /// start + sum of a[k] * b[k]. PolicyExact and F64: the f64 sum; else f32.
  double dot(std::span<const double> a, std::span<const double> b, double start = 0, bool bothBf16 = false) const;
  double sum(std::span<const double> a) const;

private:
  const std::vector<int32_t> &order(int64_t n) const;

  Mode mode;
  uint64_t orderSeed;
  bool bounds;
  mutable std::map<int64_t, std::vector<int32_t>> orders; // one permutation a length
};

/// A float operand or parameter as a layer reads it: rd_type(x), radii too.
Tensor read(const Arithmetic &arithmetic, DType type, Tensor x);

/// Collects the elements of an op's result and rounds each once.
class Result {
public:
  Result(const Arithmetic &arithmetic, Rounding rounding, std::vector<int64_t> shape);
  /// `value`: as the mode computes it. `centre` and `bound`: read only if the
  /// arithmetic has bounds; N2's allowance for the result itself is added here.
  void set(int64_t i, double value, double centre, double bound);
  Tensor take() { return std::move(tensor); }

private:
  const Arithmetic &arithmetic;
  Rounding rounding;
  Tensor tensor;
};

} // namespace graphc::reference
