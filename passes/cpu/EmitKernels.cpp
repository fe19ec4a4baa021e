// Hands each kernel to the emitter of its family.
#include "passes/cpu/Emitters.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_EMITKERNELS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// What every emitter relies on.
LogicalResult verifyEmittable(Operation *kernel) {
  auto function = dyn_cast<func::FuncOp>(kernel->getParentOp());
  if (!function || function.getNumArguments() < 2 || !function.getArgument(0).getType().isIndex() ||
      !function.getArgument(1).getType().isIndex())
    return kernel->emitOpError("must be in a function that takes a thread and a number of threads: run cpu-outline-kernels");
  for (Value operand : kernel->getOperands()) {
    auto type = cast<MemRefType>(operand.getType());
    if (type.getRank() == 2 && type.isDynamicDim(1))
      return kernel->emitOpError("needs static widths, got ") << type;
    if (!type.isLastDimUnitStride())
      return kernel->emitOpError("needs contiguous rows, got ") << type;
  }
  if (auto matmul = dyn_cast<MatmulOp>(kernel))
    if (!matmul.getTile())
      return kernel->emitOpError("needs a tile: run cpu-choose-tiles");
  return success();
}

struct EmitKernels : graphc::cpu::impl::EmitKernelsBase<EmitKernels> {
  using EmitKernelsBase::EmitKernelsBase;

  void runOnOperation() override {
    const Target *target = cpu::targetOrError(getOperation(), this->target);
    if (!target)
      return signalPassFailure();
    SmallVector<Operation *> kernels;
    getOperation().walk([&](Operation *op) {
      if (isa<EpilogueKernel, GatherRowsOp, CachedAttentionOp, AttentionOp, CacheStoreOp, SeedKernel>(op))
        kernels.push_back(op);
    });
    for (Operation *kernel : kernels)
      if (failed(verifyEmittable(kernel)))
        return signalPassFailure();
    for (Operation *kernel : kernels)
      if (failed(emit(kernel, *target)))
        return signalPassFailure();
  }

  static LogicalResult emit(Operation *kernel, const Target &target) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(kernel)
        .Case([&](MatmulOp op) { return emitMatmul(op, target), success(); })
        .Case([&](RmsNormOp op) { return emitRmsNorm(op, target), success(); })
        .Case([&](LayerNormOp op) { return emitLayerNorm(op, target), success(); })
        .Case([&](EmbeddingOp op) { return emitEmbedding(op, target), success(); })
        .Case([&](ElementwiseOp op) { return emitElementwise(op, target), success(); })
        .Case([&](RotaryOp op) { return emitRotary(op, target), success(); })
        .Case([&](GatherRowsOp op) { return emitGatherRows(op, target), success(); })
        .Case([&](CachedAttentionOp op) { return emitCachedAttention(op, target), success(); })
        .Case([&](AttentionOp op) { return emitAttention(op, target), success(); })
        .Case([&](CacheStoreOp op) { return emitCacheStore(op, target), success(); })
        .Case([&](SeedKernel op) { return emitSeed(op, target), success(); })
        .Default([](Operation *op) { return op->emitOpError("has no emitter"); });
  }
};

} // namespace
