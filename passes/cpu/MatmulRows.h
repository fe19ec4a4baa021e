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
/// Where the first of some interior values stands.
struct InteriorPlace {
  mlir::Value row;
  int64_t column;
};
/// Applies the epilogue to `rows` rows from `row` on, columns [begin, end) of n, whose
/// interior values stand in interior[place.row + r, place.column + column - begin].
void storeRows(VectorEmitter &e, MatmulOp op, mlir::Value interior, InteriorPlace place, mlir::Value row, mlir::Value rows,
               mlir::Value begin, mlir::Value end, int64_t n);
/// The product by tiles of bf16 (usesTiles).
void emitTileMatmul(MatmulOp op, const Target &target);
/// The product with a kernel stored (K, N).
void emitInputMajorMatmul(MatmulOp op, const Target &target);

} // namespace graphc::kernel
