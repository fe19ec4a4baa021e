// Ahead-of-time artefacts: the shared object and its C header.
#pragma once

#include <absl/status/statusor.h>
#include <string>

namespace graphc {

/// The bytes of a shared object made of `code`, an object or an archive, called `name` ("model.so").
/// It needs libomp and nothing else. NotFound, with the remedy, if there is no
/// ld.lld beside LLVM or on PATH; Internal if it fails.
absl::StatusOr<std::string> linkSharedObject(const std::string &code, const std::string &name);

} // namespace graphc
