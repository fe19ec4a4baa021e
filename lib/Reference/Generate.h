// Greedy generation by the interpreter: a ragged batch of prompts in, new tokens
// out, with the prompt's logits and hidden states on request.
#pragma once

#include "Reference/Interpreter.h"

#include <map>
#include <span>

namespace graphc::reference {

struct GenerateOptions {
  int64_t newTokens = 0;
  int64_t capacity = 0;            ///< Cache rows a sequence; 0: the longest prompt and newTokens.
  std::vector<int32_t> stopTokens = {}; ///< A sequence ends with the first of these.
  bool keepLogits = false;
  /// Other outputs of the first run, and of the encoder's, to keep; beside an
  /// encoder "hidden_states" and "attentions" are the decoder's.
  std::vector<std::string> keep = {};

  /// Encoder and decoder: the graph that reads `sources`, one a prompt, before
  /// the first run. The prompts are what the decoder starts with.
  Interpreter *encoder = nullptr;
  std::vector<std::vector<int32_t>> sources = {};
  /// The first new token of a prompt of one token, whatever its logits.
  std::optional<int32_t> forcedFirst = std::nullopt;

  /// The next token of `sequence` from its logits (vocab); null: greedy, the
  /// lowest index of the greatest logit.
  std::function<absl::StatusOr<int32_t>(size_t sequence, std::span<const double> logits)> choose = nullptr;
  /// Called for each new token, sequences in order. False ends the generation.
  std::function<bool(size_t sequence, int32_t token)> onToken = nullptr;
};

struct Generation {
  std::vector<std::vector<int32_t>> tokens; ///< New tokens of each sequence, a stop token included.
  Tensor logits;                            ///< (batch, promptTokens, vocab) if kept.
  /// By the names that were asked for: layers + 1 states (batch, tokens, hidden),
  /// layers of weights (batch, heads, tokens, keys). Tokens are those of the
  /// prompt, or of the source for the encoder's; keys likewise, and the source's
  /// for cross_attentions.
  std::map<std::string, std::vector<Tensor>> kept;
  CacheState cache;                         ///< After the last run.
};

/// Feeds `prompts` as one batch, shorter ones padded behind their last token,
/// then one token a run. Logits and hidden states at padding are zeros.
/// InvalidArgument if a prompt is empty or has a negative id, if `choose` fails
/// (greedy: on NaN), or for what Interpreter::run refuses; NotFound if the graph
/// lacks an output that is asked for. A graph without a cache gives at most one
/// new token.
absl::StatusOr<Generation> generate(Interpreter &interpreter, const std::vector<std::vector<int32_t>> &prompts,
                                    const GenerateOptions &options);

/// Lowest index of the greatest value; InvalidArgument if one is NaN.
absl::StatusOr<int32_t> argmax(std::span<const double> values);

} // namespace graphc::reference
