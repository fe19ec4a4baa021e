// Levels by one pass over the kernels in program order.
#include "passes/kernel/Dependences.h"

#include "graphc/IR/Kernel.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;

Value graphc::kernel::memoryBehind(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

llvm::DenseMap<Operation *, int64_t> graphc::kernel::levelsOf(Block &block) {
  llvm::DenseMap<Operation *, int64_t> levels;
  llvm::DenseMap<Value, int64_t> available; // memory -> level from which on it holds its value
  for (Operation &op : block) {
    auto effects = dyn_cast<MemoryEffectOpInterface>(op);
    if (!effects || isa<BufferOp>(op))
      continue;
    SmallVector<MemoryEffects::EffectInstance> instances;
    effects.getEffects(instances);
    if (instances.empty())
      continue; // views and their sizes
    int64_t level = 0;
    for (auto &instance : instances)
      if (instance.getValue() && isa<MemoryEffects::Read>(instance.getEffect()))
        level = std::max(level, available.lookup(memoryBehind(instance.getValue())));
    for (auto &instance : instances)
      if (instance.getValue() && isa<MemoryEffects::Write>(instance.getEffect()))
        available[memoryBehind(instance.getValue())] = level + 1;
    levels[&op] = level;
  }
  return levels;
}
