// Compiling models: a checkpoint folder or a layer graph in, an executable, a
// shared object or the text of any stage out. Plain C++; programs that include
// this link libgraphc, and need neither MLIR's nor LLVM's headers.
//
//   graphc::CompileOptions options;
//   options.policy = {"compute=bf16,output=f32"};
//   options.pins = {"bf16"};
//   auto compiled = graphc::compile("checkpoint/", options);
//   auto executable = compiled->executable(); // graphc/Runtime.h goes on from here
#pragma once

#include "graphc/Runtime.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

struct Work; // lib/Compiler/Work.h; complete inside graphc only

/// What a compilation ends with, in order of the flow.
enum class Stage : uint8_t {
  Layer,    ///< Text: layers with explicit casts, the cache fused and pinned.
  Kernel,   ///< Text: fused kernels on memory.
  Vector,   ///< Text: vector loops.
  LLVM,     ///< Text: optimised LLVM IR.
  Assembly, ///< Text: AT&T syntax.
  Object,   ///< Machine code, which executable() runs: a static archive of ELF
            ///< relocatables, or one of them (CompileOptions::wholeObject).
};
/// The stage that `--emit` spells "layer", "kernel", "vector", "llvm", "asm" or
/// "obj"; nothing for other text.
std::optional<Stage> parseStage(std::string_view name);

/// Who has to act on an error of the compiler.
enum class ErrorKind : uint8_t {
  Usage,    ///< InvalidArgument: an option is wrong.
  Compile,  ///< The model cannot be read or compiled.
  Contract, ///< Aborted or ResourceExhausted: a pin, a limit or the memory budget is broken.
  Internal, ///< Internal: a fault of graphc.
};
ErrorKind errorKind(const absl::Status &status);

/// MLIR's ways of looking inside; they write to standard error.
struct InspectOptions {
  bool printIrAfterAll = false;
  std::string irTree;      ///< Folder for the IR after each pass, a file a pass.
  bool timing = false;
  bool statistics = false; ///< A remark of each pass on what it counted, why-nots included.
  std::string reproducer;  ///< File for what reproduces an internal error; a handler for
                           ///< crashing passes is installed meanwhile. Empty: none.
};

struct CompileOptions {
  std::vector<std::string> policy;        ///< Rules, later ones win: "rms_norm:compute=f32".
  std::string policySemantics = "graphc"; ///< Or "axon": results are rounded to compute first.
  std::vector<std::string> pins;          ///< Rules, later ones win: "bf16", "k=bf16,v=f16".
  std::string cacheMode = "pinned";       ///< Or "seed": the cache as ordinary tensors, which every layer
                                          ///< that carries it casts. For comparisons; takes no pins.
  std::vector<std::string> outputs;       ///< Outputs to keep; none: those that are not optional.
  std::string target;                     ///< A name of targetNames(); empty: this machine's best.
  bool allowEmulation = false;            ///< If this machine lacks the target's instructions,
                                          ///< compile for the best target it has.
  unsigned optimize = 1;                  ///< Of LLVM IR: 0 nothing, 1 what emitted loops need, 2 and 3
                                          ///< LLVM's pipelines, slow and measured no better.
  bool trace = false;                     ///< A hook after each kernel, for comparisons.
  SessionOptions session;                 ///< What memoryBudget is checked for.
  uint64_t memoryBudget = 0;              ///< Bytes of a session, weights included; 0: no limit.
  std::optional<int64_t> maxCasts;        ///< Most casts that may be left, as explain lists them.
  std::vector<std::string> deny;          ///< What must not be there, of deniableNames().
  Stage stage = Stage::Object;
  bool wholeObject = false;               ///< Code in one relocatable. Otherwise it is in parts that
                                          ///< threads make side by side, which is faster.
  std::string compileCache;               ///< Folder of the compile cache (docs/Performance.md); empty: none.
  InspectOptions inspect;
};

/// Names of all targets, weakest first, and the best one that this machine runs.
std::vector<std::string> targetNames();
std::string nativeTargetName();

/// The compile cache of the commands: GRAPHC_CACHE_DIR, else graphc in XDG_CACHE_HOME,
/// else in ~/.cache. Empty, and nothing is cached, if GRAPHC_CACHE_DIR is set to
/// nothing or there is no home.
std::string defaultCompileCache();

