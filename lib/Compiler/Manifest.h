// The program of a module: what its step functions ask of the runtime.
#pragma once

#include "Support/Program.h"

#include "mlir/IR/BuiltinOps.h"

#include <absl/status/statusor.h>

namespace graphc {

/// The model, symbols, bindings and traced kernels of `module`, which the kernel
/// pipeline made; collectBindings must have run. Policy, pin and target are the
/// caller's to fill in. Errors are InvalidArgument: the module is not sound.
absl::StatusOr<Program> readProgram(mlir::ModuleOp module);

} // namespace graphc
