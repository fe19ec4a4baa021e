// Tiles to LLVM's type of them, in operations and in the blocks that pass them on.
// Upstream's conversions do either alone: that of vectors leaves blocks as they
// are, that of blocks knows no tiles. And loads that stream have an instruction of
// their own, which upstream's dialect does not name.
#include "passes/cpu/Passes.h"
#include "passes/cpu/TileEmitter.h"

#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/AMX/Transforms.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Transforms/DialectConversion.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_LOWERTILES
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;

namespace {
struct LowerTiles : graphc::cpu::impl::LowerTilesBase<LowerTiles> {
  void runOnOperation() override {
    // Only functions with tiles: the others' blocks wait for the conversion of all.
    SmallVector<Operation *> functions;
    for (auto function : getOperation().getOps<FunctionOpInterface>())
      if (function.walk([](amx::TileZeroOp) { return WalkResult::interrupt(); }).wasInterrupted())
        functions.push_back(function);
    if (functions.empty())
      return;
    LLVMConversionTarget target(getContext());
    configureAMXLegalizeForExportTarget(target);
    target.addLegalOp<UnrealizedConversionCastOp>();
    target.addIllegalDialect<cf::ControlFlowDialect>();
    LLVMTypeConverter converter(&getContext());
    RewritePatternSet patterns(&getContext());
    populateAMXLegalizeForLLVMExportPatterns(converter, patterns);
    cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    if (failed(applyPartialConversion(functions, target, std::move(patterns))))
      return signalPassFailure();
    for (Operation *function : functions)
      function->walk([](LLVM::CallIntrinsicOp load) {
        if (load->removeAttr(graphc::kernel::kStreams))
          load.setIntrin("llvm.x86.tileloaddt164.internal");
      });
  }
};
} // namespace