/// Time that one phase of a compilation took.
struct PhaseTime {
  std::string phase; ///< load, layer, kernel, cpu, lowering, translate, optimize and
                     ///< emit; or cache, if code was found there, in place of those behind kernel.
  double seconds = 0;
};

/// What a certificate is about, and whether the code is run for it.
struct CertificateOptions {
  SessionOptions session; ///< What bytes are given for, and what is run.
  std::string weights;    ///< The folder with the weights; empty: the code is not run.
};

/// What was proved, checked and tested of the contract of the cache (docs/Contract.md).
struct Certificate {
  std::string text; ///< For people; ends with a newline.
  std::string json; ///< The same, with the keys that docs/Contract.md gives.
};

/// The outcome of a compilation. Copies share it.
class CompiledModel {
public:
  /// Text or bytes of the stage.
  const std::string &output() const;
  /// Warnings and remarks, a line each; empty if there were none.
  const std::string &notes() const;
  /// Policy, cache, kernels, casts and weights in a few lines; from Stage::Kernel on.
  const std::string &summary() const;
  /// What the runtime must know; from Stage::Kernel on.
  const Program &program() const;
  /// What its steps must at least read and multiply; from Stage::Kernel on.
  const Work &work() const;
  /// The phases that were run, in order.
  const std::vector<PhaseTime> &phases() const;
  /// True if the code is from the compile cache.
  bool isFromCache() const;
  /// The memory that a session needs, as functions of its options and in bytes: a
  /// table, or JSON text; with a budget of bytes, also the largest capacity that
  /// fits it. From Stage::Vector on (before, scratch on the stack is not known);
  /// InvalidArgument if the options are beyond the model.
  absl::StatusOr<std::string> planText(const SessionOptions &session, uint64_t budget = 0) const;
  absl::StatusOr<std::string> planJson(const SessionOptions &session, uint64_t budget = 0) const;

  /// The code, linked into this process. After Stage::Object only. FailedPrecondition
  /// if this machine lacks instructions of the target.
  absl::StatusOr<std::shared_ptr<const Executable>> executable() const;
  /// Writes a shared object to `path`, and its C header beside it, with the
  /// ending .h for .so. After Stage::Object only. Each file is written whole or
  /// not at all. NotFound, with the remedy, if there is no linker.
  absl::Status writeSharedObject(const std::string &path) const;
  /// The bytes of that shared object, and the text of its header.
  absl::StatusOr<std::string> sharedObject(const std::string &name) const;
  std::string header(const std::string &name) const;

  /// The certificate of the cache's contract. All levels but the run have been
  /// checked when the model was compiled: a violation was an error of compile().
  /// With weights, a session is run under guard: Aborted if it breaks the contract
  /// or needs more memory than planned. After Stage::Object only, and not for seed
  /// mode: InvalidArgument.
  absl::StatusOr<Certificate> certificate(const CertificateOptions &options) const;

private:
  friend class Compilation;
  struct State;
  explicit CompiledModel(std::shared_ptr<const State> state) : state(std::move(state)) {}
  std::shared_ptr<const State> state;
};

/// What CompileOptions::deny may hold: "cast-on-cache", "cast-kernel",
/// "converted-weight", "unfused-attention" (docs/Explain.md).
std::vector<std::string> deniableNames();

/// What a compilation did and why: the policy of each layer, requested and
/// effective; casts with their causes; fusions, and why some were missed; cache,
/// weights, kernels, memory. Copies share it.
class Explanation {
public:
  /// Tables for people; `castsOnly`: the table of casts alone.
  std::string text(bool castsOnly = false) const;
  /// An object with the keys that docs/Explain.md lists; ends with a newline.
  std::string json(bool castsOnly = false) const;
  /// One HTML page without external resources: all of that, and the layer graph
  /// before and after each pass.
  std::string page() const;
  /// Warnings and remarks, a line each.
  const std::string &notes() const;
  /// The same with times that were measured: JSON text such as `kernel_profiles` of
  /// `graphc bench`, which becomes `roofline` of json() and a section of the page.
  /// InvalidArgument for other text.
  absl::StatusOr<Explanation> withRoofline(std::string_view profiles) const;

private:
  friend class Explanations;
  struct State;
  explicit Explanation(std::shared_ptr<const State> state) : state(std::move(state)) {}
  std::shared_ptr<const State> state;
};

