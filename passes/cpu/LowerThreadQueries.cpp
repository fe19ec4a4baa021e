// Thread queries as calls. They stand inside the parallel region, or in a
// function called from it, so the OpenMP runtime knows the answer.
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_LOWERTHREADQUERIES
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;

namespace {
struct LowerThreadQueries : cpu::impl::LowerThreadQueriesBase<LowerThreadQueries> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (isa<kernel::ThreadIdOp>(op))
        replace(op, "omp_get_thread_num");
      else if (isa<kernel::NumThreadsOp>(op))
        replace(op, "omp_get_num_threads");
    });
  }

  void replace(Operation *op, StringRef callee) {
    OpBuilder builder(op);
    declare(builder, callee);
    auto call = func::CallOp::create(builder, op->getLoc(), callee, builder.getI32Type());
    Value index = arith::IndexCastOp::create(builder, op->getLoc(), builder.getIndexType(), call.getResult(0));
    op->replaceAllUsesWith(ValueRange{index});
    op->erase();
  }

  void declare(OpBuilder builder, StringRef callee) {
    if (getOperation().lookupSymbol(callee))
      return;
    builder.setInsertionPointToStart(getOperation().getBody());
    auto type = builder.getFunctionType({}, builder.getI32Type());
    func::FuncOp::create(builder, getOperation().getLoc(), callee, type).setPrivate();
  }
};
} // namespace
