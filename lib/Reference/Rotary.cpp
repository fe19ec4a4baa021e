// Rotary embedding: y = x * cos + rotated(x) * sin, a sum of two f32 products
// over model-data tables. Dimensions beyond the tables' pass through.
#include "Reference/Layers.h"

#include <cmath>

namespace graphc::reference {

Tensor rotaryEmbedding(const Arithmetic &arithmetic, const Tensor &x, const Tensor &positions,
                       const RopeTables &tables, Rounding rounding) {
  const int64_t heads = x.dim(1), tokens = x.dim(2), headDim = x.dim(3), half = tables.dim / 2;
  Result y(arithmetic, rounding, x.shape);
  // y[i] = x[i] * c + x[j] * s, where s carries the sign.
  const auto rotate = [&](int64_t i, int64_t j, double c, double s) {
    const double a[2] = {x.data[i], x.data[j]}, b[2] = {c, s};
    const double moved = x.radiusAt(i) * std::fabs(c) + x.radiusAt(j) * std::fabs(s);
    const double centre = a[0] * c + a[1] * s;
    // One rounding for a product, one for the sum.
    const double bound = 2 * kUnit * (std::fabs(a[0] * c) + std::fabs(a[1] * s) + moved) + 4 * kFlush + moved;
    y.set(i, arithmetic.dot(a, b), centre, bound);
  };
  for (int64_t m = 0; m < x.rows(); ++m) { // m = (batch, head, token)
    const int64_t token = m % tokens, batch = m / (heads * tokens), first = m * headDim;
    const int64_t position = int64_t(positions.data[batch * tokens + token]);
    const int64_t rotated = position < 0 ? 0 : tables.dim;
    for (int64_t pair = 0; pair < rotated / 2; ++pair) {
      const int64_t i = first + (tables.interleaved ? 2 * pair : pair), j = tables.interleaved ? i + 1 : i + half;
      const double cos = arithmetic.round(rounding.interior, tables.cos[position * half + pair]);
      const double sin = arithmetic.round(rounding.interior, tables.sin[position * half + pair]);
      rotate(i, j, cos, -sin);
      rotate(j, i, cos, sin);
    }
    for (int64_t i = first + rotated; i < first + headDim; ++i)
      y.set(i, x.data[i], x.data[i], x.radiusAt(i));
  }
  return y.take();
}

} // namespace graphc::reference
