// The loop around the interpreter: prompt, then token by token through the cache.
#include "Reference/Generate.h"

#include "Support/Message.h"

#include <algorithm>
#include <cmath>

namespace graphc::reference {

absl::StatusOr<int32_t> argmax(std::span<const double> values) {
  size_t best = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i]))
      return invalidArgument("logit ", i, " is NaN");
    if (values[i] > values[best])
      best = i;
  }
  return int32_t(best);
}

namespace {
/// ids and mask (batch, tokens), padded at the end.
struct Batch {
  Tensor ids, mask;
};
} // namespace

static Batch pack(const std::vector<std::vector<int32_t>> &sequences) {
  size_t tokens = 0;
  for (const auto &sequence : sequences)
    tokens = std::max(tokens, sequence.size());
  const std::vector<int64_t> shape = {int64_t(sequences.size()), int64_t(tokens)};
  Batch batch{Tensor(DType::I32, shape), Tensor(DType::I32, shape)};
  for (size_t b = 0; b < sequences.size(); ++b)
    for (size_t t = 0; t < sequences[b].size(); ++t) {
      batch.ids.data[b * tokens + t] = sequences[b][t];
      batch.mask.data[b * tokens + t] = 1;
    }
  return batch;
}

/// Zeros where the mask is: x is (batch, tokens, columns).
static Tensor withoutPadding(Tensor x, const Tensor &mask) {
  for (int64_t row = 0; row < mask.size() && x.rows() == mask.size(); ++row)
    if (mask.data[row] == 0)
      std::fill_n(x.data.begin() + row * x.columns(), x.columns(), 0.0);
  x.dropBounds();
  return x;
}

/// Weights (batch, heads, tokens, keys) for the prompt's own keys: seed mode has
/// one for each row of the cache.
static Tensor ofPromptKeys(const Tensor &weights) {
  const int64_t tokens = weights.dim(2);
  Tensor result(weights.dtype, {weights.dim(0), weights.dim(1), tokens, tokens});
  for (int64_t row = 0; row < weights.rows(); ++row)
    std::copy_n(weights.data.begin() + row * weights.columns(), tokens, result.data.begin() + row * tokens);
  return result;
}

absl::StatusOr<Generation> generate(Interpreter &interpreter, const std::vector<std::vector<int32_t>> &prompts,
                                    const GenerateOptions &options) {
  if (prompts.empty())
    return invalidArgument("there is no prompt");
  int64_t longest = 0;
  for (size_t b = 0; b < prompts.size(); ++b) {
    if (prompts[b].empty() || *std::min_element(prompts[b].begin(), prompts[b].end()) < 0)
      return invalidArgument("prompt ", b, " must have at least one token and no negative id");
    longest = std::max(longest, int64_t(prompts[b].size()));
  }
  Generation result;
  result.tokens.resize(prompts.size());
  const int64_t capacity = options.capacity ? options.capacity : longest + options.newTokens;
  absl::StatusOr<CacheState> cache = interpreter.createCache(int64_t(prompts.size()), capacity);
  if (cache.ok())
    result.cache = *std::move(cache);
  else if (cache.status().code() != absl::StatusCode::kNotFound)
    return cache.status();
  else if (options.newTokens > 1)
    return invalidArgument("graph takes no cache, so it can give one new token, not ", options.newTokens);

  std::vector<std::vector<int32_t>> next = prompts; // what the next run is fed
  std::vector<bool> stopped(prompts.size());
  for (int64_t step = 0; step == 0 || step < options.newTokens; ++step) {
    const Batch batch = pack(next);
    absl::StatusOr<Outputs> outputs = interpreter.run(batch.ids, &batch.mask, cache.ok() ? &result.cache : nullptr);
    if (!outputs.ok())
      return outputs.status();
    const std::vector<Tensor> *logits = outputs->find("logits"), *hidden = outputs->find("hidden_states");
    if ((options.keepLogits || options.newTokens) && (!logits || logits->size() != 1 || logits->front().shape.size() != 3))
      return absl::NotFoundError("graph has no output 'logits' of (batch, tokens, vocab)");
    if (step == 0 && options.keepLogits)
      result.logits = withoutPadding(logits->front(), batch.mask);
    if (step == 0 && options.keepHiddenStates) {
      if (!hidden)
        return absl::NotFoundError("graph has no output 'hidden_states'");
      for (const Tensor &state : *hidden)
        result.hiddenStates.push_back(withoutPadding(state, batch.mask));
    }
    if (step == 0 && options.keepAttentions) {
      const std::vector<Tensor> *attentions = outputs->find("attentions");
      if (!attentions)
        return absl::NotFoundError("graph has no output 'attentions'");
      for (const Tensor &weights : *attentions)
        result.attentions.push_back(ofPromptKeys(weights));
    }
    if (options.newTokens == 0)
      break;
    const int64_t tokens = batch.ids.dim(1), vocab = logits->front().columns();
    for (size_t b = 0; b < prompts.size(); ++b) {
      if (stopped[b])
        continue;
      const int64_t row = int64_t(b) * tokens + int64_t(next[b].size()) - 1;
      const std::span values = std::span(logits->front().data).subspan(row * vocab, vocab);
      absl::StatusOr<int32_t> token = options.choose ? options.choose(b, values) : argmax(values);
      if (!token.ok())
        return invalidArgument("sequence ", b, ", new token ", step, ": ", std::string(token.status().message()));
      stopped[b] = std::count(options.stopTokens.begin(), options.stopTokens.end(), *token);
      next[b].clear();
      result.tokens[b].push_back(*token);
      if (!stopped[b])
        next[b].push_back(*token);
      if (options.onToken && !options.onToken(b, *token))
        return result;
    }
    if (std::count(stopped.begin(), stopped.end(), true) == int64_t(stopped.size()))
      break;
  }
  return result;
}

} // namespace graphc::reference
