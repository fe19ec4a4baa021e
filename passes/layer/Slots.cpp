// Slots by path: two values with one path are versions of the same memory.
#include "passes/layer/Slots.h"

using namespace mlir;

namespace graphc::layer {

SmallVector<Slot> collectSlots(GraphOp graph) {
  SmallVector<Slot> slots;
  llvm::DenseMap<std::tuple<Value, int64_t, int>, size_t> index;
  for (BlockArgument argument : graph.getBody().getArguments()) {
    auto cache = dyn_cast<CacheType>(argument.getType());
    if (!cache)
      continue;
    for (auto [number, block] : llvm::enumerate(cache.getBlocks()))
      for (bool cross : {false, true})
        if (AttentionCacheType type = cross ? block.getCross() : block.getSelf()) {
          index[{argument, int64_t(number), int(cross)}] = slots.size();
          slots.push_back({argument, int64_t(number), cross, type, {}, {}});
        }
  }
  for (PolicyLayer layer : graph.getBody().front().getOps<PolicyLayer>())
    for (Value operand : layer->getOperands()) {
      if (!isCache(operand.getType()))
        continue;
      CachePath path = pathOf(operand);
      if (auto fused = dyn_cast<CachedAttentionOp>(layer.getOperation())) {
        path.block = fused.getBlock();
        path.cross = false;
      }
      auto found = index.find({path.root, path.block, path.cross});
      if (found != index.end())
        slots[found->second].readers.push_back(layer);
    }
  for (Slot &slot : slots)
    slot.name = slot.readers.empty()
                    ? ("layers." + Twine(slot.block) + (slot.cross ? ".cross_attention" : ".self_attention")).str()
                    : slot.readers.front().getLayerName().str();
  return slots;
}

} // namespace graphc::layer
