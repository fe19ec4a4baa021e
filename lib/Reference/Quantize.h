// Rows of 8-bit caches: a scale for each row of each head (numerics Q1, Q2).
#pragma once

#include "Reference/Arithmetic.h"

namespace graphc::reference {

/// The elements and scales of x (batch, kvHeads, tokens, headDim), values of the
/// compute type: elements of `pin` (int8, f8E4M3FN or f8E5M2) in x's shape, scales
/// f32 (batch, kvHeads, tokens). In f64 mode x itself, with scales of 1.
std::pair<Tensor, Tensor> quantize(const Arithmetic &arithmetic, DType pin, const Tensor &x);

} // namespace graphc::reference
