// Acceptance of numerics T1 and T4: results of compiled code against the
// interval that another correct kernel may reach.
#pragma once

#include "Reference/Tensor.h"

#include <span>

namespace graphc::reference {

struct Agreement {
  int64_t count = 0;
  int64_t outside = 0;   ///< Elements not within rd(x - B) .. rd(x + B) (T1).
  int64_t different = 0; ///< Elements other than the reference's.
  int64_t first = -1;    ///< Index of the first element outside.
  double worst = 0;      ///< Greatest |y - x| / B.

  /// T1 for every type; T4 for 16-bit ones: at most 1% differ, and two more so
  /// that small tensors do not fail by chance.
  bool holds(DType dtype) const;
};

/// True if `y` is a value that a correct kernel may give for element `i`. NaN
/// agrees with NaN only.
bool agrees(const Tensor &reference, int64_t i, double y);

/// Compares `actual` (as many as the reference's elements, its dtype's values)
/// element by element. A reference without bounds asks for equality.
Agreement compare(const Tensor &reference, std::span<const double> actual);

} // namespace graphc::reference
