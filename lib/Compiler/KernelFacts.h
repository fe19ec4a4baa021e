// What the runtime and reports want to know of the kernels: who uses which slot
// of the workspace, scratch on the stack, and what a decode step does to the cache.
#pragma once

#include "Support/Program.h"

#include <cstdint>
#include <vector>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace graphc {

/// The kernels of all steps by the slots that they read or write. After the
/// kernel passes.
std::vector<SlotUsers> slotUsersOf(mlir::ModuleOp module);
/// Scratch of fixed size of each kernel function, largest first. After emission.
std::vector<StackScratch> stackScratchOf(mlir::ModuleOp module);

/// What a decode step does to the cache, counted from the operands of its kernels.
struct CacheTraffic {
  int64_t casts = 0;       ///< Of whole tensors of the cache.
  uint64_t readPerRow = 0; ///< Bytes, for each row of a sequence: of those cached; in seed mode, of the capacity.
  uint64_t writtenPerRow = 0;
  uint64_t readPerSourceRow = 0; ///< Bytes, for each row of a sequence's source.
  uint64_t writtenPerToken = 0; ///< Bytes, for each new token.
};
CacheTraffic cacheTrafficOf(mlir::ModuleOp module);

} // namespace graphc
