// Passes from layers to kernels, and their pipeline.
#pragma once

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

/// Layers to kernels: lower, fuse, schedule, plan, parallelize, outline; with
/// `trace`, a hook after each kernel.
void buildKernelPipeline(mlir::OpPassManager &manager, bool trace = false);
/// Registers the passes and `--kernel-pipeline`.
void registerKernelPasses();

} // namespace graphc::kernel
