// How many threads are of use: the default of every session.
#pragma once

#include <cstdint>
#include <string>

namespace graphc {

/// Cores that this process may use: those of its affinity, and no more than the
/// quotas of its control groups pay for; at least 1.
int64_t availableCores();

/// Cores that the CPU quotas (cgroup v2, cpu.max) of `group` and of the groups around
/// it pay for, a part of a core counted as one; INT64_MAX without a quota. `root` is
/// the mounted hierarchy, `group` a path in it that begins with '/'.
int64_t quotaCores(const std::string &root, std::string group);

/// A step's share of cores while it lives: steps of all sessions of this process that run
/// at once divide them, so that together they have no more threads than there are cores.
/// A step that began alone keeps what it has; the next ones of its session give way.
class CoreShare {
public:
  /// Of `cores`, which a step has when it runs alone.
  explicit CoreShare(int64_t cores);
  ~CoreShare();
  CoreShare(const CoreShare &) = delete;

  const int64_t cores; ///< At least 1.
};

} // namespace graphc
