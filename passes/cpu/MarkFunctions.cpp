// Function properties in the spelling that convert-func-to-llvm keeps.
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_MARKFUNCTIONS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;

namespace {
struct MarkFunctions : graphc::cpu::impl::MarkFunctionsBase<MarkFunctions> {
  void runOnOperation() override {
    Builder builder(&getContext());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      if (function.isPrivate())
        function->setAttr("llvm.linkage", LLVM::LinkageAttr::get(&getContext(), LLVM::Linkage::Internal));
      if (function.getNoInline())
        function->setAttr("passthrough", builder.getStrArrayAttr({"noinline"}));
    }
  }
};
} // namespace
