// The one table of how exact compiled code computes its functions. Kernels are
// tested against it over all f32 inputs; the bounds of numerics T2 follow from it.
#pragma once

namespace graphc::reference {

/// Greatest error in ulps of f32 (one ulp = 2^-23 relative at worst, so an entry
/// counts as 2 * ulps units of u = 2^-24).
struct FunctionTable {
  double exp2 = 2;  ///< On [0, 1), the fraction that attention raises.
  double exp = 2;   ///< Where the result is normal.
  double tanh = 7;  ///< Where the result is normal; 5 with fused multiply-adds.
  double erf = 7;   ///< The same.
  double rsqrt = 2; ///< 1 / sqrt(x) as one function of x.
  double divide = 1;
};
inline constexpr FunctionTable kFunctionTable;

/// Below this in magnitude silu may be any number of the same size: exp(-x)
/// overflows f32 at x = -88.7, where |x| exp(x) is at most this.
inline constexpr double kSiluFloor = 0x1p-118;

} // namespace graphc::reference
