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
  /// Of `cores`, which a step has when it runs alone. `together`, of its session: how many
  /// steps ran as the last one began or ended, at first 1; set again when this one ends. The
  /// moment between two steps of another session would not do: it looks as if that had ended.
  CoreShare(int64_t cores, int64_t &together);
  ~CoreShare();
  CoreShare(const CoreShare &) = delete;

private:
  int64_t &together;
  const int64_t begun; ///< Steps that run as this one begins, with it.

public:
  const int64_t cores; ///< At least 1.
};

} // namespace graphc
