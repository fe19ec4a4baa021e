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
} // namespace

void buildKernelPipeline(OpPassManager &manager, bool trace, Facts *cacheFacts) {
  manager.addPass(createLowerLayers());
  OpPassManager &functions = manager.nest<func::FuncOp>();
  functions.addPass(createFuseEpilogues());
  functions.addPass(createScheduleKernels());
  functions.addPass(createPlanMemory());
  functions.addPass(createParallelize());
  if (trace)
    manager.addPass(createTraceKernels());
  manager.addPass(createOutlineBlocks());
  manager.addPass(createVerifyCache(/*report=*/false, cacheFacts)); // what code is made of, calls included
}

void registerKernelPasses() {
  registerKernelTdPasses();
  PassPipelineRegistration<>("kernel-pipeline", "layers to kernels: lower, fuse, schedule, plan, parallelize, outline, verify",
                             [](OpPassManager &manager) { buildKernelPipeline(manager); });
}

} // namespace graphc::kernel
