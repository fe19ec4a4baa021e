// Cache paths. Linearity (cache_c1 to cache_c4) makes a path a place: two values
// with one path are versions of the same memory.
#include "graphc/IR/Layer.h"

using namespace mlir;

namespace graphc::layer {

CachePath pathOf(Value value) {
  CachePath path;
  while (auto op = value.getDefiningOp<CacheOp>()) {
    if (auto get = dyn_cast<GetAttentionCacheOp>(op.getOperation()))
      path.cross = get.getCross();
    else if (auto get = dyn_cast<GetBlockCacheOp>(op.getOperation()))
      path.block = get.getBlock();
    value = op.getWholeCache();
  }
  path.root = value;
  return path;
}

} // namespace graphc::layer
