// A container that may use two cores' time of a host with 64 sees 64; as many
// threads would be stopped for most of each period, often one while others wait.
#include "Runtime/Cores.h"

#include "Support/File.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <sched.h>
#include <thread>

namespace graphc {

int64_t quotaCores(const std::string &root, std::string group) {
  int64_t cores = INT64_MAX;
  for (;;) {
    long long quota = 0, period = 0; // "200000 100000", or "max 100000"
    if (absl::StatusOr<std::string> limit = readFile(root + group + "/cpu.max");
        limit.ok() && std::sscanf(limit->c_str(), "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
      cores = std::min<int64_t>(cores, quota / period + (quota % period != 0));
    const size_t end = group.rfind('/');
    if (end == group.npos)
      return cores;
    group.resize(end);
  }
}

int64_t availableCores() {
  int64_t cores = std::max(1u, std::thread::hardware_concurrency()); // above 1024 cores
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    cores = CPU_COUNT(&set);
  absl::StatusOr<std::string> groups = readFile("/proc/self/cgroup");
  const size_t own = groups.ok() ? groups->find("0::/") : std::string::npos;
  if (own == std::string::npos)
    return cores;
  const std::string group = groups->substr(own + 3, groups->find('\n', own) - own - 3);
  return std::min(cores, quotaCores("/sys/fs/cgroup", group));
}

namespace {
std::atomic<int64_t> running = 0; ///< Steps, of all sessions.
} // namespace

CoreShare::CoreShare(int64_t cores, int64_t &together)
    : together(together), begun(++running), cores(std::max<int64_t>(1, cores / std::max(begun, together))) {}
CoreShare::~CoreShare() { together = std::max(begun, running--); }

} // namespace graphc
