// Passes from layers to kernels, and their pipeline.
#pragma once

#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
namespace arith { class ArithDialect; }
namespace func { class FuncDialect; class FuncOp; }
namespace math { class MathDialect; }
namespace memref { class MemRefDialect; }
namespace omp { class OpenMPDialect; }
} // namespace mlir

namespace graphc::kernel {
class KernelDialect;

#define GEN_PASS_DECL
#include "passes/kernel/Passes.h.inc"

/// Layers to kernels: lower, fuse, schedule, plan, parallelize, outline.
void buildKernelPipeline(mlir::OpPassManager &manager);
/// Registers the passes and `--kernel-pipeline`.
void registerKernelPasses();

} // namespace graphc::kernel
