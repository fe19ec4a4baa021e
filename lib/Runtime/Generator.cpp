// Generation: a prefill of all prompts in one forward, then decode steps of the
// sequences that go on. The last token of a sequence enters the cache only when
// something follows it.
#include "Runtime/ModelParts.h"
#include "Runtime/Sampler.h"
#include "Runtime/SessionState.h"
#include "Support/Message.h"
#include "Support/Program.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

namespace graphc {

using Stop = Generation::Stop;

namespace {
/// Seconds since it was made or last asked.
class StopWatch {
public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last).count();
    last = now;
    return seconds;
  }

private:
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};
} // namespace

/// One call of generate.
class Generator::Run {
public:
  Run(Session &session, std::vector<int32_t> &pending, const GenerateOptions &options)
      : session(session), pending(pending), options(options) {}

  absl::Status begin(std::span<const std::vector<int32_t>> prompts, const Tokenizer *tokenizer);
  absl::StatusOr<Generation> finish();

private:
  struct Sequence {
    std::vector<int32_t> prompt; ///< With the pending token in front.
    Sampler sampler;
    std::optional<StreamDecoder> decoder;
    bool active = true;
  };

  std::vector<int32_t> decoderPrompt(size_t i, std::span<const std::vector<int32_t>> prompts) const;
  absl::Status readSources(std::span<const std::vector<int32_t>> prompts);
  /// One forward of `step`, which then holds what the next one takes.
  absl::Status takeStep(double &seconds);
  absl::Status takeToken(int64_t index, std::span<const float> logits);
  void stream(int64_t index);
  bool isEos(int32_t id) const;

  const Program &program() const { return session.model().executable().program(); }

  Session &session;
  std::vector<int32_t> &pending; ///< Of the session, which drops those that enter the cache.
  const GenerateOptions &options;
  std::vector<Sequence> sequences;
  std::vector<NewTokens> step; ///< The tokens of the next forward.
  Generation result;
  bool stopped = false; ///< By the caller.
};

bool Generator::Run::isEos(int32_t id) const {
  const auto &eos = program().model.eosTokenIds;
  return std::find(eos.begin(), eos.end(), id) != eos.end();
}

absl::Status Generator::Run::begin(std::span<const std::vector<int32_t>> prompts,
                                   const Tokenizer *tokenizer) {
  if (int64_t(prompts.size()) > session.options().batch)
    return invalidArgument("prompts must be at most the session's batch of ",
                           session.options().batch, ", got ", prompts.size());
  if (options.maxNewTokens < 0)
    return invalidArgument("new tokens must be at least 0, got ", options.maxNewTokens);
  if (options.decoderPrompts.size() > 1 && options.decoderPrompts.size() != prompts.size())
    return invalidArgument("decoder prompts must be one, or one for each of the ", prompts.size(), " sources, got ",
                           options.decoderPrompts.size());
  result.sequences.resize(prompts.size());
  result.cacheDType = session.cacheDType();
  result.cacheBytes = session.cacheBytes();
  for (size_t i = 0; i < prompts.size(); ++i) {
    SamplingOptions sampling = options.sampling;
    sampling.seed += i;
    Sequence &sequence = sequences.emplace_back(Sequence{{}, Sampler(sampling), {}, true});
    if (tokenizer)
      sequence.decoder.emplace(*tokenizer, /*skipSpecialTokens=*/true);
    const std::vector<int32_t> start = program().hasEncoder() ? decoderPrompt(i, prompts) : prompts[i];
    // A source lets its decoder begin anew.
    if (pending[i] >= 0 && !(program().hasEncoder() && !prompts[i].empty()))
      sequence.prompt.push_back(pending[i]);
    sequence.prompt.insert(sequence.prompt.end(), start.begin(), start.end());
    if (sequence.prompt.empty())
      return invalidArgument(program().hasEncoder() ? "decoder prompt " : "prompt ", i,
                             " must have at least one token, got none");
    result.promptTokens += int64_t(prompts[i].size());
  }
  if (program().hasEncoder())
    if (absl::Status status = readSources(prompts); !status.ok())
      return status;
  for (size_t i = 0; i < prompts.size(); ++i)
    step.push_back({int64_t(i), sequences[i].prompt,
                    options.maxNewTokens ? NewTokens::Logits::Last : NewTokens::Logits::None});
  return absl::OkStatus();
}

