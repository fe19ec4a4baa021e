// The order of the kernel passes. Memory is planned after fusion and scheduling,
// since those decide which buffers live when, and before barriers, since shared slots need more of them;
// blocks are compared last, barriers and slots included.
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace graphc::kernel {

namespace {
#define GEN_PASS_REGISTRATION
#include "passes/kernel/Passes.h.inc"

/// The same options as text, for `--kernel-pipeline=`.
struct TextOptions : PassPipelineOptions<TextOptions> {
  Option<bool> report{*this, "report", llvm::cl::desc("remarks on what was counted"), llvm::cl::init(false)};
};
} // namespace

void buildKernelPipeline(OpPassManager &manager, const KernelPipelineOptions &options) {
  manager.addPass(createLowerLayers());
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createFuseEpilogues({options.report}));
  functions.addPass(createScheduleKernels());
  functions.addPass(createPlanMemory({options.report}));
  functions.addPass(createParallelize({options.report}));
  if (options.trace)
    manager.addPass(createTraceKernels());
  manager.addPass(createOutlineBlocks({options.report}));
  manager.addPass(createVerifyCache(options.report, options.cacheFacts)); // what code is made of, calls included
}

void registerKernelPasses() {
  registerKernelTdPasses();
  PassPipelineRegistration<TextOptions>(
      "kernel-pipeline", "layers to kernels: lower, fuse, schedule, plan, parallelize, outline, verify",
      [](OpPassManager &manager, const TextOptions &text) { buildKernelPipeline(manager, {.trace = false, .report = text.report}); });
}

} // namespace graphc::kernel
