// Rows of 8-bit caches: one row quantised on its way into the cache.
#pragma once

#include "passes/cpu/VectorEmitter.h"

namespace graphc::kernel {

/// Stores columns [column, column + headDim) of row `token` of `rows` (rows, width)
/// at `place` = (sequence, head, row) of `cache` (batch, kvHeads, maxLen, headDim),
/// int8, f8E4M3FN or f8E5M2, and their scale in `scales` (batch, kvHeads, maxLen):
/// numerics.md Q1 and Q2.
void quantizeRow(VectorEmitter &e, mlir::Value rows, mlir::Value token, mlir::Value column, mlir::Value cache,
                 mlir::Value scales, mlir::ArrayRef<mlir::Value> place);

} // namespace graphc::kernel
