// What the compiler tells the runtime: the manifest of a compiled program. It
// says what every pointer and every dimension of a call means, so that memory
// can be planned, weights found and calls made without knowing the model.
#pragma once

#include "Support/DType.h"
#include "Support/Rope.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// The manifest's version; a program of another one must be compiled anew.
inline constexpr int64_t kProgramVersion = 1;

/// Symbols of the shared object. The entries have the type EntryPoint; the
/// manifest is programToJson's text, ended by a NUL.
inline constexpr const char *kPrefillSymbol = "graphc_prefill";
inline constexpr const char *kDecodeSymbol = "graphc_decode";
inline constexpr const char *kEncoderSymbol = "graphc_encoder"; ///< Of models with an encoder only.
inline constexpr const char *kManifestSymbol = "graphc_manifest";

extern "C" {
/// One call of the program: pointers[i] belongs to Program::bindings[i], dims[i]
/// to Program::symbols[i]. Prefill serves any number of new tokens a sequence,
/// decode at most one. The encoder reads whole sources, one for each sequence that
/// has tokens in the call, and writes their rows of the cross caches.
typedef void (*EntryPoint)(void *const *pointers, const int64_t *dims);
}

/// Alignment in bytes of all memory that the runtime makes.
inline constexpr uint64_t kAlignment = 64;

/// What the symbols of dimensions stand for.
struct Extents {
  int64_t threads = 1;
  int64_t tokens = 1;   ///< Rows of packed new tokens in this call.
  int64_t batch = 1;    ///< Sequences of the session; a call may leave some without new tokens.
  int64_t rows = 1;     ///< Token rows whose logits are wanted; 0 is allowed.
  int64_t capacity = 1; ///< Rows of a full cache slot; batch * capacity is "cache_rows".
  int64_t source = 1;   ///< Rows of a cross cache: most tokens of a source.
  int64_t chunk = 512;  ///< Most tokens in one call; no symbol, but rings depend on it.
};

/// N of the symbol "window:N"; nothing for other text.
std::optional<int64_t> windowOf(std::string_view symbol);
/// Rows of a ring for a window of `window` tokens: those that the queries of one
/// call may see, min(capacity, roundUp(window + chunk - 1, 64)). Position p is
/// row p mod that.
int64_t ringRows(int64_t window, int64_t capacity, int64_t chunk);

/// A dimension: a number, or roundUp(symbol + offset, multiple). The text of the
/// latter is "tokens", "batch+1", "tokens align 32".
struct Dim {
  std::string symbol;   ///< Empty for a number.
  int64_t offset = 0;   ///< The number, if there is no symbol.
  int64_t multiple = 1;

  static Dim number(int64_t value) { return {"", value, 1}; }
  static Dim of(std::string symbol, int64_t offset = 0, int64_t multiple = 1) {
    return {std::move(symbol), offset, multiple};
  }
  bool isNumber() const { return symbol.empty(); }
  bool operator==(const Dim &) const = default;
};
/// The dimension that `text` spells; InvalidArgument if none. Whether the symbol
/// is declared is for checkProgram.
absl::StatusOr<Dim> parseDim(std::string_view text);
std::string dimText(const Dim &dim);

/// What one pointer of a call points to. All memory is dense and row-major.
struct Binding {
  enum class Kind : uint8_t {
    Input,     ///< "ids" (tokens), "positions" (tokens), "starts" (batch+1: first packed row of
               ///< each sequence), "lengths" (batch: cache rows before the call), "row_ids" (rows:
               ///< packed rows that feed the logits), "source_lengths" (batch: rows of the cross
               ///< caches); all i32.
    Parameter, ///< A weight: `source` .. `transpose` say how it is made.
    Cache,     ///< Side `name`, "keys" or "values", of `block`: (batch, kvHeads, capacity or
               ///< window:N, headDim). If that has an 8-bit dtype, also its scales,
               ///< "key_scales" or "value_scales": f32 (batch, kvHeads, as many rows).
               ///< With "cross_" in front: of the cross cache, (.., source, ..).
    Rope,      ///< Table `name`, "cos" or "sin", of `rope`: f32 (capacity, dim / 2).
    Buffer,    ///< Workspace; buffers of one `slot` share memory.
    Output,    ///< (rows or tokens, ..): "logits" f32 (rows, vocab), "hidden_states.0" ..
    Trace,     ///< A TraceHook (lib/Runtime/Trace.h); the last binding, if there is one.
    Carry,     ///< Seed mode: value `carry` of the cache as `name` says, "before" or "after" the
               ///< call; what is after one call is before the next. Leaves f32 (cache_rows,
               ///< heads * headDim), the mask i32 (cache_rows), the offset i32 (1); first zeros.
  };
  Kind kind = Kind::Buffer;
  std::string name;
  DType dtype = DType::F32;
  std::vector<Dim> dims;

  // Parameters: dims are numbers. Each element is widened to f64, rounded to
  // each type of `roundings` in turn and stored as dtype, which must hold it.
  // With no roundings and dtype = stored, the mapped file is used in place.
  std::string source;             ///< The checkpoint's tensor.
  DType stored = DType::F32;      ///< The tensor's dtype.
  std::vector<DType> roundings;   ///< rd_C(rd_P(w)) is {P, C}.
  bool transpose = false;         ///< The tensor is (dims[1], dims[0]).

