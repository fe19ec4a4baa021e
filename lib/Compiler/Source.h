// Where a model comes from: a checkpoint folder, a file or text.
#pragma once

#include "Compiler/Context.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <absl/status/statusor.h>
#include <string>
#include <string_view>

namespace graphc {

struct CompileOptions;

/// InvalidArgument unless the policy and pin rules parse and the semantics is known.
absl::Status checkRules(const CompileOptions &options);

/// The verified module of the model at `path`: a checkpoint folder is imported,
/// a file is parsed. FailedPrecondition with the diagnostics, also for MLIR
/// bytecode, which is not read; NotFound if there is nothing at `path`.
absl::StatusOr<mlir::OwningOpRef<mlir::ModuleOp>> loadModel(CompilerContext &context, DiagnosticText &diagnostics,
                                                            const std::string &path);
/// The module of `text`, called `name` in messages.
absl::StatusOr<mlir::OwningOpRef<mlir::ModuleOp>> parseModel(CompilerContext &context, DiagnosticText &diagnostics,
                                                             std::string_view text, const std::string &name);

} // namespace graphc
