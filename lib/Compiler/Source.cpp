// Loading by kind: what is a folder is a checkpoint, all else is IR.
#include "Compiler/Source.h"

#include "Import/Import.h"
#include "Support/File.h"
#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/SourceMgr.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

using namespace mlir;

namespace graphc {

namespace {
constexpr int64_t kDeepest = 256; ///< What JSON is allowed, too.

/// Where `text` is nested deeper than that: MLIR's parser recurses, for brackets and
/// for the minus signs of affine expressions, until the stack ends. Null if nowhere.
const char *tooDeep(std::string_view text) {
  int64_t depth = 0, minuses = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : 0;
    if (std::isspace(static_cast<unsigned char>(c)))
      continue;
    if (c == '/' && next == '/') {
      i = std::min(text.find('\n', i), text.size() - 1);
      continue;
    }
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i)
        i += text[i] == '\\';
    } else if (c == '(' || c == '[' || c == '{' || (c == '<' && next != '=')) {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}' || (c == '>' && next != '=' && (i == 0 || text[i - 1] != '-'))) {
      depth = std::max<int64_t>(depth - 1, 0);
    }
    minuses = c == '-' ? minuses + 1 : 0;
    if (depth > kDeepest || minuses > kDeepest)
      return &text[i];
  }
  return nullptr;
}

absl::Status checkNesting(std::string_view text, std::string_view name) {
  const char *place = tooDeep(text);
  if (!place)
    return absl::OkStatus();
  const std::string_view before = text.substr(0, size_t(place - text.data()));
  return absl::FailedPreconditionError(concat(name, ":", std::ranges::count(before, '\n') + 1, ":",
                                              before.size() - (before.rfind('\n') + 1) + 1,
                                              ": error: nesting must be at most ", kDeepest, " deep, got more"));
}
} // namespace

absl::StatusOr<OwningOpRef<ModuleOp>> parseModel(CompilerContext &context, DiagnosticText &diagnostics,
                                                 std::string_view text, const std::string &name) {
  std::unique_ptr<llvm::MemoryBuffer> buffer =
      llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text.data(), text.size()), name);
  if (isBytecode(buffer->getMemBufferRef())) // MLIR's reader trusts what it reads: damaged bytecode crashes it
    return absl::FailedPreconditionError(concat(name, ": model must be text, got MLIR bytecode; 'graphc-opt ", name,
                                                " -o model.ir' makes text of it"));
  if (absl::Status status = checkNesting(text, name); !status.ok())
    return status;
  llvm::SourceMgr source;
  source.AddNewSourceBuffer(std::move(buffer), {});
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
