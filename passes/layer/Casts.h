// What the passes that make casts share: a cast with its reason, and types that
// follow operands.
#pragma once

#include "IR/Counters.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"

namespace graphc::layer {

/// Who asks for a cast: the key of a policy or "pin", and a layer, or a side of
/// its slot. `pass` is the flag of the pass that makes it.
struct CastRequest {
  llvm::StringRef key, layer, pass;
};

/// `value` in `element`: itself, or a new cast at the builder's place with the
/// reason of `request` (IR/CastReason.h). Counts new casts in `made`.
mlir::Value castTo(mlir::OpBuilder &builder, mlir::Value value, mlir::Type element, CastRequest request,
                   Counter &made);

/// Casts the rows that `op` stores to the types of its slot, for as far as that
/// is pinned to types without scales. `attention` is the layer that reads them.
void castRowsToPin(CacheOp op, llvm::StringRef attention, llvm::StringRef pass, Counter &made);

/// Gives containers, optional values and caches the types that follow from
/// their operands.
void inferStructuralTypes(mlir::Operation &op);

/// The joint reasons of two casts that `pass` makes one, without repetitions, in
/// order; `pass` is added to each.
mlir::ArrayAttr joinReasons(mlir::ArrayAttr first, mlir::ArrayAttr second, llvm::StringRef pass);

} // namespace graphc::layer