/// What the decoder of sequence i takes first.
std::vector<int32_t> Generator::Run::decoderPrompt(size_t i, std::span<const std::vector<int32_t>> prompts) const {
  const std::vector<std::vector<int32_t>> &given = options.decoderPrompts;
  if (!given.empty())
    return given[given.size() > 1 ? i : 0];
  const std::vector<int64_t> &start = program().model.decoderStartTokenIds;
  return prompts[i].empty() ? std::vector<int32_t>() : std::vector<int32_t>(start.begin(), start.end());
}

absl::Status Generator::Run::readSources(std::span<const std::vector<int32_t>> prompts) {
  std::vector<Source> sources;
  for (size_t i = 0; i < prompts.size(); ++i)
    if (!prompts[i].empty())
      sources.push_back({int64_t(i), prompts[i]});
  StopWatch watch;
  if (absl::Status status = session.encode(sources); !status.ok())
    return status;
  result.prefillSeconds += watch.lap();
  return absl::OkStatus();
}

absl::Status Generator::Run::takeToken(int64_t index, std::span<const float> logits) {
  Sequence &sequence = sequences[size_t(index)];
  Generation::Sequence &made = result.sequences[size_t(index)];
  const std::vector<int64_t> &forced = program().model.forcedBosTokenIds;
  const bool isForced = !forced.empty() && session.lengths()[size_t(index)] == 1; // behind the start token
  absl::StatusOr<int32_t> id = isForced ? int32_t(forced.front()) : sequence.sampler.sample(logits);
  if (!id.ok())
    return absl::Status(id.status().code(),
                        concat("sequence ", index, ": ", id.status().message()));
  made.ids.push_back(*id);
  pending[size_t(index)] = *id;
  ++result.newTokens;
  if (options.stopAtEos && isEos(*id)) {
    made.stop = Stop::Eos;
    sequence.active = false;
  } else if (int64_t(made.ids.size()) == options.maxNewTokens) {
    sequence.active = false;
  } else if (session.lengths()[size_t(index)] == session.options().capacity) {
    made.stop = Stop::Capacity;
    sequence.active = false;
  }
  return absl::OkStatus();
}

/// Adds the token just taken to its sequence's text and hands it out.
void Generator::Run::stream(int64_t index) {
  Sequence &sequence = sequences[size_t(index)];
  Generation::Sequence &made = result.sequences[size_t(index)];
  std::string text;
  if (sequence.decoder) {
    text = sequence.decoder->push(made.ids.back());
    if (!sequence.active)
      text += sequence.decoder->finish();
    made.text += text;
  }
  if (options.onToken && !stopped)
    stopped = !options.onToken({index, made.ids.back(), text, !sequence.active});
}

absl::Status Generator::Run::takeStep(double &seconds) {
  StopWatch watch;
  absl::StatusOr<LogitsView> logits = session.forward(step);
  if (!logits.ok())
    return logits.status();
  if (options.maxNewTokens == 0) {
    seconds += watch.lap();
    step.clear();
    return absl::OkStatus();
  }
  int64_t row = 0;
  for (const NewTokens &entry : step)
    if (absl::Status status = takeToken(entry.sequence, logits->row(row++)); !status.ok())
      return status;
  seconds += watch.lap();
  for (const NewTokens &entry : step)
    stream(entry.sequence);
  std::erase_if(step, [&](const NewTokens &e) { return !sequences[size_t(e.sequence)].active; });
  for (NewTokens &entry : step)
    entry.ids = {&pending[size_t(entry.sequence)], 1};
  return absl::OkStatus();
}

