// Orders kernels by level, so that those that do not depend on one another
// stand together and need no barrier between them.
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Dependences.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_SCHEDULEKERNELS
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc::kernel;

namespace {
struct ScheduleKernels : graphc::kernel::impl::ScheduleKernelsBase<ScheduleKernels> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    Block &block = function.front();
    auto levels = levelsOf(block);
    SmallVector<Operation *> kernels, definitions;
    for (Operation &op : block.without_terminator())
      (levels.contains(&op) ? kernels : definitions).push_back(&op);
    llvm::stable_sort(kernels, [&](Operation *a, Operation *b) { return levels[a] < levels[b]; });
    for (Operation *op : definitions) // buffers and views first, in their order
      op->moveBefore(block.getTerminator());
    for (Operation *op : kernels)
      op->moveBefore(block.getTerminator());
  }
};
} // namespace
