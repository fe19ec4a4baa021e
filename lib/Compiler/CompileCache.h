// The compile cache: machine code of earlier compilations, found by all that it
// is made from. It is looked up behind the kernels, whose text holds what policy,
// pins and outputs did to the model; a hit saves emission and LLVM, nine tenths
// of the time.
#pragma once

#include "Compiler/State.h"

#include <absl/status/status.h>
#include <optional>
#include <string>
#include <string_view>

namespace graphc {

/// What a hit brings back: the rest of a compilation behind its kernels.
struct CachedCode {
  std::string object;    ///< An ELF relocatable, or an archive of several.
  Program program;       ///< With scratch on the stack.
  CheckedLevels checked; ///< Vector, translated, optimised and symbols.
};

class CompileCache {
public:
  /// The cache in `folder`, made with the first entry and kept below `limit` bytes:
  /// entries that were used least recently go first. Any number of processes and
  /// threads may use one folder at once.
  explicit CompileCache(std::string folder, uint64_t limit = uint64_t(256) << 20) : folder(std::move(folder)), limit(limit) {}

  /// The entry's name for `kernels`, the text of the kernel module, and what else
  /// code depends on (the target is part of the program): 64 digits. Empty if this
  /// build of graphc cannot be told from another (it was linked without a build ID),
  /// and nothing may be cached.
  static std::string key(std::string_view kernels, const Program &program, unsigned optimize, bool wholeObject);

  /// The code under `key`; nothing if there is none, if it is damaged, or if someone
  /// other than this user could have written it.
  std::optional<CachedCode> find(const std::string &key) const;
  /// Adds an entry, whole or not at all. Errors name the folder.
  absl::Status store(const std::string &key, const CachedCode &code) const;

private:
  std::string pathOf(const std::string &key) const;
  void evict() const;

  std::string folder;
  uint64_t limit;
};

} // namespace graphc