absl::StatusOr<Generation> Generator::Run::finish() {
  if (absl::Status status = takeStep(result.prefillSeconds); !status.ok())
    return status;
  while (!step.empty() && !stopped) {
    result.decodedTokens += int64_t(step.size());
    if (absl::Status status = takeStep(result.decodeSeconds); !status.ok())
      return status;
  }
  for (const NewTokens &entry : step) { // the caller ended them
    Sequence &sequence = sequences[size_t(entry.sequence)];
    Generation::Sequence &made = result.sequences[size_t(entry.sequence)];
    made.stop = Stop::Caller;
    if (sequence.decoder)
      made.text += sequence.decoder->finish();
  }
  return std::move(result);
}

absl::StatusOr<Generation> Generator::generate(std::span<const std::vector<int32_t>> prompts,
                                               const GenerateOptions &options) {
  const Tokenizer *tokenizer = nullptr;
  if (options.makeText) {
    absl::StatusOr<const Tokenizer *> read = session.model().parts->tokenizer();
    if (!read.ok() && read.status().code() != absl::StatusCode::kNotFound)
      return read.status();
    tokenizer = read.value_or(nullptr);
  }
  Run run(session, session.state->pending, options);
  if (absl::Status status = run.begin(prompts, tokenizer); !status.ok())
    return status;
  return run.finish();
}

absl::StatusOr<Generation> generateFromIds(const std::shared_ptr<const Model> &model,
                                           const std::vector<std::vector<int32_t>> &prompts,
                                           const GenerateOptions &options, SessionOptions session) {
  if (!model)
    return invalidArgument("generation must have a model, got none");
  int64_t longest = 0, total = 0;
  const auto measure = [&](const std::vector<std::vector<int32_t>> &sequences) {
    for (const std::vector<int32_t> &prompt : sequences) {
      longest = std::max(longest, int64_t(prompt.size()));
      total += int64_t(prompt.size());
    }
  };
  measure(prompts);
  if (model->executable().program().hasEncoder()) {
    if (session.sourceCapacity == 0)
      session.sourceCapacity = std::max<int64_t>(longest, 1);
    longest = 1; // of the decoder: its start token
    measure(options.decoderPrompts);
  }
  const int64_t maxLength = model->executable().program().model.maxLength;
  session.batch = int64_t(prompts.size());
  if (session.capacity == 0) {
    const int64_t wanted = std::clamp<int64_t>(options.maxNewTokens, 0, maxLength);
    session.capacity = std::clamp<int64_t>(longest + wanted, 1, maxLength);
  }
  if (session.stateRows == 0)
    session.stateRows = std::max({total, session.batch, int64_t(1)});
  absl::StatusOr<std::unique_ptr<Session>> made = Session::create(model, session);
  if (!made.ok())
    return made.status();
  return Generator(**made).generate(prompts, options);
}

absl::StatusOr<Generation> generateFromText(const std::shared_ptr<const Model> &model,
                                            const std::vector<std::string> &prompts,
                                            const GenerateOptions &options,
                                            const SessionOptions &session) {
  if (!model)
    return invalidArgument("generation must have a model, got none");
  std::vector<std::vector<int32_t>> ids;
  for (const std::string &prompt : prompts) {
    absl::StatusOr<std::vector<int32_t>> encoded = model->encode(prompt);
    if (!encoded.ok())
      return encoded.status();
    ids.push_back(*std::move(encoded));
  }
  return generateFromIds(model, ids, options, session);
}

double Generation::tokensPerSecond() const {
  if (decodedTokens)
    return double(decodedTokens) / std::max(decodeSeconds, 1e-9);
  return double(newTokens) / std::max(prefillSeconds, 1e-9);
}

std::string Generation::closingLine() const {
  char rate[32];
  std::snprintf(rate, sizeof rate, "%.1f", tokensPerSecond());
  std::string line = concat(newTokens, newTokens == 1 ? " token, " : " tokens, ", rate,
                            " tok/s, cache ", cacheDType, ", ", cacheBytes, " bytes");
  const auto full = std::count_if(sequences.begin(), sequences.end(),
                                  [](const Sequence &s) { return s.stop == Stop::Capacity; });
  if (full)
    line += sequences.size() == 1 ? ", stopped: the session is full"
                                  : concat(", ", full, " stopped: the session is full");
  return line;
}

} // namespace graphc
