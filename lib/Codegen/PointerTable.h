// The table of pointers that an entry point gets is where cache memory comes
// from. It is followed through the capture of the parallel region to each load.
#pragma once

#include "Support/Program.h"

#include "llvm/ADT/DenseSet.h"

#include <absl/status/statusor.h>
#include <string>

namespace llvm {
class Instruction;
class LoadInst;
class Module;
class Value;
} // namespace llvm

namespace graphc {

struct PointerTable {
  llvm::DenseSet<const llvm::LoadInst *> cacheLoads; ///< Loads of pointers to cache memory.
};

/// Follows the first argument of all entry points, which are the functions of
/// external linkage. Each use must be a load of one pointer at a constant place,
/// in the address space that `program` binds there, or the capture of the table
/// by a fork; Aborted, with the instruction, if one is not.
absl::StatusOr<PointerTable> readPointerTable(const llvm::Module &module, const Program &program);

/// An instruction's text, shortened.
std::string instructionText(const llvm::Instruction &instruction);
/// Notes, a line each, on the instructions from `pointer` back to a load or an
/// argument; each begins with a line feed.
std::string originText(const llvm::Value *pointer);

} // namespace graphc
