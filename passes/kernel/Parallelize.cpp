// One parallel region around a step, and the barriers that its dependences
// need. Buffers that share a slot are one memory here.
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Dependences.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/Builders.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_PARALLELIZE
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

struct Parallelize : graphc::kernel::impl::ParallelizeBase<Parallelize> {
  using ParallelizeBase::ParallelizeBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal() || !function.front().getOps<omp::ParallelOp>().empty())
      return;
    insertBarriers(function);
    Block &entry = function.front();
    OpBuilder builder = OpBuilder::atBlockBegin(&entry);
    auto parallel = omp::ParallelOp::create(builder, function.getLoc());
    Block *body = builder.createBlock(&parallel.getRegion());
    body->getOperations().splice(body->end(), entry.getOperations(), std::next(Block::iterator(parallel)),
                                 std::prev(entry.end()));
    builder.setInsertionPointToEnd(body);
    omp::TerminatorOp::create(builder, function.getLoc());
    reportCounters(function, getArgument(), report, {&numBarriers});
  }

  /// What identifies the memory of a value: its slot, or the value itself.
  Attribute memoryOf(func::FuncOp function, Value value) {
    auto argument = cast<BlockArgument>(memoryBehind(value));
    auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr);
    if (binding && binding.contains("slot"))
      return binding.get("slot");
    return StringAttr::get(function.getContext(), "argument" + std::to_string(argument.getArgNumber()));
  }

  void insertBarriers(func::FuncOp function) {
    llvm::DenseSet<Attribute> read, written;
    for (Operation &op : llvm::make_early_inc_range(function.front())) {
      auto effects = dyn_cast<MemoryEffectOpInterface>(op);
      if (!effects || op.getDialect()->getNamespace() != KernelDialect::getDialectNamespace())
        continue;
      SmallVector<MemoryEffects::EffectInstance> instances;
      effects.getEffects(instances);
      llvm::DenseSet<Attribute> reads, writes;
      for (auto &instance : instances)
        if (Value value = instance.getValue())
          (isa<MemoryEffects::Write>(instance.getEffect()) ? writes : reads).insert(memoryOf(function, value));
      const bool conflict = llvm::any_of(reads, [&](Attribute memory) { return written.contains(memory); }) ||
                            llvm::any_of(writes, [&](Attribute memory) {
                              return written.contains(memory) || read.contains(memory);
                            });
      if (conflict) {
        OpBuilder builder(&op);
        auto barrier = omp::BarrierOp::create(builder, op.getLoc());
        if (Attribute block = op.getAttr(kBlockAttr))
          barrier->setAttr(kBlockAttr, block);
        ++numBarriers;
        read.clear();
        written.clear();
      }
      read.insert(reads.begin(), reads.end());
      written.insert(writes.begin(), writes.end());
    }
  }

  Counter numBarriers{"barriers"};
};

} // namespace
