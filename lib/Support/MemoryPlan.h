// The memory that a session of a program needs, to the byte, known before any
// weight is read.
#pragma once

#include "Support/Formula.h"
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
  int64_t sourceCapacity = 0; ///< Tokens of a source; default as the capacity's. Of no use without an encoder.
  int64_t chunk = 512;   ///< Most packed tokens in one call; a source is never cut.
  int64_t threads = 1;
  int64_t logitRows = 0; ///< Most rows of logits one forward returns; default: batch.
  int64_t stateRows = 0; ///< Most tokens in one forward, for outputs (tokens, ..); default: max(chunk, batch),
                         ///< and the source's capacity.
};

/// Bytes by use. Buffers begin at multiples of kAlignment; `alignment` is what
/// that leaves unused, so that `total` is what is allocated or mapped.
struct MemoryPlan {
  struct Block {
    int64_t block = 0;
    bool cross = false; ///< Its cross cache.
    int64_t rows = 0; ///< Of a sequence: the capacity, or fewer in a ring.
    DType keys = DType::F32, values = DType::F32;
    uint64_t keyBytes = 0, valueBytes = 0;
    uint64_t scaleBytes = 0; ///< Of keys and values of 8 bits.
    Formula bytes;           ///< Of all of it.
    bool operator==(const Block &) const = default;
  };
  /// Weights that one conversion makes.
  struct Conversion {
    std::string why;        ///< "rounded f32 to bf16, transposed".
    bool isRepacked = true; ///< Only moved: no element changes.
    int64_t tensors = 0;
    uint64_t bytes = 0;
  };
  /// Memory of the workspace that buffers share.
  struct Slot {
    int64_t slot = 0;
    uint64_t bytes = 0;
    std::vector<Formula> formulas;    ///< Of its buffers; the slot is their largest.
    std::vector<std::string> kernels; ///< That use it.
  };
  /// What a use of memory is, as a function of the session.
  struct Formulas {
    Formula cache, ropeTables, inputs, outputs, stack, tables;
  };
  PlanRequest request;       ///< With the defaults put in.
  uint64_t weightsMapped = 0;    ///< Used in place, in the page cache; tied ones count once.
  uint64_t weightsConverted = 0; ///< Made once, shared by the sessions of one process.
  int64_t tensorsMapped = 0;     ///< Tensors that are used in place.
  std::vector<Conversion> conversions;
  std::vector<Block> blocks;     ///< Ordered by index.
  uint64_t cache = 0;            ///< Keys, values, scales, and the lengths, 4 bytes a sequence (8 with an encoder).
  uint64_t carried = 0;          ///< Of it, tensors of seed mode, before and after a step.
  uint64_t workspace = 0;        ///< Of all slots.
  std::vector<Slot> slots;       ///< Ordered by number.
  uint64_t stack = 0;            ///< Scratch of kernels: threads * the largest kernel's.
  std::vector<StackScratch> stackScratch; ///< By kernel, of a thread; largest first.
  uint64_t ropeTables = 0;
  uint64_t inputs = 0;           ///< Token ids, positions and the like, without lengths.
  uint64_t outputs = 0;
  uint64_t tables = 0;           ///< Names, shapes and pointers of a model and a session, on the heap: at most.
  uint64_t alignment = 0;
  Formulas formulas;
  /// Symbols of the formulas with their definitions and values: "tokens",
  /// "min(chunk, batch * capacity)", 512.
  struct Symbol {
    std::string name, definition;
    int64_t value = 0;
  };
  std::vector<Symbol> symbols;
  uint64_t budget = 0;           ///< 0: none.
  int64_t largestCapacity = 0;   ///< The largest that fits the budget; 0: none does.

  /// The peak: everything above at once.
  uint64_t total() const {
    return weightsMapped + weightsConverted + cache + workspace + stack + ropeTables + inputs +
           outputs + tables + alignment;
  }
  /// A table for people, with formulas; ends with a newline.
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
/// The same with the largest capacity that fits `budget` bytes; 0 is no budget.
absl::StatusOr<MemoryPlan> planMemory(const Program &program, PlanRequest request, uint64_t budget);

/// The largest capacity of a session, otherwise `request`, whose plan fits
/// `budget` bytes; 0 if none does.
int64_t largestCapacity(const Program &program, PlanRequest request, uint64_t budget);

/// ResourceExhausted if the plan's total exceeds `budget` bytes; the message
/// states need, budget, and the largest capacity that fits, if any does.
absl::Status checkBudget(const Program &program, const PlanRequest &request, uint64_t budget);

} // namespace graphc
