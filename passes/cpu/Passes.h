// Passes from kernels to the LLVM dialect, and their pipelines.
#pragma once

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
class OpPassManager;
namespace arith { class ArithDialect; }
namespace func { class FuncDialect; }
namespace LLVM { class LLVMDialect; }
namespace scf { class SCFDialect; }
} // namespace mlir

namespace graphc {
struct Target;
namespace kernel { class KernelDialect; }
}

namespace graphc::cpu {

#define GEN_PASS_DECL
#include "passes/cpu/Passes.h.inc"

/// Vector-level step functions to the LLVM dialect: C entry points, then stock
/// lowerings. Fails if an op or a cast of another dialect is left.
void buildLowerToLLVMPipeline(mlir::OpPassManager &manager, const Target &target);
/// Registers the passes and `--cpu-lower-to-llvm`.
void registerCpuPasses();

} // namespace graphc::cpu
