// The memory that a session of a program needs, to the byte, known before any
// weight is read.
#pragma once

#include "Support/Program.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace graphc {

/// Capacity of a session that asks for none, if the model allows it: rope tables
/// and, with huge pages, cache are paid for by capacity.
inline constexpr int64_t kDefaultCapacity = 4096;

/// What a session is asked to hold; 0 = the default that is said.
struct PlanRequest {
  int64_t batch = 1;     ///< Sequences.
  int64_t capacity = 0;  ///< Tokens of a sequence; default: min(max_length, kDefaultCapacity).
  int64_t chunk = 512;   ///< Most packed tokens in one call.
  int64_t threads = 1;
  int64_t logitRows = 0; ///< Most rows of logits one forward returns; default: batch.
  int64_t stateRows = 0; ///< Most tokens in one forward, for outputs (tokens, ..); default: max(chunk, batch).
};

/// Bytes by use. Buffers begin at multiples of kAlignment; `alignment` is what
/// that leaves unused, so that `total` is what is allocated or mapped.
struct MemoryPlan {
  struct Block {
    int64_t block = 0;
    int64_t rows = 0; ///< Of a sequence: the capacity, or fewer in a ring.
    DType keys = DType::F32, values = DType::F32;
    uint64_t keyBytes = 0, valueBytes = 0;
    uint64_t scaleBytes = 0; ///< Of keys and values of 8 bits.
    bool operator==(const Block &) const = default;
  };
  PlanRequest request;       ///< With the defaults put in.
  uint64_t weightsMapped = 0;    ///< Used in place, in the page cache; tied ones count once.
  uint64_t weightsConverted = 0; ///< Made once, shared by the sessions of one process.
  std::vector<Block> blocks;     ///< Ordered by index.
  uint64_t cache = 0;            ///< Keys, values, scales, and the lengths, 4 bytes a sequence.
  uint64_t workspace = 0;
  uint64_t ropeTables = 0;
  uint64_t inputs = 0;           ///< Token ids, positions and the like, without lengths.
  uint64_t outputs = 0;
  uint64_t alignment = 0;

  uint64_t total() const {
    return weightsMapped + weightsConverted + cache + workspace + ropeTables + inputs + outputs +
           alignment;
  }
  /// A table for people; ends with a newline.
  std::string text() const;
  nlohmann::json json() const;
};

/// True for logits of another dtype than f32, which a session also keeps widened.
bool isWidenedLogits(const Binding &binding);

/// The extents of the largest call that a session for `request` makes, defaults
/// put in. InvalidArgument if the request is not positive or beyond the model's
/// max_length.
absl::StatusOr<Extents> largestCall(const Program &program, PlanRequest &request);

/// The plan; InvalidArgument as above, OutOfRange if sizes overflow.
absl::StatusOr<MemoryPlan> planMemory(const Program &program, PlanRequest request);

/// ResourceExhausted if the plan's total exceeds `budget` bytes; the message
/// states need, budget, and the largest capacity that fits, if any does.
absl::Status checkBudget(const Program &program, const PlanRequest &request, uint64_t budget);

} // namespace graphc
