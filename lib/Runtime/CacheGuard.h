// Steps with the cache under guard, for tests of the contract: pages without new
// rows are read-only while the program runs, and what stands between the new rows
// of a page is compared afterwards. Rows without a token hold canaries, which are
// NaN in every float dtype, so a result that depends on one of them shows.
#pragma once

#include "Support/Contract.h"
#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace graphc {

class CacheGuard {
public:
  /// Guards `session`, which must be new and must outlive the guard. Fills its
  /// cache with canaries. InvalidArgument if there are tokens in it.
  static absl::StatusOr<std::unique_ptr<CacheGuard>> create(Session &session);

  /// Session::forward, for tokens that one call of the program takes. Besides its
  /// errors: InvalidArgument for more than a chunk of tokens; Aborted, naming the
  /// slot and the row, if the program wrote anything but all the new rows. One
  /// guarded step runs at a time in a process: it handles SIGSEGV meanwhile.
  absl::StatusOr<LogitsView> forward(std::span<const NewTokens> tokens);
  /// Session::encode in the same way, for sources that one call takes: only the
  /// rows of their cross caches may be written.
  absl::Status encode(std::span<const Source> sources);

  /// steps, rows written (of all slots, sides and heads), bytes of them,
  /// protected pages, canary bytes compared, and how many of the rows took the
  /// place of one that a ring had before.
  Facts facts() const;

private:
  /// New rows, as bytes of the cache: [first, last).
  struct Range {
    uint64_t first, last;
    bool operator<(const Range &other) const { return first < other.first; }
  };

  /// Rows [first, first + count) of a sequence.
  struct NewRows {
    int64_t sequence, first, count;
  };

  explicit CacheGuard(Session &session) : session(session) {}
  std::vector<Range> rangesOf(const std::vector<NewRows> &written, bool ofCross);
  absl::Status step(const std::vector<Range> &rows, const std::function<absl::Status()> &run);
  std::vector<bool> pagesOf(const std::vector<Range> &rows) const;
  absl::Status protect(const std::vector<bool> &writable) const;
  absl::Status compare(const std::vector<Range> &rows, const std::vector<bool> &writable,
                       const std::vector<std::byte> &before);
  std::string placeOf(uint64_t offset) const;

  Session &session;
  uint64_t numSteps = 0, numRows = 0, rowBytes = 0, numProtected = 0, canaryBytes = 0, numReused = 0;
};

/// Resident memory of this process in bytes, from the kernel's page tables: what is
/// its own, and files that are mapped as weights are. Code is left out: which pages
/// of it are resident depends on what ran before.
absl::StatusOr<uint64_t> residentBytes();

} // namespace graphc
