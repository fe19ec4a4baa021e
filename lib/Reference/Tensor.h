// A dense tensor of the reference interpreter. Elements are doubles, which hold
// every value of every dtype exactly; beside them, when bounds are asked for,
// stands what other correct kernels may compute (docs/Numerics.md, "Bounds").
#pragma once

#include "Support/DType.h"

#include <cstdint>
#include <string>
#include <vector>

namespace graphc::reference {

struct Tensor {
  DType dtype = DType::F32;
  std::vector<int64_t> shape; ///< Row-major; empty for a scalar.
  std::vector<double> data;   ///< product(shape) values of `dtype`; i32 too.

  // Empty unless bounds are computed; else as many as `data`.
  std::vector<double> centre; ///< x: the result before its rounding.
  std::vector<double> bound;  ///< B: another correct kernel rounds a value within x - B .. x + B.
  std::vector<double> radius; ///< How far its rounded element may lie from `data`, inside a fused group.

  Tensor() = default;
  /// Zeros.
  Tensor(DType dtype, std::vector<int64_t> shape);
  Tensor(DType dtype, std::vector<int64_t> shape, std::vector<double> data);

  int64_t size() const { return int64_t(data.size()); }
  int64_t dim(int i) const { return shape[i < 0 ? shape.size() + i : i]; }
  /// Elements of a row of the last dimension, and the number of such rows.
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const { return columns() ? size() / columns() : 0; }

  double radiusAt(int64_t i) const { return radius.empty() ? 0 : radius[i]; }
  /// Makes `data` the truth for whoever reads it next: the edge of a kernel.
  void dropBounds();
};

/// Product of `shape`, or -1 if an entry is negative or the product passes 2^40.
int64_t elementCount(const std::vector<int64_t> &shape);

/// "f32 (2, 3, 64)".
std::string describe(const Tensor &tensor);

} // namespace graphc::reference
