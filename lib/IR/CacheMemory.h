// Cache memory in functions on memrefs: what is bound to a step's arguments, how
// violations of the contract are reported, and where memory comes from. Shared
// by the verifiers of the kernel and the vector level.
#pragma once

#include "graphc/IR/Kernel.h"

#include "mlir/IR/Diagnostics.h"

#include <optional>
#include <string>

namespace graphc::kernel {

/// Starts an error that makes the driver exit with code 3.
mlir::InFlightDiagnostic breakContract(mlir::Location loc);

/// Notes on the operations from `value` back to the function's argument or the
/// operation that made the memory.
void noteOrigin(mlir::InFlightDiagnostic &diagnostic, mlir::Value value);

/// The number of the memory space of a memref; 0 for none.
int64_t spaceOf(mlir::Type memref);

/// True if `type` is in the space of a dtype but holds another one.
bool hasForeignElements(mlir::Type type);

/// True if the dims of a binding or a symbol name the rows of a slot: the
/// capacity, a ring's, a source's.
bool growsWithCapacity(mlir::Attribute dim);

/// A side of a slot, as a step function's argument is bound to it.
struct CacheBinding {
  llvm::StringRef side;
  int64_t block;
  mlir::DictionaryAttr attributes;

  std::string text() const; ///< "keys of block 0".
  bool isOfCross() const { return side.starts_with("cross_"); }
};
std::optional<CacheBinding> cacheBindingOf(mlir::FunctionOpInterface step, unsigned argument);

} // namespace graphc::kernel
