// Passes from kernels to the LLVM dialect, and their pipelines.
#pragma once

#include "Support/Contract.h"

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
class OpPassManager;
namespace arith { class ArithDialect; }
namespace func { class FuncDialect; }
namespace LLVM { class LLVMDialect; }
namespace math { class MathDialect; }
namespace memref { class MemRefDialect; }
namespace omp { class OpenMPDialect; }
namespace scf { class SCFDialect; }
namespace vector { class VectorDialect; }
namespace x86vector { class X86VectorDialect; }
} // namespace mlir

namespace graphc {
struct Target;
namespace kernel { class KernelDialect; }
}

namespace graphc::cpu {

#define GEN_PASS_DECL
#include "passes/cpu/Passes.h.inc"

struct CpuPipelineOptions {
  std::string target;  ///< Name in the table of targets.
  bool report = false; ///< Outlining says in a remark what it counted.
  Facts *cacheFacts = nullptr; ///< Where VerifyCache's counts go, if anywhere.
};
/// VerifyCache that also hands its counts to `facts`, which must outlive it.
std::unique_ptr<mlir::Pass> createVerifyCache(bool report, Facts *facts);

/// Kernels to vector loops: outline, choose tiles, emit, verify the cache.
void buildCpuPipeline(mlir::OpPassManager &manager, const CpuPipelineOptions &options);
/// The part of it behind outlining: each kernel is alone in its function.
void buildEmissionPipeline(mlir::OpPassManager &manager, const CpuPipelineOptions &options);
/// Vector-level step functions to the LLVM dialect: C entry points, then stock
/// lowerings. Fails if an op or a cast of another dialect is left.
void buildLowerToLLVMPipeline(mlir::OpPassManager &manager, const Target &target);
/// Registers the passes, `--cpu-pipeline=target=NAME` and `--cpu-lower-to-llvm`.
void registerCpuPasses();

/// The target called `name`, or an error at `op` that lists the names.
const Target *targetOrError(mlir::Operation *op, llvm::StringRef name);

} // namespace graphc::cpu