  int64_t block = 0;              ///< Caches: index of the cache's block.
  RopeSpec rope;                  ///< Ropes.
  int64_t slot = 0;               ///< Buffers.
  int64_t carry = 0;              ///< Carries.

  /// One with these four, and the rest as by default.
  static Binding of(Kind kind, std::string name, DType dtype, std::vector<Dim> dims);

  /// True for a cross cache.
  bool isOfCross() const { return kind == Kind::Cache && name.starts_with("cross_"); }
  /// The name of a cache without "cross_".
  std::string_view side() const { return std::string_view(name).substr(isOfCross() ? 6 : 0); }
  /// True for a cache that holds the scales of an 8-bit side.
  bool isScales() const { return kind == Kind::Cache && (side() == "key_scales" || side() == "value_scales"); }
  /// True for a cache that is, or scales, keys.
  bool isOfKeys() const { return kind == Kind::Cache && (side() == "keys" || side() == "key_scales"); }
  /// True for a parameter that needs no memory of its own.
  bool isInPlace() const { return roundings.empty() && !transpose && dtype == stored; }
  bool operator==(const Binding &) const = default;
};

/// One kernel of a traced program, in order of execution.
struct TracedKernel {
  struct Value {
    int64_t binding = 0; ///< Where the kernel writes it.
    std::string name;    ///< The layer whose value it is.
    bool operator==(const Value &) const = default;
  };
  std::vector<std::string> layers;
  std::vector<Value> outputs;
  bool operator==(const TracedKernel &) const = default;
};

/// Which kernels use a slot of the workspace.
struct SlotUsers {
  int64_t slot = 0;
  std::vector<std::string> kernels; ///< By the first layer of each: "layers.*.ffn.gate".
  bool operator==(const SlotUsers &) const = default;
};

/// Scratch of fixed size that a kernel has on the stack of each thread.
struct StackScratch {
  std::string kernel; ///< The function's name: "self_attention.decode".
  int64_t bytes = 0;
  bool operator==(const StackScratch &) const = default;
};

struct Program {
  struct Model {
    std::string family;
    int64_t vocabSize = 0;
    int64_t hiddenSize = 0;
    int64_t numLayers = 0;
    int64_t maxLength = 0; ///< Most tokens of a sequence; bounds the capacity, or is its default.
    std::vector<int64_t> bosTokenIds;
    std::vector<int64_t> eosTokenIds;
    std::vector<int64_t> decoderStartTokenIds; ///< With an encoder: the one that a decoder starts with.
    std::vector<int64_t> forcedBosTokenIds;    ///< The first new token after that one, if there is one.
    bool isExtendable = false; ///< Sequences may pass maxLength: positions are angles, not table rows.
    bool operator==(const Model &) const = default;
  };
  Model model;
  std::string policy;                ///< As given, for reports.
  std::string pin;                   ///< As given, for reports.
  std::string targetName;
  std::vector<std::string> features; ///< What the host needs, by __builtin_cpu_supports' names.
  std::vector<std::string> outputs;  ///< Names as requested: "logits", "hidden_states".
  std::vector<std::string> symbols;  ///< "threads", "tokens", "batch", "rows", "capacity", "cache_rows", "window:N".
  std::vector<Binding> bindings;
  std::vector<TracedKernel> kernels; ///< Of traced programs only.
  std::vector<SlotUsers> slotUsers;  ///< For reports.
  std::vector<StackScratch> stack;   ///< Largest first. A thread runs one kernel at a time.

  /// The binding of that kind and name; null if there is none.
  const Binding *find(Binding::Kind kind, std::string_view name) const;
  /// True if the decoder reads a source, so that there is an encoder's entry.
  bool hasEncoder() const;
  /// True if the cache is carried as ordinary tensors.
  bool isSeedMode() const { return find(Binding::Kind::Carry, "before") != nullptr; }
  bool operator==(const Program &) const = default;
};

/// InvalidArgument, naming the binding, unless `program` is as described above.
/// Everything below and the runtime require it.
absl::Status checkProgram(const Program &program);

nlohmann::json programToJson(const Program &program);
/// The text that the shared object embeds.
std::string programText(const Program &program);
/// The program of such a text, checked. `nameForErrors` starts every message.
absl::StatusOr<Program> parseProgram(std::string_view text, std::string_view nameForErrors);

/// What is done to a parameter that is not used in place: "rounded f32 to f16 to
/// bf16, transposed".
std::string conversionText(const Binding &parameter);

/// The values of program.symbols: the dims argument of an entry point.
std::vector<int64_t> symbolValues(const Program &program, const Extents &extents);
/// The value of `dim` given the values of all symbols.
int64_t dimValue(const Program &program, const Dim &dim, std::span<const int64_t> values);
/// Bytes of `binding`, or OutOfRange if they exceed 2^56. Traces have none.
absl::StatusOr<uint64_t> byteSize(const Program &program, const Binding &binding,
                                  std::span<const int64_t> values);

} // namespace graphc
