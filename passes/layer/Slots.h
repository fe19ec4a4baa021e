// Where a cache value comes from, and which attention reads which slot.
#pragma once

#include "graphc/IR/Layer.h"

#include "llvm/ADT/MapVector.h"

namespace graphc::layer {

/// A path into a cache. `block` and `cross` are -1 for a whole cache, `cross`
/// for a block.
struct CachePath {
  mlir::Value root; ///< The argument that holds the whole cache, or what no cache op made.
  int64_t block = -1;
  int cross = -1;
};

/// Follows the cache operations back from `value`.
CachePath pathOf(mlir::Value value);

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
