// The guard of a cache: page protection, canaries and a handler that notes a
// forbidden write, lets it through and so reports it instead of crashing.
#include "Runtime/CacheGuard.h"
#include "Runtime/SessionState.h"
#include "Runtime/Trace.h"
#include "Support/Message.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <sys/mman.h>
#include <utility>

namespace graphc {

using Kind = Binding::Kind;

static constexpr uint64_t kPage = 4096;
static constexpr int kCanary = 0xff;

namespace {
/// The memory being watched, and the first forbidden write to it.
struct Watch {
  const std::byte *begin, *end;
  std::atomic<uintptr_t> fault{0};
};
std::atomic<Watch *> watched{nullptr};
struct sigaction previousAction;

/// Runs in a signal handler: system calls and atomics only.
void noteFault(int, siginfo_t *signal, void *) {
  const int error = errno;
  const auto address = reinterpret_cast<uintptr_t>(signal->si_addr);
  Watch *watch = watched.load();
  if (watch && address >= reinterpret_cast<uintptr_t>(watch->begin) &&
      address < reinterpret_cast<uintptr_t>(watch->end)) {
    uintptr_t none = 0;
    watch->fault.compare_exchange_strong(none, address);
    ::mprotect(reinterpret_cast<void *>(address / kPage * kPage), kPage, PROT_READ | PROT_WRITE);
  } else {
    ::sigaction(SIGSEGV, &previousAction, nullptr); // no business of ours: faults again
  }
  errno = error;
}

/// Handles SIGSEGV for as long as it lives.
class FaultHandler {
public:
  explicit FaultHandler(Watch &watch) {
    watched = &watch;
    struct sigaction action = {};
    action.sa_sigaction = noteFault;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    ::sigaction(SIGSEGV, &action, &previousAction);
  }
  ~FaultHandler() {
    ::sigaction(SIGSEGV, &previousAction, nullptr);
    watched = nullptr;
  }
};

/// A side of a slot, (batch, heads, rows, width) elements, and where it begins in the
/// memory of the cache.
struct Side {
  const Binding &binding;
  int64_t batch, heads, rows;
  uint64_t rowBytes, start;
};

template <typename State> std::vector<Side> sidesOf(const State &state) {
  std::vector<Side> sides;
  for (size_t i = 0; i < state.program.bindings.size(); ++i) {
    const Binding &binding = state.program.bindings[i];
    if (binding.kind != Kind::Cache)
      continue;
    auto dim = [&](size_t d) { // scales have no columns
      return d < binding.dims.size() ? dimValue(state.program, binding.dims[d], state.dims) : 1;
    };
    sides.push_back({binding, dim(0), dim(1), dim(2), uint64_t(dim(3)) * byteSize(binding.dtype),
                     uint64_t(static_cast<std::byte *>(state.pointers[i]) - state.cache.data())});
  }
  return sides;
}
} // namespace

absl::StatusOr<std::unique_ptr<CacheGuard>> CacheGuard::create(Session &session) {
  for (int32_t length : session.lengths())
    if (length)
      return invalidArgument("guarded session must be new, got a sequence of ", length, " tokens");
  const Memory &cache = TraceAccess::stateOf(session).cache;
  if (cache.size())
    std::memset(cache.data(), kCanary, cache.size());
  return std::unique_ptr<CacheGuard>(new CacheGuard(session));
}

/// The bytes of those rows in all slots of the decoder, or in all cross slots.
std::vector<CacheGuard::Range> CacheGuard::rangesOf(const std::vector<NewRows> &written, bool ofCross) {
  const auto &state = TraceAccess::stateOf(session);
  std::vector<Range> ranges;
  for (const Side &side : sidesOf(state)) {
    if (side.binding.isOfCross() != ofCross)
      continue;
    for (const NewRows &rows : written)
      for (int64_t head = 0; head < side.heads; ++head)
        for (int64_t position = rows.first; position < rows.first + rows.count; ++position) {
          numReused += position >= side.rows;
          const uint64_t first = side.start + uint64_t((rows.sequence * side.heads + head) * side.rows +
                                                       position % side.rows) * side.rowBytes;
          ranges.push_back({first, first + side.rowBytes});
        }
  }
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

std::vector<bool> CacheGuard::pagesOf(const std::vector<Range> &rows) const {
  std::vector<bool> pages(TraceAccess::stateOf(session).cache.size() / kPage);
  for (const Range &range : rows)
    for (uint64_t page = range.first / kPage; page * kPage < range.last; ++page)
      pages[page] = true;
  return pages;
}

/// Makes the pages that are not `writable` read-only, runs of them at once.
absl::Status CacheGuard::protect(const std::vector<bool> &writable) const {
  std::byte *start = TraceAccess::stateOf(session).cache.data();
  for (size_t page = 0; page < writable.size();) {
    size_t end = page;
    while (end < writable.size() && writable[end] == writable[page])
      ++end;
    const int access = writable[page] ? PROT_READ | PROT_WRITE : PROT_READ;
    if (::mprotect(start + page * kPage, (end - page) * kPage, access) != 0)
      return absl::UnavailableError(concat("cache pages cannot be protected: ", std::strerror(errno)));
    page = end;
  }
  return absl::OkStatus();
}

/// "keys of block 0, sequence 1, head 0, row 17".
std::string CacheGuard::placeOf(uint64_t offset) const {
  const auto &state = TraceAccess::stateOf(session);
  for (const Side &side : sidesOf(state)) {
    const uint64_t row = offset < side.start ? UINT64_MAX : (offset - side.start) / side.rowBytes;
    if (row < uint64_t(side.batch * side.heads * side.rows))
      return concat(side.binding.name, " of block ", side.binding.block, ", sequence ", row / uint64_t(side.rows * side.heads),
                    ", head ", row / uint64_t(side.rows) % uint64_t(side.heads), ", row ", row % uint64_t(side.rows));
  }
  return "memory between two slots";
}

absl::Status CacheGuard::compare(const std::vector<Range> &rows, const std::vector<bool> &writable,
                                 const std::vector<std::byte> &before) {
  const std::byte *start = TraceAccess::stateOf(session).cache.data();
  size_t next = 0; // the first range that does not end before the byte
  const std::byte *old = before.data();
  for (uint64_t page = 0; page < writable.size(); ++page) {
    if (!writable[page]) {
      ++numProtected;
      continue;
    }
    for (uint64_t at = page * kPage; at < (page + 1) * kPage; ++at, ++old) {
      while (next < rows.size() && rows[next].last <= at)
        ++next;
      if (next < rows.size() && rows[next].first <= at)
        continue;
      ++canaryBytes;
      if (start[at] != *old)
        return brokenContract("run: the step wrote to a row that is not new: ", placeOf(at));
    }
  }
  for (const Range &range : rows) {
    if (std::all_of(start + range.first, start + range.last, [](std::byte b) { return b == std::byte(kCanary); }))
      return brokenContract("run: the step did not write a new row: ", placeOf(range.first));
    ++numRows;
    rowBytes += range.last - range.first;
  }
  return absl::OkStatus();
}

absl::StatusOr<LogitsView> CacheGuard::forward(std::span<const NewTokens> tokens) {
  auto &state = TraceAccess::stateOf(session);
  if (absl::Status status = state.check(tokens); !status.ok())
    return status;
  if (state.totalTokens > state.chunk)
    return invalidArgument("guarded step must have at most ", state.chunk, " tokens, got ", state.totalTokens);
  std::vector<NewRows> written;
  for (const NewTokens &entry : tokens)
    written.push_back({entry.sequence, state.lengths[entry.sequence], int64_t(entry.ids.size())});
  absl::StatusOr<LogitsView> logits;
  absl::Status status = step(rangesOf(written, /*ofCross=*/false), [&] {
    logits = session.forward(tokens);
    return logits.status();
  });
  return status.ok() ? logits : status;
}

absl::Status CacheGuard::encode(std::span<const Source> sources) {
  auto &state = TraceAccess::stateOf(session);
  if (absl::Status status = std::as_const(state).check(sources); !status.ok())
    return status;
  std::vector<NewRows> written;
  int64_t tokens = 0;
  for (const Source &source : sources) {
    written.push_back({source.sequence, 0, int64_t(source.ids.size())});
    tokens += written.back().count;
  }
  if (tokens > state.sourceTokens)
    return invalidArgument("guarded encode must have at most ", state.sourceTokens, " tokens, got ", tokens);
  return step(rangesOf(written, /*ofCross=*/true), [&] { return session.encode(sources); });
}

/// `run`, which must write `rows`, each of them, and nothing else of the cache.
absl::Status CacheGuard::step(const std::vector<Range> &rows, const std::function<absl::Status()> &run) {
  static std::mutex oneAtATime;
  const std::lock_guard lock(oneAtATime);
  auto &state = TraceAccess::stateOf(session);
  const std::vector<bool> writable = pagesOf(rows);
  std::vector<std::byte> before;
  for (uint64_t page = 0; page < writable.size(); ++page)
    if (writable[page])
      before.insert(before.end(), state.cache.data() + page * kPage, state.cache.data() + (page + 1) * kPage);
  for (const Range &range : rows) // a ring's new rows hold old ones, a source's those of the one before
    std::memset(state.cache.data() + range.first, kCanary, range.last - range.first);
  const std::vector<void *> pointers = state.pointers;

  Watch watch{state.cache.data(), state.cache.data() + state.cache.size()};
  if (absl::Status status = protect(writable); !status.ok())
    return status;
  const absl::Status ran = [&] {
    FaultHandler handler(watch);
    return run();
  }();
  if (absl::Status status = protect(std::vector<bool>(writable.size(), true)); !status.ok())
    return status;
  if (!ran.ok())
    return ran;
  if (const uintptr_t fault = watch.fault)
    return brokenContract("run: the step wrote to a page without new rows: ",
                          placeOf(fault - reinterpret_cast<uintptr_t>(state.cache.data())));
  for (size_t i = 0; i < pointers.size(); ++i)
    if (state.program.bindings[i].kind == Kind::Cache && pointers[i] != state.pointers[i])
      return brokenContract("run: the cache moved during a step");
  ++numSteps;
  return compare(rows, writable, before);
}

Facts CacheGuard::facts() const {
  return {{"steps", numSteps}, {"rows-written", numRows}, {"bytes-written", rowBytes},
          {"read-only-pages", numProtected}, {"canary-bytes", canaryBytes}, {"rows-reused", numReused}};
}

absl::StatusOr<uint64_t> residentBytes() {
  std::FILE *file = std::fopen("/proc/self/smaps", "r");
  if (!file)
    return absl::UnavailableError("resident memory cannot be read from /proc/self/smaps");
  char line[512], access[5] = "";
  unsigned long long kilobytes = 0, sum = 0;
  bool found = false;
  while (std::fgets(line, sizeof line, file)) {
    if (std::sscanf(line, "%*x-%*x %4s", access) == 1)
      continue;
    const bool isShared = access[3] == 's';
    if (std::sscanf(line, isShared ? "Rss: %llu kB" : "Anonymous: %llu kB", &kilobytes) == 1)
      sum += kilobytes, found = true;
  }
  std::fclose(file);
  if (!found)
    return absl::UnavailableError("resident memory must be in /proc/self/smaps, got no line of it");
  return uint64_t(sum) * 1024;
}

} // namespace graphc
