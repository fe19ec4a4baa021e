// What an Executable holds.
#pragma once

#include "Support/MemoryPlan.h"
#include "Support/Program.h"
#include "graphc/Runtime.h"

#include <memory>

namespace graphc {

struct Executable::Code {
  Program program;
  EntryPoint prefill = nullptr, decode = nullptr;
  EntryPoint encoder = nullptr; ///< Of programs that have one.
  std::shared_ptr<void> owner; ///< Of the code's memory.
};

/// The request that stands for `options`, threads put in.
PlanRequest planRequest(const SessionOptions &options);

} // namespace graphc
