// Trace hooks as indirect calls from thread 0; the barriers around them are in
// the IR already.
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_LOWERTRACES
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;

namespace {
struct LowerTraces : cpu::impl::LowerTracesBase<LowerTraces> {
  void runOnOperation() override {
    getOperation().walk([&](kernel::TraceOp op) { lower(op); });
  }

  /// hook is {callback, context}: callback(context, kernel).
  static void lower(kernel::TraceOp op) {
    OpBuilder b(op);
    Location loc = op.getLoc();
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, kernel::ThreadIdOp::create(b, loc, b.getIndexType()), zero);
    auto guarded = scf::IfOp::create(b, loc, first, /*withElseRegion=*/false);
    b.setInsertionPointToStart(guarded.thenBlock());
    auto pointer = LLVM::LLVMPointerType::get(b.getContext());
    Value callback = LLVM::LoadOp::create(b, loc, pointer, op.getHook());
    Value place = LLVM::GEPOp::create(b, loc, pointer, pointer, op.getHook(), ArrayRef<LLVM::GEPArg>{1});
    Value context = LLVM::LoadOp::create(b, loc, pointer, place);
    Value kernel = LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(op.getKernel()));
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer, b.getI64Type()});
    LLVM::CallOp::create(b, loc, type, ValueRange{callback, context, kernel});
    op.erase();
  }
};
} // namespace
