// Running an object in this process.
#pragma once

#include "Support/Program.h"

#include <absl/status/statusor.h>
#include <memory>
#include <string>

namespace graphc {

/// Entries of linked code; they are valid as long as `code` is held.
struct LinkedProgram {
  std::shared_ptr<void> code;
  EntryPoint prefill = nullptr;
  EntryPoint decode = nullptr;
  EntryPoint encoder = nullptr; ///< If the object has one.
};

/// Links `code`, as NativeModule emits it, into this process. It is the same
/// machine code that a shared object holds. Internal if LLVM refuses.
absl::StatusOr<LinkedProgram> linkInProcess(const std::string &code);

} // namespace graphc
