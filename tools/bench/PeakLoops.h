// Loops at the limit of an execution unit or of memory, one for each width of
// vectors, compiled for it whatever the rest of the program is compiled for.
#pragma once

#include "Support/Target.h"

#include <cstddef>
#include <cstdint>

namespace graphc::bench {

/// A loop of multiply-adds in registers, with more chains than the unit's latency.
struct PeakLoop {
  void (*run)(int64_t steps);
  double operations; ///< Of a step; a multiply-add is 2.
};

/// bf16 pairs into f32; a null loop if `target` has no such instruction.
PeakLoop dotLoop(const Target &target);
PeakLoop f32Loop(const Target &target);

/// Reads `bytes` bytes, a multiple of 256, at `data`, aligned to 64.
using ReadLoop = void (*)(const std::byte *data, size_t bytes);
ReadLoop readLoop(const Target &target);

} // namespace graphc::bench
