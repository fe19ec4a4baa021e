// The certificate of the cache's contract: what was checked on each level, in
// words and in numbers.
#pragma once

#include "Compiler/State.h"
#include "Support/MemoryPlan.h"

namespace graphc {

/// The certificate of a compiled program, for the session of `plan`; `run`, if
/// given, has what a guarded run counted.
Certificate makeCertificate(const Program &program, const CheckedLevels &levels, const MemoryPlan &plan, const Facts *run);

} // namespace graphc