/// Explains the model at `path` under `options`, without code and without reading
/// a weight; `stage` is not used. Under the semantics "axon", which nothing
/// compiles, it ends with the layers and says so. Errors are compile's.
absl::StatusOr<Explanation> explain(const std::string &path, const CompileOptions &options = {});
absl::StatusOr<Explanation> explainText(std::string_view text, const std::string &name,
                                        const CompileOptions &options = {});

/// Compiles the model at `path`: a checkpoint folder, or a file with a layer
/// graph, text or bytecode. The message of an error holds all diagnostics, a line
/// each, with their places; errorKind tells whose they are.
absl::StatusOr<CompiledModel> compile(const std::string &path, const CompileOptions &options = {});
/// Compiles the layer graph in `text`; `name` stands for it in messages.
absl::StatusOr<CompiledModel> compileText(std::string_view text, const std::string &name,
                                          const CompileOptions &options = {});

//===-- Accuracy ------------------------------------------------------------------===//

/// What a comparison runs: each prompt in a sequence of its own, then `newTokens`
/// tokens one by one, which the compiled model chooses greedily.
struct CompareOptions {
  CompileOptions compile;                    ///< Policy, pins, target ..; stage and trace are not used.
  std::string weights;                       ///< Folder of the checkpoint.
  std::string referenceWeights;              ///< The reference's checkpoint; empty: the same.
  std::vector<std::vector<int32_t>> prompts; ///< At least one, none empty. With an encoder: sources.
  /// With an encoder, what the decoders start with: one for each source, one for all, or
  /// none for the model's start token.
  std::vector<std::vector<int32_t>> decoderPrompts;
  int64_t newTokens = 16;
  int64_t sessionLength = 0;                 ///< Most tokens of a sequence; 0: the longest prompt and newTokens.
  int64_t threads = 0;                       ///< Default: all cores.
};

/// How far one value of the compiled model is from the reference's, over all tokens:
/// a layer's result ("layers.0.ffn.up", "embedder as bf16" for its rounded version) or
/// the rows of a side of the cache ("cache.0.keys").
struct ValueError {
  std::string name;
  std::string dtype;      ///< Of the compiled value.
  int64_t elements = 0;
  double maxError = 0;    ///< Greatest |compiled - reference|, where both are finite.
  double meanError = 0;   ///< Mean of it.
  double range = 0;       ///< Greatest |reference|.
  double cosine = 1;      ///< Of the angle between both, all elements one vector.
  int64_t infinities = 0; ///< Infinite where the reference is finite: an f16 overflow.
  int64_t nans = 0;       ///< NaN where the reference is not.

  /// maxError / range; infinite if an element is not finite.
  double relativeError() const;
};

/// The outcome of a comparison with the reference interpreter in f64.
struct Comparison {
  std::string policy, pin, target;
  std::vector<ValueError> values; ///< In order of execution, then the cache.
  int64_t positions = 0;          ///< Rows of logits: every prompt token and every new one but the last.
  double meanKl = 0, maxKl = 0;   ///< Of the next token's distribution, KL(reference || compiled), nats.
  int64_t agreeing = 0;           ///< Positions where both have the same likeliest token.
  std::vector<std::vector<int32_t>> tokens; ///< New tokens of each prompt.
  std::string notes;              ///< Warnings of the compiler, a line each.

  /// A table; ends with a newline.
  std::string text() const;
  /// The same with stable keys (docs/Compare.md); numbers that are not finite are null.
  std::string json() const;
  /// Aborted, which errorKind calls a broken contract, unless every value's relative
  /// error is at most `maxError` and maxKl at most `maxKl`; the message names the worst.
  absl::Status check(double maxError, double maxKl) const;
};

/// Compares the compiled model at `path` with the interpreter in f64, value by value and
/// with the cache's state. Errors: those of compile and of Model::open; InvalidArgument
/// for prompts that do not fit.
absl::StatusOr<Comparison> compare(const std::string &path, const CompareOptions &options);
/// The same for the layer graph in `text`.
absl::StatusOr<Comparison> compareText(std::string_view text, const std::string &name, const CompareOptions &options);

} // namespace graphc
