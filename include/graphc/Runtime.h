// Running compiled models: load or take an executable, open the weights, make a
// session, feed it tokens or let a generator do so. Plain C++: programs that
// include this link libgraphc_runtime, and neither MLIR nor LLVM.
//
//   auto executable = graphc::Executable::load("out.so");
//   auto model = graphc::Model::open(*executable, "checkpoint/");
//   auto result = graphc::generateFromText(*model, {"Once upon a time"}, {.maxNewTokens = 64});
//   std::cout << result->sequences[0].text;
//
// Objects here may be used by one thread at a time, except Executable and
// Model: those are immutable, shared, and may be used by many threads.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

struct Program; // lib/Support/Program.h; complete inside graphc only
struct TraceAccess;

extern "C" {
/// One call of a program; its manifest says what pointers and dims are.
typedef void (*EntryPoint)(void *const *pointers, const int64_t *dims);
}

/// What a session holds. 0 stands for the default that is said.
struct SessionOptions {
  int64_t batch = 1;     ///< Sequences, numbered from 0.
  int64_t capacity = 0;  ///< Tokens of a sequence; default min(the model's max_length, 4096).
  int64_t sourceCapacity = 0; ///< Tokens of a source, if the model has an encoder; default as the capacity's.
  int64_t chunk = 512;   ///< Most tokens in one call; longer prompts are cut, sources are not.
  int64_t threads = 0;   ///< Default: all cores that this process may use, by its affinity and its
                         ///< quota, shared with the steps of other sessions that run meanwhile. A
                         ///< number is taken as it is; more than there are cores slow each step.
  int64_t logitRows = 0; ///< Most rows of logits that one forward returns; default: batch.
  int64_t stateRows = 0; ///< Most tokens in one forward, if the program has outputs other
                         ///< than logits; default: max(chunk, batch, sourceCapacity).
};

/// A compiled program and the code it runs.
class Executable {
public:
  /// Opens a shared object that graphc made. That runs its code: open only what
  /// you trust. Errors: NotFound; InvalidArgument
  /// if it is no such object, or made by another version; FailedPrecondition if
  /// it needs instructions that this machine lacks (compile for this target).
  static absl::StatusOr<std::shared_ptr<const Executable>> load(const std::string &path);

  /// An executable of code in memory, which `owner` keeps alive. `encoder`: of a
  /// program that has one.
  static absl::StatusOr<std::shared_ptr<const Executable>>
  create(Program program, EntryPoint prefill, EntryPoint decode, std::shared_ptr<void> owner,
         EntryPoint encoder = nullptr);
  ~Executable();

  const Program &program() const;
  /// The memory that a session needs, weights included, before any is read: a
  /// table, JSON text, or the total in bytes. InvalidArgument if the options are
  /// beyond the model.
  absl::StatusOr<std::string> planText(const SessionOptions &options) const;
  absl::StatusOr<std::string> planJson(const SessionOptions &options) const;
  absl::StatusOr<uint64_t> planBytes(const SessionOptions &options) const;
  /// ResourceExhausted if that total is more than `budget` bytes; the message
  /// has the largest capacity that fits.
  absl::Status checkBudget(const SessionOptions &options, uint64_t budget) const;

private:
  friend class Session;
  struct Code;
  explicit Executable(std::unique_ptr<const Code> code);
  std::unique_ptr<const Code> code;
};

/// Where one weight lives.
struct Residency {
  enum class State : uint8_t { InPlace, Copied, Converted };
  std::string parameter; ///< Name in the model.
  std::string tensor;    ///< Name in the checkpoint.
  State state = State::InPlace;
  uint64_t bytes = 0;    ///< Of the mapped file, or of memory of its own; 0 if it is `shared`.
  std::string why;       ///< "tied to embedder.kernel", "rounded f32 to bf16".
};

/// An executable with its weights and, if its folder has one, its tokenizer.
class Model {
public:
  /// Opens the checkpoint in `folder` for `executable`: maps the files, checks
  /// that each parameter is there with the dtype and shape that the program was
  /// compiled for (the error names tensor, expected and found), and converts
  /// those that cannot be used in place, once, for all sessions.
  static absl::StatusOr<std::shared_ptr<const Model>>
  open(std::shared_ptr<const Executable> executable, const std::string &folder);
  ~Model();

  const Executable &executable() const;
  /// One entry a parameter, in the program's order.
  const std::vector<Residency> &residency() const;
  /// The ledger as a table with totals; ends with a newline.
  std::string residencyText() const;

