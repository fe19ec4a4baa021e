// Matrix products: f64 (or f32) sums of exact products, one rounding each.
#include "Reference/Layers.h"

#include <cmath>

namespace graphc::reference {

/// (K, N) to (N, K).
static Tensor transposed(const Tensor &kernel) {
  const int64_t inputs = kernel.dim(0), outputs = kernel.dim(1);
  Tensor result(kernel.dtype, {outputs, inputs});
  for (int64_t k = 0; k < inputs; ++k)
    for (int64_t n = 0; n < outputs; ++n)
      result.data[n * inputs + k] = kernel.data[k * outputs + n];
  return result;
}

/// B of one product sum: the roundings of its chain, what N2 may flush, and what
/// the operands' own radii move.
static double dotBound(std::span<const double> a, std::span<const double> b, const double *radius, double bias,
                       int64_t roundings) {
  double magnitude = std::fabs(bias), flush = 2 * double(roundings) * kFlush, moved = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    const double product = std::fabs(a[k] * b[k]);
    magnitude += product;
    if (std::fabs(a[k]) < kFlush || std::fabs(b[k]) < kFlush)
      flush += product;
    if (radius)
      moved += radius[k] * std::fabs(b[k]);
  }
  return chainError(roundings) * (magnitude + moved) + flush + moved;
}

Tensor dense(const Arithmetic &arithmetic, const Tensor &x, const Tensor &kernel, const Tensor *bias, bool inputMajor,
             Rounding rounding) {
  if (inputMajor)
    return dense(arithmetic, x, transposed(kernel), bias, /*inputMajor=*/false, rounding);
  const int64_t inputs = kernel.dim(1), outputs = kernel.dim(0);
  const bool bothBf16 = x.dtype == DType::BF16 && kernel.dtype == DType::BF16;
  // Axon adds the bias to the rounded product, a second interior step.
  const bool biasApart = bias && rounding.interior != DType::F32;
  std::vector<int64_t> shape = x.shape;
  shape.back() = outputs;
  Result y(arithmetic, rounding, std::move(shape));
  for (int64_t m = 0; m < x.rows(); ++m) {
    const std::span row(x.data.data() + m * inputs, inputs);
    const double *radius = x.radius.empty() ? nullptr : x.radius.data() + m * inputs;
    for (int64_t n = 0; n < outputs; ++n) {
      const std::span weights(kernel.data.data() + n * inputs, inputs);
      const double offset = bias ? bias->data[n] : 0;
      double sum = arithmetic.dot(row, weights, biasApart ? 0 : offset, bothBf16);
      if (biasApart)
        sum = arithmetic.interior(rounding, sum) + offset;
      // Longest chain: a rounding for each product's sum, one for a product that
      // is not fused, one for the bias.
      const double bound = arithmetic.hasBounds() ? dotBound(row, weights, radius, offset, inputs + 2) : 0;
      y.set(m * outputs + n, sum, sum, bound);
    }
  }
  return y.take();
}

} // namespace graphc::reference
