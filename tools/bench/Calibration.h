// The limits of this machine, measured by loops that do nothing else. They are
// cheap enough to be measured again beside every run: bandwidth and clock drift
// within seconds, so a limit from another minute is none.
#pragma once

#include "Runtime/Memory.h"
#include "Support/Target.h"

#include <absl/status/statusor.h>
#include <cstdint>

namespace graphc::bench {

/// What all threads together reach.
struct Limits {
  double readBandwidth = 0; ///< Bytes a second, from memory.
  double dotPeak = 0;       ///< Operations a second (2 a multiply-add) of bf16 dots; 0: the target has none.
  double f32Peak = 0;       ///< The same of f32 multiply-adds; of products and sums, if it cannot fuse.

  /// The mean of both.
  static Limits between(const Limits &before, const Limits &after);
};

class Calibration {
public:
  /// Takes the instructions of `target`, which this host must run.
  /// ResourceExhausted without memory for the buffer.
  static absl::StatusOr<Calibration> create(const Target &target);

  /// Measures once, on `threads` threads of the pool that compiled code runs on.
  Limits measure(int64_t threads);
  /// Of the buffer that is read: more than the caches hold, in part each time.
  uint64_t bufferBytes() const { return buffer.size(); }

private:
  Calibration(const Target &target, Memory buffer) : target(&target), buffer(std::move(buffer)) {}
  double readBandwidth(int64_t threads);

  const Target *target;
  Memory buffer;
  uint64_t next = 0; ///< Where the next read begins.
};

/// Calls `body(thread, context)` on each of `threads` threads; returns the seconds
/// until all are done.
double timeOnThreads(int64_t threads, void (*body)(int64_t thread, void *context), void *context);

} // namespace graphc::bench
