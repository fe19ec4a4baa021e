// The subcommands of graphc, one per file, and the exit codes they share.
#pragma once

#include <span>
#include <string_view>

namespace graphc {

/// What scripts may rely on.
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,        ///< The input cannot be compiled, imported or verified.
  kUsageError = 2,     ///< The command line is wrong.
  kBrokenContract = 3, ///< Pin, limit, memory budget or accuracy.
  kInternalError = 70, ///< A fault of graphc itself.
};

/// A command's arguments, without the program's and the command's names.
using Arguments = std::span<const std::string_view>;

int compileMain(Arguments arguments);
int importMain(Arguments arguments);
int runMain(Arguments arguments);
int evalMain(Arguments arguments);
int benchMain(Arguments arguments);
int verifyMain(Arguments arguments);
int explainMain(Arguments arguments);
int compareMain(Arguments arguments);

} // namespace graphc
