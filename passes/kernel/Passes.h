// Passes from layers to kernels, and their pipeline.
#pragma once

#include "Support/Contract.h"

#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
namespace arith { class ArithDialect; }
namespace LLVM { class LLVMDialect; }
namespace func { class FuncDialect; class FuncOp; }
namespace math { class MathDialect; }
namespace memref { class MemRefDialect; }
namespace omp { class OpenMPDialect; }
} // namespace mlir

namespace graphc::kernel {
class KernelDialect;

#define GEN_PASS_DECL
#include "passes/kernel/Passes.h.inc"

struct KernelPipelineOptions {
  bool trace = false;  ///< A hook after each kernel.
  bool report = false; ///< Each pass says in a remark what it counted.
  Facts *cacheFacts = nullptr; ///< Where VerifyCache's counts go, if anywhere.
};

/// Layers to kernels: lower, fuse, schedule, plan, parallelize, outline, verify the cache.
void buildKernelPipeline(mlir::OpPassManager &manager, const KernelPipelineOptions &options = {});
/// VerifyCache that also hands its counts to `facts`, which must outlive it.
std::unique_ptr<mlir::Pass> createVerifyCache(bool report, Facts *facts);
/// Registers the passes and `--kernel-pipeline`.
void registerKernelPasses();

} // namespace graphc::kernel
