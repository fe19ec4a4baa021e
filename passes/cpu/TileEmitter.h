// Building code for tiles: operands of 16 rows of 32 bf16, sums of 16 by 16 f32,
// and rows of pairs, which the right operand of a product must be.
#pragma once

#include "passes/cpu/VectorEmitter.h"

#include "mlir/Dialect/AMX/AMXDialect.h"

namespace graphc::kernel {

// Operands of tiles: 16 rows by 32 elements of the depth, times as many columns.
constexpr int64_t kTileRows = 16, kTileDepth = 32;
/// On an amx.tile_load: by the instruction that keeps L1 for others.
constexpr llvm::StringLiteral kStreams = "kernel.streams";

class TileEmitter {
public:
  using Value = mlir::Value;
  explicit TileEmitter(VectorEmitter &e);

  /// The operand, or the sums, at [row, column] of a memref in the default memory space.
  Value load(Value memref, Value row, Value column);
  /// An operand that passes once while others return: it leaves theirs in L1.
  Value loadStreaming(Value memref, Value row, Value column);
  Value loadSums(Value memref, Value row, Value column);
  Value zero();
  /// sums[m, n] + a[m, 2i + j] * b[i, 2n + j] over all i and j.
  Value multiply(Value a, Value b, Value sums);
  void store(Value sums, Value memref, Value row, Value column);

  /// 16 vectors of 16 elements of 32 bits, transposed.
  llvm::SmallVector<Value> transpose(llvm::SmallVector<Value> rows);
  /// 16 vectors of 32 bf16 as rows of pairs: packed[to + i, 2r + j] = rows[r][2i + j].
  void pack(llvm::ArrayRef<Value> rows, Value packed, Value to);

private:
  VectorEmitter &e;
  mlir::amx::TileType operand, sums;
};

} // namespace graphc::kernel
