// The schedule of a guarded run covers what a cache meets: prompts of unequal
// lengths, chunks behind them, sequences left out, and single tokens until the
// sequences are full; with an encoder sources before them, and one among them.
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

/// What a schedule calls: those of a session, or of its guard.
struct Steps {
  std::function<absl::StatusOr<LogitsView>(std::span<const NewTokens>)> forward;
  std::function<absl::Status(std::span<const Source>)> encode;
};

template <typename Runner> Steps stepsOf(Runner &runner) {
  return {[&](std::span<const NewTokens> tokens) { return runner.forward(tokens); },
          [&](std::span<const Source> sources) { return runner.encode(sources); }};
}

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

int32_t idOf(const Session &session, int64_t step, int64_t sequence, int64_t i) {
  return int32_t((step * 7919 + sequence * 104729 + i * 31 + 1) % session.model().executable().program().model.vocabSize);
}

/// A source for each sequence, of unequal lengths; each read by a call of its own.
absl::Status encodeSources(Session &session, const Steps &steps) {
  const int64_t most = std::min(session.options().sourceCapacity, kMostTokens);
  for (int64_t s = 0; s < session.options().batch; ++s) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < std::max<int64_t>(1, most - s % 3 * 5); ++i)
      ids.push_back(idOf(session, /*step=*/s, s, i + 1));
    const Source source{s, ids};
    if (absl::Status status = steps.encode({&source, 1}); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

/// Step after which the first sequence gets another, shorter source.
constexpr int64_t kNextSource = 3;

/// Runs the schedule in `session`; hands the logits of each step to `take`.
absl::Status runSchedule(Session &session, const Steps &steps, const std::function<absl::Status(const LogitsView &)> &take) {
  const int64_t capacity = std::min(session.options().capacity, kMostTokens);
  const bool hasEncoder = session.model().executable().program().hasEncoder();
  if (hasEncoder)
    if (absl::Status status = encodeSources(session, steps); !status.ok())
      return status;
  for (int64_t step = 0;; ++step) {
    const std::vector<int64_t> counts = countsOf(step, session.lengths(), capacity);
    std::vector<std::vector<int32_t>> ids(counts.size());
    std::vector<NewTokens> tokens;
    for (size_t s = 0; s < counts.size(); ++s) {
      for (int64_t i = 0; i < counts[s]; ++i)
        ids[s].push_back(idOf(session, step, int64_t(s), i));
      if (!ids[s].empty())
        tokens.push_back({int64_t(s), ids[s], NewTokens::Logits::Last});
    }
    if (tokens.empty() && std::ranges::all_of(session.lengths(), [&](int32_t length) { return length >= capacity; }))
      return absl::OkStatus();
    absl::StatusOr<LogitsView> logits = steps.forward(tokens);
    if (!logits.ok())
      return logits.status();
    if (absl::Status status = take(*logits); !status.ok())
      return status;
    if (hasEncoder && step == kNextSource) {
      const std::vector<int32_t> one = {idOf(session, step, 0, 0)};
      const Source source{0, one};
      if (absl::Status status = steps.encode({&source, 1}); !status.ok())
        return status;
    }
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
  absl::Status status = runSchedule(**plain, stepsOf(**plain), keep);
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
  status = runSchedule(**guarded, stepsOf(**guard), compare);
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
  absl::Status status = runSchedule(**session, stepsOf(**session), [&](const LogitsView &) { return sample(); });
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
  if (options.sourceCapacity == 0)
    options.sourceCapacity = std::min(executable->program().model.maxLength, kMostTokens);
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
