// A run of a compiled model for its certificate: prompts, chunks and decoding
// steps with the cache under guard, compared with a session without a guard, and
// the memory that the process grew by.
#pragma once

#include "Support/Contract.h"
#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <memory>
#include <string>

namespace graphc {

/// Runs `executable` in sessions of `options`, chunks of at most 16 tokens and at
/// most 128 tokens a sequence. What the guard counted, "peak-bytes", "planned-bytes"
/// and "page-ends": resident memory comes in pages, so that the peak may exceed the
/// plan by the ends of the last ones. Aborted if the contract is broken: a write
/// outside the new rows, a result that depends on rows without tokens, or growth
/// beyond the plan.
absl::StatusOr<Facts> runGuarded(const std::shared_ptr<const Executable> &executable, const std::string &weights,
                                 SessionOptions options);

} // namespace graphc
