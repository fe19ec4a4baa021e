// graphc-opt runs any pass of graphc on textual IR of any phase, as mlir-opt
// does for upstream dialects.
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

#include "passes/cpu/Passes.h"
#include "passes/kernel/Passes.h"
#include "passes/layer/Passes.h"

#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/X86Vector/X86VectorDialect.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

int main(int argc, char **argv) {
  DialectRegistry registry;
  registry.insert<amx::AMXDialect, graphc::layer::LayerDialect, graphc::kernel::KernelDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, omp::OpenMPDialect, scf::SCFDialect,
                  vector::VectorDialect, x86vector::X86VectorDialect>();
  registerTransformsPasses();
  graphc::layer::registerLayerPasses();
  graphc::kernel::registerKernelPasses();
  graphc::cpu::registerCpuPasses();
  return asMainReturnCode(MlirOptMain(argc, argv, "graphc pass driver\n", registry));
}
