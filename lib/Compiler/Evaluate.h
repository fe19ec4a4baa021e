// Evaluating models by the reference interpreter: what compiled code must
// compute, with the interface of a generation. No MLIR types here.
#pragma once

#include "graphc/Compiler.h"

#include <absl/status/statusor.h>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace graphc {

struct EvaluateOptions {
  CompileOptions compile;           ///< Policy, pins, cache mode, outputs and semantics; the rest is not used.
  std::string mode = "policy";      ///< "policy", "f64", "dot" (sums as vdpbf16ps takes them) or "tiles" (tdpbf16ps).
  bool permuted = false;            ///< f32 sums in an order drawn from orderSeed.
  uint64_t orderSeed = 0;

  std::string weights;              ///< Folder of the checkpoint.
  std::vector<std::vector<int32_t>> prompts; ///< Sources, if the model has an encoder.
  /// What the decoder of such a model starts with: one for each prompt, one for
  /// all, or none for the model's start token.
  std::vector<std::vector<int32_t>> decoderPrompts;
  int64_t newTokens = 0;
  int64_t sessionLength = 0;        ///< Most tokens of a sequence; 0: the longest prompt and newTokens.
  bool stopAtEos = true;
  bool keepLogits = false;
  std::vector<std::string> keep;    ///< Other outputs; beside an encoder "hidden_states" and "attentions" are the decoder's.
  /// Chooses the next token of `sequence`; null: the likeliest.
  std::function<absl::StatusOr<int32_t>(int64_t sequence, std::span<const float> logits)> choose;
  std::function<bool(int64_t sequence, int32_t token)> onToken; ///< False ends the generation.
};

/// f32 values, row-major.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

struct Evaluation {
  std::vector<std::vector<int32_t>> tokens; ///< New tokens of each sequence, an EOS included.
  Array logits;                             ///< (batch, prompt tokens, vocab); zeros at padding.
  /// By name: states (layers + 1, batch, tokens, hidden), weights (layers, batch,
  /// heads, tokens, keys), as reference::Generation has them.
  std::map<std::string, Array> kept;
  std::string notes;                        ///< Warnings, a line each.
};

/// Evaluates the model at `path`, or the layer graph in `text` if that is not
/// null. Errors as those of compile; NotFound without a checkpoint in `weights`.
absl::StatusOr<Evaluation> evaluate(const std::string &path, const std::string *text, const EvaluateOptions &options);

} // namespace graphc
