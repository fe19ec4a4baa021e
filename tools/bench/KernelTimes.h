// Where the time of a step goes: its kernels timed one by one, beside what each
// must read and multiply.
#pragma once

#include "tools/bench/Benchmark.h"
#include "tools/bench/Sequences.h"

namespace graphc::bench {

/// Runs steps like those of `measurement` on `sequences`, whose model was compiled
/// with a trace, and times each of its kernels. `work` is that model's. Prefills are
/// repeated `repeats` times, decode steps 16 times that. FailedPrecondition without a
/// trace.
absl::StatusOr<Profile> timeKernels(Sequences &sequences, const Work &work, const Measurement &measurement, int64_t repeats,
                                    Tokens &tokens, Calibration &calibration);

} // namespace graphc::bench
