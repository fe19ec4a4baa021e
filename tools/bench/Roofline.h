// The roofline picture of a benchmark: how many operations a second each run and
// each kernel reached, over how many it has for each byte that it must read, below
// the limits that were measured beside it.
#pragma once

#include "tools/bench/Report.h"

#include <string>

namespace graphc::bench {

/// An SVG document without external resources: a panel with a point for each run,
/// if there are runs, and one for each profile with a point for each kind of kernel
/// that multiplies. docs/Performance.md says what the axes mean.
std::string rooflineSvg(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark);

} // namespace graphc::bench
