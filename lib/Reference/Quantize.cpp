// One row at a time: its greatest magnitude, the scale, the quotients. Where x is
// known within radii only, intervals give the radii of elements and scale.
#include "Reference/Quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace graphc::reference {

namespace {

/// A row and how far another kernel's may lie from it.
struct Quantizer {
  DType pin;
  double most = info(pin).greatest; // Q

  double scale(double m) const {
    if (!std::isfinite(m))
      return std::numeric_limits<double>::quiet_NaN();
    return m < 0x1p-100 ? 0 : float(float(m) / float(most));
  }
  double element(double x, double scale) const {
    if (!(scale > 0))
      return 0;
    return roundTo(pin, std::clamp(double(float(x) / float(scale)), -most, most));
  }
};

} // namespace

std::pair<Tensor, Tensor> quantize(const Arithmetic &arithmetic, DType pin, const Tensor &x) {
  const int64_t width = x.columns(), rows = x.rows();
  Tensor elements = x, scales(DType::F32, std::vector<int64_t>(x.shape.begin(), x.shape.end() - 1));
  elements.dtype = arithmetic.isF64() ? DType::F64 : pin;
  scales.radius.resize(x.radius.empty() ? 0 : rows);
  if (arithmetic.isF64()) {
    std::fill(scales.data.begin(), scales.data.end(), 1.0);
    return {elements, scales};
  }
  const Quantizer quantizer{pin};
  for (int64_t r = 0; r < rows; ++r) {
    double m = 0, least = 0, greatest = 0; // max |x|, and between what it may lie
    for (int64_t i = r * width; i < (r + 1) * width; ++i) {
      const double size = std::fabs(x.data[i]);
      m = size > m || std::isnan(size) ? size : m; // a NaN stays: nothing is greater
      least = std::max(least, size - x.radiusAt(i));
      greatest = std::max(greatest, size + x.radiusAt(i));
    }
    const double scale = scales.data[r] = quantizer.scale(m);
    for (int64_t i = r * width; i < (r + 1) * width; ++i)
      elements.data[i] = quantizer.element(x.data[i], scale);
    if (x.radius.empty() || !std::isfinite(m))
      continue;
    const double low = quantizer.scale(least), high = quantizer.scale(greatest);
    scales.radius[r] = std::max(high - scale, scale - low);
    for (int64_t i = r * width; i < (r + 1) * width; ++i) {
      double radius = low > 0 ? 0 : quantizer.most; // near 0 / 0 any element may come out
      for (double at : {x.data[i] - x.radiusAt(i), x.data[i] + x.radiusAt(i)})
        for (double by : {low, high})
          radius = std::max(radius, std::fabs(quantizer.element(at, by) - elements.data[i]));
      elements.radius[i] = radius;
    }
  }
  return {elements, scales};
}

} // namespace graphc::reference
