// What a Session holds: the argument table of its calls and the memory behind it.
#pragma once

#include "Runtime/Memory.h"
#include "Runtime/Trace.h"
#include "Support/MemoryPlan.h"
#include "graphc/Runtime.h"

#include <memory>
#include <optional>
#include <vector>

namespace graphc {

struct SavedCache;

struct Session::State {
  State(std::shared_ptr<const Model> model, const Program &program)
      : model(std::move(model)), program(program) {}
  State(const State &) = delete; // the tables below point into it

  absl::Status allocate(PlanRequest request);
  /// The first error of `tokens`; if there is none, sets the totals.
  absl::Status check(std::span<const NewTokens> tokens);
  absl::Status check(std::span<const Source> sources) const;
  void encode(std::span<const Source> sources);
  /// Runs an entry: by default with its share of the cores.
  void call(EntryPoint entry);
  LogitsView run(std::span<const NewTokens> tokens);

  // The cache between forwards (SessionCache.cpp).
  absl::StatusOr<SavedCache> describeCache() const;
  std::vector<std::span<std::byte>> rowsOf(const SavedCache &saved) const;
  int64_t shortestRewind(int64_t sequence) const;

  /// Bytes, at most, by which resident memory may exceed the plan since it comes in
  /// pages: the ends of the session's and the weights' mappings, and of the heap.
  uint64_t pageEnds() const;

  std::shared_ptr<const Model> model;
  const Program &program;
  SessionOptions options;
  uint64_t cacheBytes = 0;
  uint64_t allocatedBytes = 0; ///< Of cache and other, without the ends of pages.

  Memory cache; ///< Keys and values.
  Memory other; ///< Workspace, rope tables, inputs, outputs.
  std::vector<void *> pointers; ///< (bindings), an argument of the entries.
  std::vector<int64_t> dims;    ///< (symbols), the other one.
  int64_t *threadsDim = &unused, *tokensDim = &unused, *rowsDim = &unused; ///< Of `dims`, where declared.
  bool sharesCores = false;     ///< No number of threads was asked for.
  int64_t stepsTogether = 1;    ///< Of all sessions, as the last call began or ended.
  int64_t unused = 0;

  // Inputs of a call; the program may leave any of them out.
  int32_t *ids = nullptr;       ///< (tokens)
  int32_t *positions = nullptr; ///< (tokens)
  int32_t *starts = nullptr;    ///< (batch + 1)
  int32_t *lengths = nullptr;   ///< (batch); kept from call to call.
  int32_t *rowIds = nullptr;    ///< (rows)
  int32_t *sourceLengths = nullptr; ///< (batch), with an encoder; kept from call to call.

  // Of each sequence: (batch).
  std::vector<int32_t> pending; ///< The token that a generator took last and the cache has not; -1: none.
  std::vector<int32_t> reached; ///< Its greatest length since it was empty: rings have lost the rows before.
  std::vector<int32_t> loaded;  ///< Its length when it was loaded: rings never had the rows before.
  int64_t sourceTokens = 0;     ///< Most tokens of one call of the encoder.
  int64_t chunk = 0;            ///< Most tokens of one call, given batch and capacity.

  /// A result, whose rows the calls of one forward fill in turn.
  struct Output {
    size_t binding;
    std::byte *data;
    uint64_t rowBytes;
    bool ofTokens; ///< Rows are tokens, not wanted rows.
    bool ofEncoder; ///< The encoder writes it.
  };
  std::vector<Output> outputs;
  bool hasTokenOutputs = false, hasEncoderOutputs = false;
  std::optional<size_t> logits;   ///< Index in outputs.
  float *widenedLogits = nullptr; ///< (rows, vocab), if the program's are no f32.
  int64_t totalTokens = 0, totalRows = 0; ///< Of the last forward.
  int64_t totalSourceTokens = 0;          ///< Of the last encode.

  TraceHook hook;
  Trace trace;

  /// Seed mode: bindings that exchange their memory after each call.
  struct Carried {
    size_t before, after;
  };
  std::vector<Carried> carries;
  /// The first error of tokens that a cache with one offset for all sequences
  /// cannot take.
  absl::Status checkSeed(std::span<const NewTokens> tokens) const;
  /// Empties the cache; of one sequence only.
  absl::Status resetSeed();

private:
  /// The next token to pack: tokens[entry].ids[at].
  struct Cursor {
    size_t entry = 0, at = 0;
  };
  struct Packed {
    int64_t tokens = 0, rows = 0;
    bool isDecode = true; ///< No sequence has more than one.
  };
  /// Fills the inputs of one call with tokens from `cursor` on; advances it.
  Packed pack(std::span<const NewTokens> tokens, Cursor &cursor);
  /// The ids of one sequence must be in the vocabulary.
  absl::Status checkIds(int64_t sequence, std::span<const int32_t> ids) const;
  /// Sequences must be in order, each at most once.
  absl::Status checkSequence(int64_t sequence, int64_t previous) const;
  /// Lets the output's rows of the next call begin behind `rows`.
  void setOutput(const Output &output, int64_t rows);

  void *pointerOf(size_t index, uint64_t offset);
  void addOutput(size_t index, uint64_t bytes, const Extents &results);
  void findCarries();
  void fillRopes();
};

/// `count` elements at `data`, f32, f16 or bf16, widened.
void widenTo(float *out, const std::byte *data, DType dtype, uint64_t count);

} // namespace graphc
