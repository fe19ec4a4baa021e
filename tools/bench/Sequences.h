// What is run while the clock does: sessions whose sequences all have the same
// number of tokens, and the tokens.
#pragma once

#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <chrono>
#include <memory>
#include <random>
#include <span>
#include <vector>

namespace graphc::bench {

using Clock = std::chrono::steady_clock;
inline double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Token ids, the same in every process.
class Tokens {
public:
  explicit Tokens(int64_t vocabulary) : draw(0, int32_t(vocabulary - 1)) {}
  std::vector<int32_t> next(int64_t count) {
    std::vector<int32_t> ids(count);
    for (int32_t &id : ids)
      id = draw(engine);
    return ids;
  }

private:
  std::mt19937 engine{1};
  std::uniform_int_distribution<int32_t> draw;
};

/// A session with the same number of tokens in each sequence.
class Sequences {
public:
  static absl::StatusOr<Sequences> create(const std::shared_ptr<const Model> &model, const SessionOptions &options) {
    absl::StatusOr<std::unique_ptr<Session>> session = Session::create(model, options);
    if (!session.ok())
      return session.status();
    return Sequences(*std::move(session));
  }

  int64_t batch() const { return session->options().batch; }
  Session &get() { return *session; }
  std::string cacheDType() const { return session->cacheDType(); }
  std::span<const int32_t> lengths() const { return session->lengths(); }
  void reset() {
    for (int64_t i = 0; i < batch(); ++i)
      (void)session->reset(i); // fails for sequences that are not there only
  }
  /// Seconds of a forward of `ids`, the same count for each sequence.
  absl::StatusOr<double> forward(const std::vector<int32_t> &ids, NewTokens::Logits logits) {
    const size_t count = ids.size() / size_t(batch());
    std::vector<NewTokens> tokens;
    for (int64_t i = 0; i < batch(); ++i)
      tokens.push_back({i, std::span(ids).subspan(size_t(i) * count, count), logits});
    const Clock::time_point start = Clock::now();
    absl::StatusOr<LogitsView> result = session->forward(tokens);
    const double seconds = since(start);
    if (!result.ok())
      return result.status();
    return seconds;
  }

private:
  explicit Sequences(std::unique_ptr<Session> session) : session(std::move(session)) {}
  std::unique_ptr<Session> session;
};

} // namespace graphc::bench
