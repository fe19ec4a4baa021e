// The MLIR context of one compilation, and the diagnostics that it collects.
#pragma once

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <string>
#include <string_view>

namespace graphc {

/// Single-threaded, with every dialect of the flow, and translation to LLVM IR.
class CompilerContext : public mlir::MLIRContext {
public:
  CompilerContext();
};

/// Turns diagnostics into text: "path:line:column: error: ..", notes indented
/// below. Line 0 stands for a whole file.
class DiagnosticText {
public:
  explicit DiagnosticText(mlir::MLIRContext *context);

  /// Errors since the last call, without the final newline.
  std::string takeErrors();
  const std::string &notes() const { return remarks; }

private:
  std::string errors, remarks;
  mlir::ScopedDiagnosticHandler handler;
};

/// True if a verifier of the cache's contract is among the errors in `text`.
bool isBrokenContract(std::string_view text);

} // namespace graphc
