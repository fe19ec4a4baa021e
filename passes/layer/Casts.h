// What the passes that make casts share: a cast with its reason, and types that
// follow operands.
#pragma once

#include "IR/Counters.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"

namespace graphc::layer {

/// `value` in `element`: itself, or a new cast at the builder's place with the
/// reason "KEY=ELEMENT PATH". Counts new casts in `made`.
mlir::Value castTo(mlir::OpBuilder &builder, mlir::Value value, mlir::Type element, llvm::StringRef key,
                   llvm::StringRef path, Counter &made);

/// Casts the rows that `op` stores to the types of its slot, for as far as that
/// is pinned to types without scales. `path` names the attention.
void castRowsToPin(CacheOp op, llvm::StringRef path, Counter &made);

/// Gives containers, optional values and caches the types that follow from
/// their operands.
void inferStructuralTypes(mlir::Operation &op);

/// The joint reasons of two casts, without repetitions, in order.
mlir::ArrayAttr joinReasons(mlir::ArrayAttr first, mlir::ArrayAttr second);

} // namespace graphc::layer
