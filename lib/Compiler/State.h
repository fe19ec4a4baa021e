// What a compilation leaves behind.
#pragma once

#include "Compiler/KernelFacts.h"
#include "Compiler/Work.h"
#include "Support/Program.h"
#include "graphc/Compiler.h"

namespace graphc {

struct CompiledModel::State {
  Stage stage = Stage::Object;
  std::string output, notes, summary;
  Program program; ///< From Stage::Kernel on.
  Work work;       ///< The same.
  std::vector<PhaseTime> phases;
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

/// The C header of a shared object called `name` ("model.so").
std::string headerText(const Program &program, const std::string &name);

} // namespace graphc
