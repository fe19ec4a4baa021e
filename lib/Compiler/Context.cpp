// Dialects are registered by name here; an InitAll would cost seconds of every
// build and milliseconds of every run.
#include "Compiler/Context.h"

#include "Codegen/NativeModule.h"
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

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

using namespace mlir;

namespace graphc {

static DialectRegistry dialects() {
  DialectRegistry registry;
  registry.insert<amx::AMXDialect, layer::LayerDialect, kernel::KernelDialect, arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect,
                  LLVM::LLVMDialect, math::MathDialect, memref::MemRefDialect, omp::OpenMPDialect, scf::SCFDialect,
                  vector::VectorDialect, x86vector::X86VectorDialect>();
  registerTranslations(registry);
  return registry;
}

CompilerContext::CompilerContext() : MLIRContext(dialects(), Threading::DISABLED) {}

static StringRef severity(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Note: return "note";
  case DiagnosticSeverity::Warning: return "warning";
  case DiagnosticSeverity::Error: return "error";
  case DiagnosticSeverity::Remark: return "remark";
  }
  return "";
}

static void append(std::string &text, Diagnostic &diagnostic) {
  llvm::raw_string_ostream os(text);
  if (diagnostic.getSeverity() == DiagnosticSeverity::Note)
    os << "  ";
  if (auto place = diagnostic.getLocation()->findInstanceOf<FileLineColLoc>()) {
    os << place.getFilename().getValue() << ":";
    if (place.getLine())
      os << place.getLine() << ":" << place.getColumn() << ":";
    os << " ";
  }
  os << severity(diagnostic.getSeverity()) << ": " << diagnostic << "\n";
  for (Diagnostic &note : diagnostic.getNotes())
    append(text, note);
}

DiagnosticText::DiagnosticText(MLIRContext *context)
    : handler(context, [this](Diagnostic &diagnostic) {
        append(diagnostic.getSeverity() == DiagnosticSeverity::Error ? errors : remarks, diagnostic);
        return success();
      }) {}

bool isBrokenContract(std::string_view text) { return text.find("error: contract: ") != text.npos; }

std::string DiagnosticText::takeErrors() {
  std::string text = std::move(errors);
  errors.clear();
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

} // namespace graphc
