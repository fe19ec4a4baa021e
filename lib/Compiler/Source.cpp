// Loading by kind: what is a folder is a checkpoint, all else is IR.
#include "Compiler/Source.h"

#include "Import/Import.h"
#include "Support/File.h"
#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/SourceMgr.h"

#include <filesystem>

using namespace mlir;

namespace graphc {

absl::StatusOr<OwningOpRef<ModuleOp>> parseModel(CompilerContext &context, DiagnosticText &diagnostics,
                                                 std::string_view text, const std::string &name) {
  llvm::SourceMgr source;
  source.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text.data(), text.size()), name), {});
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(source, ParserConfig(&context));
  if (!module) {
    std::string errors = diagnostics.takeErrors();
    return absl::FailedPreconditionError(errors.empty() ? concat(name, ": does not parse") : errors);
  }
  if (module->getOps<layer::GraphOp>().empty())
    return absl::FailedPreconditionError(concat(name, ": model must have a layer.graph, got a module without one"));
  return module;
}

absl::StatusOr<OwningOpRef<ModuleOp>> loadModel(CompilerContext &context, DiagnosticText &diagnostics,
                                                const std::string &path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    absl::StatusOr<std::string> text = readFile(path);
    if (!text.ok()) // a missing file is the model's fault, not an option's
      return absl::Status(absl::IsNotFound(text.status()) ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition,
                          text.status().message());
    return parseModel(context, diagnostics, *text, path);
  }
  OwningOpRef<ModuleOp> module = importModel(context, path);
  if (!module)
    return absl::FailedPreconditionError(diagnostics.takeErrors());
  return module;
}

} // namespace graphc
