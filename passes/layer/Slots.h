// Which attention reads which slot.
#pragma once

#include "graphc/IR/Layer.h"

#include "llvm/ADT/MapVector.h"

namespace graphc::layer {

/// One slot of a cache argument.
struct Slot {
  mlir::BlockArgument root;
  int64_t block;
  bool cross;
  AttentionCacheType type;
  llvm::SmallVector<PolicyLayer> readers; ///< The attentions that read it, in order.
  /// The name of the first reader, or "layers.N.self_attention" by convention.
  std::string name;
};

/// The slots of all cache arguments of `graph`, in order.
llvm::SmallVector<Slot> collectSlots(GraphOp graph);

} // namespace graphc::layer
