// Dependences between the kernels of a flat step: each buffer has one writer,
// so the level of a kernel is one more than that of the latest writer it reads.
#pragma once

#include "mlir/IR/Operation.h"

#include "llvm/ADT/DenseMap.h"

namespace graphc::kernel {

/// The memref behind views.
mlir::Value memoryBehind(mlir::Value memref);

/// Levels of all ops of `block` that access memory; kernels of one level do
/// not depend on one another.
llvm::DenseMap<mlir::Operation *, int64_t> levelsOf(mlir::Block &block);

} // namespace graphc::kernel
