// The order of the CPU passes. Entry points come after emission, while memrefs
// still say what is indexed; everything below is stock, in the order in which
// each conversion finds its inputs.
#include "passes/cpu/Passes.h"

#include "Support/Target.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/OpenMPToLLVM/ConvertOpenMPToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace graphc::cpu {

namespace {
#define GEN_PASS_REGISTRATION
#include "passes/cpu/Passes.h.inc"

struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<std::string> target{*this, "target", llvm::cl::desc("instruction set to emit for")};
};
} // namespace

void buildCpuPipeline(OpPassManager &manager, const CpuPipelineOptions &options) {
  manager.addPass(createChooseTiles({options.target}));
  manager.addPass(createOutlineKernels({options.report})); // before emission: each distinct kernel is emitted once
  buildEmissionPipeline(manager, options);
  manager.addPass(createVerifyCache(options.report, options.cacheFacts)); // what is lowered, while indices can be followed
}

void buildEmissionPipeline(OpPassManager &manager, const CpuPipelineOptions &options) {
  manager.addPass(createChooseTiles({options.target}));
  manager.addPass(createEmitKernels({options.target}));
  manager.addPass(createExpandFunctions({options.target}));
  manager.addPass(createExpandConversions({options.target}));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void buildLowerToLLVMPipeline(OpPassManager &manager, const Target &target) {
  manager.addPass(createEmitEntryPoints());
  manager.addPass(createLowerTraces());
  manager.addPass(createLowerThreadQueries());
  manager.addPass(createConvertVectorToSCFPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass()); // after strided metadata, which makes affine maps
  manager.addPass(createLowerTiles());
  // LLVM rounds to bf16 by scalar calls of compiler-rt on targets without the instruction.
  if (!target.bf16Dot)
    manager.addPass(arith::createArithExpandOpsPass({/*includeBf16=*/true}));
  manager.addPass(createConvertMathToLLVMPass());
  ConvertVectorToLLVMPassOptions vectors;
  vectors.x86Vector = true;
  manager.addPass(createConvertVectorToLLVMPass(vectors));
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertIndexToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createMarkFunctions());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertOpenMPToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createUBToLLVMConversionPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createVerifyLowered());
}

void registerCpuPasses() {
  registerCpuTdPasses();
  PassPipelineRegistration<PipelineOptions>("cpu-pipeline", "kernels to vector loops: outline, choose tiles, emit, verify",
                                            [](OpPassManager &manager, const PipelineOptions &options) {
                                              buildCpuPipeline(manager, {options.target});
                                            });
  PassPipelineRegistration<>("cpu-lower-to-llvm", "vector-level step functions to the LLVM dialect, for this host",
                             [](OpPassManager &manager) { buildLowerToLLVMPipeline(manager, nativeTarget()); });
}

const Target *targetOrError(Operation *op, llvm::StringRef name) {
  if (const Target *target = findTarget(name))
    return target;
  auto diagnostic = op->emitError("target must be one of");
  for (const Target &target : targets())
    diagnostic << " '" << target.name << "'";
  diagnostic << ", got '" << name << "'";
  return nullptr;
}

} // namespace graphc::cpu
