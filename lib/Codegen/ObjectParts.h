// Code in several parts, which threads emit side by side: instruction selection is
// half of a compilation and works on one function at a time.
#pragma once

#include <absl/status/statusor.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace llvm {
class Module;
}

namespace graphc {

/// Cuts `module` into at most `count` parts with about as many instructions each, as
/// bitcode, since a part needs a context of its own. Functions that other parts call
/// become hidden symbols. Which function is in which part depends on nothing but the
/// module. Changes the module.
std::vector<std::string> cutIntoParts(llvm::Module &module, unsigned count);

/// A static archive of `objects`: what Stage::Object gives, if code is in parts.
std::string archiveOf(const std::vector<std::string> &objects);
/// The objects in `code`, an archive or one object; they point into it. Internal if it
/// is damaged.
absl::StatusOr<std::vector<std::string_view>> objectsIn(const std::string &code);

} // namespace graphc
