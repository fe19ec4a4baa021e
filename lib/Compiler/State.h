// What a compilation leaves behind.
#pragma once

#include "Compiler/KernelFacts.h"
#include "Compiler/Work.h"
#include "Support/Contract.h"
#include "Support/Program.h"
#include "graphc/Compiler.h"

namespace graphc {

/// What the checkers of the cache's contract counted, level by level.
struct CheckedLevels {
  Facts layer, kernel, vector, translated, optimized;
  std::vector<std::string> symbols; ///< That the object leaves undefined.
};

struct CompiledModel::State {
  Stage stage = Stage::Object;
  std::string output, notes, summary;
  Program program; ///< From Stage::Kernel on.
  Work work;       ///< The same.
  std::vector<PhaseTime> phases;
  CheckedLevels checked; ///< Of the stages that were reached.
  bool fromCache = false;
};

/// Numbers for the summary, gathered on the way.
struct Counts {
  std::vector<std::string> casts; ///< "bf16 to f32 because output=f32 language_modeling_head".
  int64_t kernels = 0;            ///< Of a prefill, calls followed.
  int64_t distinct = 0;           ///< In the module, both phases.
  CacheTraffic traffic;           ///< Of a decode step.
};

/// Policy, cache, kernels, casts and weights in a few lines.
std::string summarize(const Program &program, const Counts &counts);

/// Bytes that a token of a sequence takes in all its caches, or a token of its
/// source in the cross caches; scales included. Rings are counted as if they were
/// full slots, which they are until the window is reached.
uint64_t cacheBytesPerToken(const Program &program, bool ofSource = false);

/// The C header of a shared object called `name` ("model.so").
std::string headerText(const Program &program, const std::string &name);

} // namespace graphc
