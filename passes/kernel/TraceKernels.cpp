// Trace hooks: a barrier so that the kernel is done, the hook, and a barrier so
// that nobody runs ahead while the hook reads or replaces results.
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/Builders.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_TRACEKERNELS
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc::kernel;

namespace {

struct TraceKernels : graphc::kernel::impl::TraceKernelsBase<TraceKernels> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (module->hasAttr(kTracedAttr))
      return;
    llvm::StringMap<unsigned> firsts; // of the kernels of a graph: its phases trace the same ones in the same order
    SmallVector<Attribute> traced;
    for (auto function : module.getOps<func::FuncOp>())
      for (auto parallel : function.getOps<omp::ParallelOp>()) {
        auto graph = function->getAttrOfType<StringAttr>(kGraphAttr);
        const unsigned first = firsts.try_emplace(graph ? graph.getValue() : "", traced.size()).first->second;
        traced.truncate(first);
        trace(function, parallel.getRegion().front(), traced);
      }
    module->setAttr(kTracedAttr, ArrayAttr::get(&getContext(), traced));
  }

  void trace(func::FuncOp function, Block &body, SmallVectorImpl<Attribute> &traced) {
    Builder attributes(&getContext());
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    const unsigned index = function.getNumArguments();
    DictionaryAttr binding = attributes.getDictionaryAttr(
        {attributes.getNamedAttr("kind", attributes.getStringAttr("trace")),
         attributes.getNamedAttr("name", attributes.getStringAttr("trace")),
         attributes.getNamedAttr("dims", attributes.getArrayAttr({}))});
    (void)function.insertArgument(
        index, pointer, attributes.getDictionaryAttr({{attributes.getStringAttr(kBindingAttr), binding}}), function.getLoc());
    for (Operation &op : llvm::make_early_inc_range(body)) {
      auto values = op.getAttrOfType<ArrayAttr>(kValuesAttr);
      if (!values)
        continue;
      SmallVector<Attribute> outputs;
      for (auto [memref, name] : llvm::zip(destinations(&op), values))
        outputs.push_back(attributes.getDictionaryAttr(
            {attributes.getNamedAttr("binding", bindingOf(function, cast<BlockArgument>(memref))),
             attributes.getNamedAttr("name", name)}));
      OpBuilder builder(&getContext());
      builder.setInsertionPointAfter(&op);
      SmallVector<Operation *> made{omp::BarrierOp::create(builder, op.getLoc())};
      made.push_back(TraceOp::create(builder, op.getLoc(), function.getArgument(index), traced.size()));
      made.push_back(omp::BarrierOp::create(builder, op.getLoc()));
      if (Attribute block = op.getAttr(kBlockAttr))
        for (Operation *added : made)
          added->setAttr(kBlockAttr, block);
      traced.push_back(attributes.getDictionaryAttr({attributes.getNamedAttr("layers", op.getAttr("layers")),
                                                     attributes.getNamedAttr("outputs", attributes.getArrayAttr(outputs))}));
    }
  }

  static DictionaryAttr bindingOf(func::FuncOp function, BlockArgument argument) {
    return bindingEntry(function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr), argument.getType());
  }

  static SmallVector<Value> destinations(Operation *op) {
    const auto written = [](auto attention) {
      SmallVector<Value> outs{attention.getOut()};
      if (attention.getWeights())
        outs.push_back(attention.getWeights());
      return outs;
    };
    if (auto attention = dyn_cast<CachedAttentionOp>(op))
      return written(attention);
    if (auto attention = dyn_cast<AttentionOp>(op))
      return written(attention);
    if (auto seed = dyn_cast<SeedKernel>(op))
      return {seed.getOut()};
    return SmallVector<Value>(cast<EpilogueKernel>(op).getOuts());
  }
};

} // namespace
