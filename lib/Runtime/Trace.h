// Watching a session's kernels from inside: programs compiled with a trace call
// back after each kernel, while the other threads wait. For tests that compare
// kernel by kernel; also their way to the memory of any session.
#pragma once

#include "Support/Program.h"
#include "graphc/Runtime.h"

#include <absl/status/status.h>
#include <cstdint>
#include <functional>
#include <span>

namespace graphc {

/// What the pointer of a trace binding points to. Compiled code calls
/// callback(context, kernel) from thread 0 after each kernel, kernel being its
/// index in Program::kernels; both fields are always set.
struct TraceHook {
  void (*callback)(void *context, int64_t kernel);
  void *context;
};

/// A call in progress: pointers[i] is the memory of program.bindings[i], which a
/// trace may read and write; dims[i] the value of program.symbols[i].
struct CallView {
  const Program &program;
  std::span<void *const> pointers;
  std::span<const int64_t> dims;
};

using Trace = std::function<void(const CallView &call, int64_t kernel)>;

struct TraceAccess {
  /// Calls `trace` after each kernel of `session` from now on; an empty function
  /// ends that. FailedPrecondition if the program was compiled without a trace.
  static absl::Status set(Session &session, Trace trace);
  /// The last call of `session`; before the first, its dims are those of the
  /// largest call.
  static CallView lastCall(const Session &session);
  static Session::State &stateOf(const Session &session) { return *session.state; }
};

} // namespace graphc
