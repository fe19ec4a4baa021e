// The schedule of a guarded run covers what a cache meets: prompts of unequal
// lengths, chunks behind them, sequences left out, and single tokens until the
// sequences are full.
#include "Compiler/GuardedRun.h"

#include "Runtime/CacheGuard.h"
#include "Runtime/Code.h"
#include "Runtime/SessionState.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace graphc {
namespace {

constexpr int64_t kChunk = 16, kMostTokens = 128;

using Forward = std::function<absl::StatusOr<LogitsView>(std::span<const NewTokens>)>;

/// The new tokens of each sequence in step `step`; none when all are full.
std::vector<int64_t> countsOf(int64_t step, std::span<const int32_t> lengths, int64_t capacity) {
  std::vector<int64_t> counts;
  int64_t left = kChunk;
  for (size_t s = 0; s < lengths.size(); ++s) {
    int64_t count = step == 0 ? 1 + int64_t(s) % 5 * 2 : step % 4 == 1 ? (int64_t(s) % 2 ? 0 : 7) : 1;
    count = std::min({count, capacity - lengths[s], left});
    counts.push_back(count);
    left -= count;
  }
  return counts;
}

/// Runs the schedule in `session`; hands the logits of each step to `take`.
absl::Status runSchedule(Session &session, const Forward &forward, const std::function<absl::Status(const LogitsView &)> &take) {
  const int64_t capacity = std::min(session.options().capacity, kMostTokens);
  const int64_t vocab = session.model().executable().program().model.vocabSize;
  for (int64_t step = 0;; ++step) {
    const std::vector<int64_t> counts = countsOf(step, session.lengths(), capacity);
    std::vector<std::vector<int32_t>> ids(counts.size());
    std::vector<NewTokens> tokens;
    for (size_t s = 0; s < counts.size(); ++s) {
      for (int64_t i = 0; i < counts[s]; ++i)
        ids[s].push_back(int32_t((step * 7919 + int64_t(s) * 104729 + i * 31 + 1) % vocab));
      if (!ids[s].empty())
        tokens.push_back({int64_t(s), ids[s], NewTokens::Logits::Last});
    }
    if (tokens.empty() && std::ranges::all_of(session.lengths(), [&](int32_t length) { return length >= capacity; }))
      return absl::OkStatus();
    absl::StatusOr<LogitsView> logits = forward(tokens);
    if (!logits.ok())
      return logits.status();
    if (absl::Status status = take(*logits); !status.ok())
      return status;
  }
}

/// Guarded against unguarded: the same logits, bit by bit.
absl::StatusOr<Facts> compareSessions(const std::shared_ptr<const Model> &model, const SessionOptions &options) {
  auto plain = Session::create(model, options), guarded = Session::create(model, options);
  for (auto *session : {&plain, &guarded})
    if (!session->ok())
      return session->status();
  auto guard = CacheGuard::create(**guarded);
  if (!guard.ok())
    return guard.status();
  std::vector<float> expected;
  auto keep = [&](const LogitsView &logits) {
    expected.insert(expected.end(), logits.data, logits.data + logits.rows * logits.vocab);
    return absl::OkStatus();
  };
  absl::Status status = runSchedule(**plain, [&](auto tokens) { return (*plain)->forward(tokens); }, keep);
  if (!status.ok())
    return status;
  size_t at = 0;
  auto compare = [&](const LogitsView &logits) -> absl::Status {
    const size_t count = size_t(logits.rows * logits.vocab);
    if (at + count > expected.size() || std::memcmp(logits.data, expected.data() + at, count * sizeof(float)) != 0)
      return brokenContract("run: results change with what stands in rows without tokens");
    at += count;
    return absl::OkStatus();
  };
  status = runSchedule(**guarded, [&](auto tokens) { return (*guard)->forward(tokens); }, compare);
  if (!status.ok())
    return status;
  return (*guard)->facts();
}

/// How much resident memory grew at most while weights were opened and a session
/// ran: nothing is given back before the end. The ends of pages go to `ends`.
absl::StatusOr<uint64_t> measureGrowth(const std::shared_ptr<const Executable> &executable, const std::string &weights,
                                       const SessionOptions &options, uint64_t &ends) {
  absl::StatusOr<uint64_t> before = residentBytes();
  if (!before.ok())
    return before.status();
  uint64_t most = *before;
  auto sample = [&]() -> absl::Status {
    absl::StatusOr<uint64_t> now = residentBytes();
    most = std::max(most, now.value_or(0));
    return now.status();
  };
  auto model = Model::open(executable, weights);
  if (!model.ok())
    return model.status();
  if (absl::Status status = sample(); !status.ok())
    return status;
  auto session = Session::create(*model, options);
  if (!session.ok())
    return session.status();
  absl::Status status = runSchedule(**session, [&](auto tokens) { return (*session)->forward(tokens); },
                                    [&](const LogitsView &) { return sample(); });
  if (!status.ok())
    return status;
  ends = TraceAccess::stateOf(**session).pageEnds();
  return most - *before;
}

} // namespace

absl::StatusOr<Facts> runGuarded(const std::shared_ptr<const Executable> &executable, const std::string &weights,
                                 SessionOptions options) {
  options.chunk = std::min(options.chunk, kChunk);
  options.capacity = options.capacity ? options.capacity
                                      : std::min(executable->program().model.maxLength, kMostTokens);
  absl::StatusOr<uint64_t> planned = executable->planBytes(options);
  if (!planned.ok())
    return planned.status();
  absl::StatusOr<Facts> facts = [&]() -> absl::StatusOr<Facts> {
    auto model = Model::open(executable, weights);
    return model.ok() ? compareSessions(*model, options) : absl::StatusOr<Facts>(model.status());
  }(); // also starts the threads and warms the heap, so that the growth is a session's alone
  if (!facts.ok())
    return facts;
  uint64_t ends = 0;
  absl::StatusOr<uint64_t> peak = measureGrowth(executable, weights, options, ends);
  if (!peak.ok())
    return peak.status();
  if (*peak > *planned + ends)
    return brokenContract("run: the measured peak is ", *peak, " bytes, planned are ", *planned, " and ", ends,
                          " for the ends of pages");
  facts->push_back({"peak-bytes", *peak});
  facts->push_back({"planned-bytes", *planned});
  facts->push_back({"page-ends", ends});
  return facts;
}

} // namespace graphc
