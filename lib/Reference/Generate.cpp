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

/// Every one needs a token, and no id may be negative.
static absl::Status checkTokens(const std::vector<std::vector<int32_t>> &sequences, std::string_view what) {
  for (size_t b = 0; b < sequences.size(); ++b)
    if (sequences[b].empty() || *std::min_element(sequences[b].begin(), sequences[b].end()) < 0)
      return invalidArgument(what, " ", b, " must have at least one token and no negative id");
  return absl::OkStatus();
}

static int64_t longestOf(const std::vector<std::vector<int32_t>> &sequences) {
  size_t longest = 0;
  for (const auto &sequence : sequences)
    longest = std::max(longest, sequence.size());
  return int64_t(longest);
}

/// Weights (batch, heads, tokens, keys) for the first keys: a cache may have rows
/// for more of them.
static Tensor ofKeys(const Tensor &weights, int64_t keys) {
  Tensor result(weights.dtype, {weights.dim(0), weights.dim(1), weights.dim(2), keys});
  for (int64_t row = 0; row < weights.rows(); ++row)
    std::copy_n(weights.data.begin() + row * weights.columns(), keys, result.data.begin() + row * keys);
  return result;
}

/// Keeps those of `outputs` that are asked for; `mask` (batch, tokens) is of the run.
static void keepOutputs(const Outputs &outputs, const GenerateOptions &options, const Tensor &mask, Generation &result) {
  for (const std::string &name : options.keep) {
    const std::vector<Tensor> *found = outputs.find(name);
    if (!found && options.encoder)
      found = outputs.find("decoder_" + name);
    if (!found)
      continue;
    const int64_t keys = name == "cross_attentions" ? longestOf(options.sources) : mask.dim(1);
    std::vector<Tensor> &kept = result.kept[name];
    for (const Tensor &tensor : *found)
      kept.push_back(name.ends_with("attentions") ? ofKeys(tensor, keys) : withoutPadding(tensor, mask));
  }
}

/// Runs the encoder on the sources, which fills the cross slots.
static absl::Status encode(const GenerateOptions &options, Generation &result) {
  if (absl::Status status = checkTokens(options.sources, "source"); !status.ok())
    return status;
  const Batch batch = pack(options.sources);
  absl::StatusOr<Outputs> outputs = options.encoder->run(batch.ids, &batch.mask, &result.cache);
  if (outputs.ok())
    keepOutputs(*outputs, options, batch.mask, result);
  return outputs.status();
}

absl::StatusOr<Generation> generate(Interpreter &interpreter, const std::vector<std::vector<int32_t>> &prompts,
                                    const GenerateOptions &options) {
  if (prompts.empty())
    return invalidArgument("there is no prompt");
  if (absl::Status status = checkTokens(prompts, "prompt"); !status.ok())
    return status;
  if (options.encoder && options.sources.size() != prompts.size())
    return invalidArgument("there must be a source for each prompt, got ", options.sources.size(), " for ", prompts.size());
  const int64_t longest = longestOf(prompts);
  Generation result;
  result.tokens.resize(prompts.size());
  const int64_t capacity = options.capacity ? options.capacity : longest + options.newTokens;
  absl::StatusOr<CacheState> cache = interpreter.createCache(int64_t(prompts.size()), capacity, longestOf(options.sources));
  if (cache.ok())
    result.cache = *std::move(cache);
  else if (cache.status().code() != absl::StatusCode::kNotFound)
    return cache.status();
  else if (options.newTokens > 1)
    return invalidArgument("graph takes no cache, so it can give one new token, not ", options.newTokens);

  if (options.encoder)
    if (absl::Status status = encode(options, result); !status.ok())
      return status;

  std::vector<std::vector<int32_t>> next = prompts; // what the next run is fed
  std::vector<bool> stopped(prompts.size());
  for (int64_t step = 0; step == 0 || step < options.newTokens; ++step) {
    const Batch batch = pack(next);
    absl::StatusOr<Outputs> outputs = interpreter.run(batch.ids, &batch.mask, cache.ok() ? &result.cache : nullptr);
    if (!outputs.ok())
      return outputs.status();
    const std::vector<Tensor> *logits = outputs->find("logits");
    if ((options.keepLogits || options.newTokens) && (!logits || logits->size() != 1 || logits->front().shape.size() != 3))
      return absl::NotFoundError("graph has no output 'logits' of (batch, tokens, vocab)");
    if (step == 0 && options.keepLogits)
      result.logits = withoutPadding(logits->front(), batch.mask);
    if (step == 0) {
      keepOutputs(*outputs, options, batch.mask, result);
      for (const std::string &name : options.keep)
        if (!result.kept.contains(name))
          return absl::NotFoundError(concat("graph has no output '", name, "'"));
    }
    if (options.newTokens == 0)
      break;
    const int64_t tokens = batch.ids.dim(1), vocab = logits->front().columns();
    for (size_t b = 0; b < prompts.size(); ++b) {
      if (stopped[b])
        continue;
      const int64_t row = int64_t(b) * tokens + int64_t(next[b].size()) - 1;
      const std::span values = std::span(logits->front().data).subspan(row * vocab, vocab);
      const bool isForced = options.forcedFirst && step == 0 && prompts[b].size() == 1;
      absl::StatusOr<int32_t> token = isForced         ? *options.forcedFirst
                                      : options.choose ? options.choose(b, values)
                                                       : argmax(values);
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
