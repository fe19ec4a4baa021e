// The end of the lowering: what is not LLVM's is an error, never silence.
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_VERIFYLOWERED
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;

namespace {
struct VerifyLowered : graphc::cpu::impl::VerifyLoweredBase<VerifyLowered> {
  void runOnOperation() override {
    WalkResult result = getOperation().walk([](Operation *op) {
      if (isa<ModuleOp>(op) || isa_and_nonnull<LLVM::LLVMDialect, omp::OpenMPDialect>(op->getDialect()))
        return WalkResult::advance();
      op->emitError("op was not lowered to LLVM: '") << op->getName() << "'";
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};
} // namespace
