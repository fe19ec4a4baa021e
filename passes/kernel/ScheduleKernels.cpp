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
    SmallVector<std::tuple<int64_t, size_t, Operation *>> kernels; // by level, then as they stood
    SmallVector<Operation *> definitions;
    for (Operation &op : block.without_terminator()) {
      if (levels.contains(&op))
        kernels.emplace_back(levels[&op], kernels.size(), &op);
      else
        definitions.push_back(&op);
    }
    llvm::sort(kernels);
    for (Operation *op : definitions)
      op->moveBefore(block.getTerminator());
    for (auto [level, index, op] : kernels)
      op->moveBefore(block.getTerminator());
    // Views stand with the kernel that reads them, so that they share its block.
    for (Operation *op : llvm::reverse(definitions))
      if (!isa<BufferOp>(op))
        sink(op);
  }

  static void sink(Operation *op) {
    Operation *first = nullptr;
    for (Operation *user : op->getUsers())
      if (!first || user->isBeforeInBlock(first))
        first = user;
    if (first)
      op->moveBefore(first);
  }
};
} // namespace
