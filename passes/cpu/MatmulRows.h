// What the two forms of matrix product share.
#pragma once

#include "passes/cpu/VectorEmitter.h"

namespace graphc::kernel {

/// Whether pairs of bf16 go to the dot instruction.
bool usesDot(MatmulOp op, const Target &target);
/// Covers rows [0, rows) with tiles of the heights in `tiles`, the last of which is
/// 1, greedily: calls `body(first row, height)` in a loop for each height.
void forRowTiles(VectorEmitter &e, mlir::Value rows, llvm::ArrayRef<int64_t> tiles,
                 llvm::function_ref<void(mlir::Value, int64_t)> body);
/// The product with a kernel stored (K, N).
void emitInputMajorMatmul(MatmulOp op, const Target &target);

} // namespace graphc::kernel