  /// The token ids of `text`, by default with the tokens that tokenizer.json puts
  /// around a text (BOS). NotFound if the folder has none; it is read on first use.
  absl::StatusOr<std::vector<int32_t>> encode(std::string_view text,
                                              bool addSpecialTokens = true) const;
  /// The text of `ids`, valid UTF-8, without special tokens.
  absl::StatusOr<std::string> decode(std::span<const int32_t> ids) const;

private:
  friend class Session;
  friend class Generator;
  struct Parts;
  explicit Model(std::unique_ptr<const Parts> parts);
  std::unique_ptr<const Parts> parts;
};

/// The new tokens of one sequence.
struct NewTokens {
  enum class Logits : uint8_t { None, Last, All };
  int64_t sequence = 0;
  std::span<const int32_t> ids;       ///< None: the sequence is left out of the call.
  Logits logits = Logits::Last;       ///< Of which of these tokens.
};

/// Tokens in a saved cache.
struct SavedLengths {
  std::vector<int32_t> sequences; ///< (batch)
  std::vector<int32_t> sources;   ///< (batch): of each sequence's source; empty without an encoder.
};

/// What the decoder of one sequence is to read.
struct Source {
  int64_t sequence = 0;
  std::span<const int32_t> ids; ///< All of it, at least one token.
};

/// (rows, vocab) f32, row-major, in the session's memory: valid until its next
/// forward. Rows are in the order of the new tokens.
struct LogitsView {
  const float *data = nullptr;
  int64_t rows = 0;
  int64_t vocab = 0;
  std::span<const float> row(int64_t index) const {
    return {data + index * vocab, size_t(vocab)};
  }
};

/// (rows, width), row-major, in the session's memory: valid until its next forward.
struct OutputView {
  std::string_view name;  ///< "hidden_states.0"; "attentions.0", whose rows are (heads, capacity).
  std::string_view dtype; ///< "f32", "bf16", ..
  const void *data = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  /// Element (row, column), widened.
  float at(int64_t row, int64_t column) const;
};

/// A cache for `batch` sequences, and the memory to run a model on it. All of it
/// is made by create; a forward allocates nothing.
class Session {
public:
  static absl::StatusOr<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                         const SessionOptions &options);
  ~Session();

  /// Runs the model on new tokens, appends them to the cache and returns the
  /// wanted rows of logits. `tokens` is ordered by sequence, each at most once.
  /// Errors, before anything is written: InvalidArgument for an id out of the
  /// vocabulary, a wrong order or too many rows; OutOfRange if a sequence would
  /// exceed the capacity; FailedPrecondition if it has no source and needs one.
  absl::StatusOr<LogitsView> forward(std::span<const NewTokens> tokens);
  /// Runs the encoder of a model that has one. Its rows replace those of the
  /// sources that the sequences had, whose decoders then start anew. `sources` is
  /// ordered by sequence, each at most once; other sequences stay as they are.
  /// Errors, before anything is written: FailedPrecondition without an encoder;
  /// InvalidArgument for an id out of the vocabulary, a source without tokens, a
  /// wrong order or too many state rows; OutOfRange if a source is longer than the
  /// session's sourceCapacity.
  absl::Status encode(std::span<const Source> sources);
  /// The output called `name` for the tokens of the last forward, or of the last
  /// encode if it is the encoder's; NotFound unless the program was compiled with it.
  absl::StatusOr<OutputView> output(std::string_view name) const;

  /// Empties one sequence; its source stays.
  absl::Status reset(int64_t sequence);
  /// Shortens a sequence to its first `length` tokens. What follows is then what a
  /// session fed with those tokens alone would give, to the bit. InvalidArgument
  /// for a length beyond the sequence; OutOfRange, saying how far it can go, if a
  /// layer with a window has lost rows that the next token sees.
  absl::Status rewind(int64_t sequence, int64_t length);

  /// Writes the cache to a file, which is replaced as a whole or not at all: rows
  /// up to each sequence's length (of a window, those in it), and the token that
  /// a generator took last. FailedPrecondition for a cache that has not a row for
  /// each token; Unavailable if the file cannot be written.
  absl::Status saveCache(const std::string &path) const;
  /// Replaces the cache by one that was saved, of the same model, weights, policy,
  /// dtypes, layout and batch; the capacity may be another, if sequences fit in it
  /// and no rope depends on it. Else FailedPrecondition with what was expected and
  /// found; InvalidArgument for a file that is none or damaged, NotFound for no
  /// file. The session is then as it was.
  absl::Status loadCache(const std::string &path);
  /// What a saved cache holds; errors as those of loadCache.
  static absl::StatusOr<SavedLengths> savedLengths(const std::string &path);

  /// Tokens in the cache of each sequence: (batch).
  std::span<const int32_t> lengths() const;
  /// Tokens of each sequence's source: (batch); 0 before the first encode.
  std::span<const int32_t> sourceLengths() const;

  const Model &model() const;
  /// The options with the defaults put in.
  const SessionOptions &options() const;
  /// Keys, values and lengths, as the plan has them.
  uint64_t cacheBytes() const;
  /// "bf16"; "k=bf16,v=f16"; several blocks' types joined by "/".
  std::string cacheDType() const;

