// Greedy generation by the interpreter: a ragged batch of prompts in, new tokens
// out, with the prompt's logits and hidden states on request.
#pragma once

#include "Reference/Interpreter.h"

#include <span>

namespace graphc::reference {

struct GenerateOptions {
  int64_t newTokens = 0;
  int64_t capacity = 0;            ///< Cache rows a sequence; 0: the longest prompt and newTokens.
  std::vector<int32_t> stopTokens = {}; ///< A sequence ends before the first of these.
  bool keepLogits = false;
  bool keepHiddenStates = false;
};

struct Generation {
  std::vector<std::vector<int32_t>> tokens; ///< New tokens of each sequence.
  Tensor logits;                            ///< (batch, promptTokens, vocab) if kept.
  std::vector<Tensor> hiddenStates;         ///< layers + 1 of (batch, promptTokens, hidden) if kept.
  CacheState cache;                         ///< After the last run.
};

/// Feeds `prompts` as one batch, shorter ones padded behind their last token,
/// then one token a run. Logits and hidden states at padding are zeros. Each new
/// token is the lowest index of the greatest logit.
/// InvalidArgument if a prompt is empty or has a negative id, if a logit that
/// decides a token is NaN, or for what Interpreter::run refuses; NotFound if the
/// graph lacks an output that is asked for. Without a cache in the graph newTokens must be 0 or 1.
absl::StatusOr<Generation> generate(Interpreter &interpreter, const std::vector<std::vector<int32_t>> &prompts,
                                    const GenerateOptions &options);

/// Lowest index of the greatest value; InvalidArgument if one is NaN.
absl::StatusOr<int32_t> argmax(std::span<const double> values);

} // namespace graphc::reference
