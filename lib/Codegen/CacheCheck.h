// The contract of the cache, checked on LLVM IR: before optimisation, where each
// access still has the pinned type, and after it, where types and loops have
// been rewritten and only address spaces, widths and calls can be relied on.
#pragma once

#include "Support/Contract.h"
#include "Support/Program.h"

namespace llvm {
class Module;
}

namespace graphc {

enum class CodeState : uint8_t {
  Translated, ///< As the LLVM dialect says it.
  Optimized,  ///< Behind LLVM's passes: what machine code is made of.
};

/// Checks all pointers in the address space of a dtype (Support/CacheSpace.h):
/// - they come from the table of pointers that the entry points get, from the
///   elements that `program` binds to a cache of that dtype, and all such elements
///   are loaded as such pointers only;
/// - they are used by loads, stores, masked ones, prefetches, address arithmetic,
///   comparisons, and calls of functions in `module`: never by a cast to another
///   space or to an integer, an atomic, a copy, inline assembly or an unknown
///   call, and they are never stored;
/// - accesses have the dtype; after optimisation, that or integers of a whole
///   number of elements.
/// And all functions carry "no-builtins". Aborted, with the instruction and the
/// way of its pointer, for the first violation. Counts go to `facts`, if given.
absl::Status checkCacheAccess(const llvm::Module &module, const Program &program, CodeState state, Facts *facts = nullptr);

} // namespace graphc
