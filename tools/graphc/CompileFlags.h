// The options that compile, run and eval share: what a model is made into.
#pragma once

#include "Options.h"

#include "graphc/Compiler.h"

namespace graphc {

struct CompileFlags {
  CompileOptions compile;

  /// Policy, pin and outputs.
  void addModelOptions(Options &options);
  /// What must not be: --max-casts and --deny.
  void addLimitOptions(Options &options);
  /// The session that memory is planned for.
  void addSessionOptions(Options &options);
  /// Target, optimisation and MLIR's inspection.
  void addTargetOptions(Options &options);
  /// --no-compile-cache; without it the command uses the cache.
  void addCacheOption(Options &options);
  /// To be called after parsing.
  void finish();
  /// Parses, finishes, and runs `execute`: the command's exit code. Its error is
  /// reported.
  int run(Options &options, Arguments arguments, const std::function<absl::Status()> &execute);
  /// True if an option was given that only makes sense for a model not compiled yet.
  bool any() const { return used; }

private:
  bool used = false, mayCache = false, noCache = false;
};

/// Prints "graphc run: error: .." to standard error, and where a reproducer lies
/// if there is one. Returns the exit code of the status' kind.
int report(std::string_view command, const absl::Status &status, const std::string &reproducer = {});
/// Prints warnings and remarks of a compilation to standard error.
void printNotes(const CompiledModel &model);

/// True if the file at `path` is compiled already.
bool isSharedObject(const std::string &path);
/// Compiles the model at `path`; "-" is standard input.
absl::StatusOr<CompiledModel> compileArgument(const std::string &path, const CompileOptions &options);

/// A number of bytes: "512", "64K", "1.5G" (units of 1024).
absl::StatusOr<uint64_t> parseBytes(std::string_view text);
/// The parts of `text` between commas, blanks around them dropped.
std::vector<std::string> splitList(std::string_view text);
/// All of standard input.
absl::StatusOr<std::string> readStandardInput();
/// Of options and the paths they gave, empty if they were not: InvalidArgument if two
/// are standard output, and the error of one that cannot be written.
absl::Status checkOutputs(std::initializer_list<std::pair<std::string_view, std::string>> files);
/// Writes to `path` atomically, or to standard output if it is "-".
absl::Status writeOutput(const std::string &path, std::string_view bytes);

} // namespace graphc