private:
  friend struct TraceAccess;
  friend class Generator;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

/// How the next token is chosen.
struct SamplingOptions {
  float temperature = 0; ///< 0 is greedy; else logits are divided by it.
  int topK = 0;          ///< Only the topK greatest logits take part; 0 is all.
  float topP = 1;        ///< Of those, the fewest whose probabilities reach topP.
  uint64_t seed = 0;     ///< Of the random numbers; sequence i uses seed + i.
};

/// A new token, as it comes.
struct StreamedToken {
  int64_t sequence = 0;
  int32_t id = 0;
  std::string_view text; ///< What it makes certain: whole characters, often none.
  bool isLast = false;   ///< Of its sequence.
};

struct GenerateOptions {
  int64_t maxNewTokens = 128; ///< Of each sequence.
  SamplingOptions sampling = {};
  bool stopAtEos = true;
  bool makeText = true; ///< If the folder has a tokenizer.
  /// With an encoder, what the decoders start with: one for each prompt, one for
  /// all, or none for the model's start token.
  std::vector<std::vector<int32_t>> decoderPrompts = {};
  /// Called for each new token, sequences in order. False ends the generation.
  std::function<bool(const StreamedToken &)> onToken = {};
};

struct Generation {
  enum class Stop : uint8_t { Count, Eos, Capacity, Caller };
  struct Sequence {
    std::vector<int32_t> ids; ///< The new tokens, an EOS included.
    std::string text;
    Stop stop = Stop::Count;  ///< Why there are no more.
  };
  std::vector<Sequence> sequences;
  int64_t promptTokens = 0, newTokens = 0; ///< Of all sequences.
  int64_t decodedTokens = 0;               ///< New tokens but the first of each sequence.
  double prefillSeconds = 0; ///< Until the first token of every sequence; callbacks apart.
  double decodeSeconds = 0;  ///< For the decoded tokens.
  std::string cacheDType;
  uint64_t cacheBytes = 0;

  /// Decoded tokens a second; of the prefill, if there are none.
  double tokensPerSecond() const;
  /// "64 tokens, 57.1 tok/s, cache bf16, 1048576 bytes", and whether the session became full.
  std::string closingLine() const;
};

/// Generates in a session that goes on: each call continues the sequences where
/// the last one left them. The last token of each is not in the cache yet; the
/// session keeps it for whatever generates next, and saves it with the cache.
class Generator {
public:
  /// `session` must outlive the generator.
  explicit Generator(Session &session) : session(session) {}

  /// Appends prompts[i] to sequence i, then new tokens one by one until each
  /// sequence has met its end. With an encoder prompts[i] is the source that
  /// sequence i reads, and its decoder starts anew; without tokens it keeps its
  /// source, and its decoder goes on. Prompts may be of any lengths, and fewer than the
  /// session's sequences. Errors: those of Session::forward; InvalidArgument for
  /// a prompt without tokens, sampling options out of range, or logits that are
  /// NaN.
  absl::StatusOr<Generation> generate(std::span<const std::vector<int32_t>> prompts,
                                      const GenerateOptions &options);

private:
  class Run;
  Session &session;
};

/// Generates once, in a session made for it: a sequence for each prompt, and
/// unless `session` says otherwise, capacity for the longest with its new tokens,
/// up to the model's max_length; with an encoder, for the longest source too.
absl::StatusOr<Generation> generateFromIds(const std::shared_ptr<const Model> &model,
                                           const std::vector<std::vector<int32_t>> &prompts,
                                           const GenerateOptions &options,
                                           SessionOptions session = {});
/// The same from text; errors also as those of Model::encode.
absl::StatusOr<Generation> generateFromText(const std::shared_ptr<const Model> &model,
                                            const std::vector<std::string> &prompts,
                                            const GenerateOptions &options,
                                            const SessionOptions &session = {});

} // namespace graphc
