// The C interface: handles around the C++ objects, statuses turned into text. No
// exception crosses it.
#include "graphc/Runtime.h"
#include "graphc/c/graphc.h"

#include "Support/Program.h"

#include <cstdlib>
#include <cstring>
#include <new>

using namespace graphc;

struct graphc_model {
  std::shared_ptr<const Model> model;
};

struct graphc_session {
  std::unique_ptr<Session> session;
  Generator generator;
  std::string cacheDType;
};

namespace {
/// A NUL-terminated copy of `text` for the caller to free; null without memory.
char *copyText(const char *text, size_t size) {
  auto *copy = static_cast<char *>(std::malloc(size + 1));
  if (copy) {
    std::memcpy(copy, text, size);
    copy[size] = '\0';
  }
  return copy;
}

void report(const absl::Status &status, char **error) {
  if (error)
    *error = copyText(status.message().data(), status.message().size());
}

/// What `body` returns, a StatusOr or a Status; an exception becomes a status.
template <typename Body> auto guarded(Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return absl::ResourceExhaustedError("memory is used up");
  } catch (const std::exception &failure) {
    return absl::InternalError(failure.what());
  }
}

/// 0, or 1 with the message in *error.
int exitOf(const absl::Status &status, char **error) {
  if (status.ok())
    return 0;
  report(status, error);
  return 1;
}

absl::Status missing(const char *what) {
  return absl::InvalidArgumentError(std::string(what) + " must be given, got NULL");
}

SessionOptions optionsOf(const graphc_session_options *options) {
  SessionOptions result;
  if (!options)
    return result;
  if (options->batch)
    result.batch = options->batch;
  result.capacity = options->capacity;
  result.sourceCapacity = options->source_capacity;
  if (options->chunk)
    result.chunk = options->chunk;
  result.threads = options->threads;
  return result;
}

GenerateOptions optionsOf(const graphc_generate_options *options, graphc_token_callback callback,
                          void *context) {
  GenerateOptions result;
  if (options) {
    if (options->max_new_tokens)
      result.maxNewTokens = options->max_new_tokens;
    result.sampling.temperature = options->temperature;
    result.sampling.topK = options->top_k;
    if (options->top_p != 0)
      result.sampling.topP = options->top_p;
    result.sampling.seed = options->seed;
    result.stopAtEos = !options->ignore_eos;
  }
  if (callback)
    result.onToken = [callback, context](const StreamedToken &token) {
      const std::string text(token.text); // ends with a NUL
      const graphc_token plain = {token.sequence, token.id, text.c_str(), token.isLast};
      return callback(&plain, context) == 0;
    };
  else
    result.makeText = false;
  return result;
}

absl::Status generate(graphc_session &session, std::span<const std::vector<int32_t>> prompts,
                      const GenerateOptions &options, graphc_statistics *statistics) {
  absl::StatusOr<Generation> made = session.generator.generate(prompts, options);
  if (!made.ok())
    return made.status();
  if (statistics)
    *statistics = {made->promptTokens, made->newTokens, made->prefillSeconds, made->decodeSeconds,
                   made->tokensPerSecond()};
  return absl::OkStatus();
}
} // namespace

graphc_model *graphc_open(const char *artefact, const char *weights, char **error) {
  auto opened = guarded([&]() -> absl::StatusOr<graphc_model *> {
    if (!artefact || !weights)
      return missing(artefact ? "weights" : "artefact");
    auto executable = Executable::load(artefact);
    if (!executable.ok())
      return executable.status();
    auto model = Model::open(*std::move(executable), weights);
    if (!model.ok())
      return model.status();
    return new graphc_model{*std::move(model)};
  });
  if (opened.ok())
    return *opened;
  report(opened.status(), error);
  return nullptr;
}

void graphc_close(graphc_model *model) { delete model; }

int64_t graphc_vocab_size(const graphc_model *model) {
  return model->model->executable().program().model.vocabSize;
}

char *graphc_plan(const graphc_model *model, const graphc_session_options *options, char **error) {
  auto plan = guarded([&]() -> absl::StatusOr<std::string> {
    return model->model->executable().planJson(optionsOf(options));
  });
  if (plan.ok())
    return copyText(plan->data(), plan->size());
  report(plan.status(), error);
  return nullptr;
}

int graphc_encode(const graphc_model *model, const char *text, int32_t **ids, size_t *count,
                  char **error) {
  return exitOf(guarded([&]() -> absl::Status {
    if (!text)
      return missing("text");
    absl::StatusOr<std::vector<int32_t>> encoded = model->model->encode(text);
    if (!encoded.ok())
      return encoded.status();
    *ids = static_cast<int32_t *>(std::malloc(encoded->size() * sizeof(int32_t) + 1));
    if (!*ids)
      throw std::bad_alloc();
    std::copy(encoded->begin(), encoded->end(), *ids);
    *count = encoded->size();
    return absl::OkStatus();
  }), error);
}

graphc_session *graphc_session_open(const graphc_model *model,
                                    const graphc_session_options *options, char **error) {
  auto opened = guarded([&]() -> absl::StatusOr<graphc_session *> {
    auto session = Session::create(model->model, optionsOf(options));
    if (!session.ok())
      return session.status();
    Session &made = **session;
    return new graphc_session{*std::move(session), Generator(made), made.cacheDType()};
  });
  if (opened.ok())
    return *opened;
  report(opened.status(), error);
  return nullptr;
}

void graphc_session_close(graphc_session *session) { delete session; }

int64_t graphc_session_length(const graphc_session *session, int64_t sequence) {
  const std::span<const int32_t> lengths = session->session->lengths();
  return sequence >= 0 && sequence < int64_t(lengths.size()) ? lengths[size_t(sequence)] : -1;
}

int graphc_session_reset(graphc_session *session, int64_t sequence, char **error) {
  return exitOf(guarded([&] { return session->session->reset(sequence); }), error);
}

int graphc_session_rewind(graphc_session *session, int64_t sequence, int64_t length, char **error) {
  return exitOf(guarded([&] { return session->session->rewind(sequence, length); }), error);
}

int graphc_session_save(const graphc_session *session, const char *path, char **error) {
  return exitOf(guarded([&] { return path ? session->session->saveCache(path) : missing("path"); }), error);
}

int graphc_session_load(graphc_session *session, const char *path, char **error) {
  return exitOf(guarded([&] { return path ? session->session->loadCache(path) : missing("path"); }), error);
}

uint64_t graphc_session_cache_bytes(const graphc_session *session) {
  return session->session->cacheBytes();
}

const char *graphc_session_cache_dtype(const graphc_session *session) {
  return session->cacheDType.c_str();
}

int graphc_session_encode(graphc_session *session, int64_t sequence, const int32_t *ids, size_t count,
                          char **error) {
  return exitOf(guarded([&]() -> absl::Status {
    if (!ids)
      return missing("ids");
    const Source source = {sequence, {ids, count}};
    return session->session->encode({&source, 1});
  }), error);
}

int graphc_forward(graphc_session *session, int64_t sequence, const int32_t *ids, size_t count,
                   const float **logits, char **error) {
  return exitOf(guarded([&]() -> absl::Status {
    if (!ids || !logits)
      return missing(ids ? "logits" : "ids");
    if (count == 0)
      return absl::InvalidArgumentError("ids must be at least one, got none");
    const NewTokens tokens = {sequence, {ids, count}, NewTokens::Logits::Last};
    absl::StatusOr<LogitsView> view = session->session->forward({&tokens, 1});
    if (view.ok())
      *logits = view->data;
    return view.status();
  }), error);
}

int graphc_generate_ids(graphc_session *session, const int32_t *const *prompts,
                        const size_t *counts, size_t prompt_count,
                        const graphc_generate_options *options, graphc_token_callback callback,
                        void *context, graphc_statistics *statistics, char **error) {
  return exitOf(guarded([&]() -> absl::Status {
    if (!prompts || !counts)
      return missing(prompts ? "counts" : "prompts");
    std::vector<std::vector<int32_t>> ids;
    for (size_t i = 0; i < prompt_count; ++i)
      ids.emplace_back(prompts[i], prompts[i] + counts[i]);
    return generate(*session, ids, optionsOf(options, callback, context), statistics);
  }), error);
}

int graphc_generate_text(graphc_session *session, const char *const *prompts, size_t prompt_count,
                         const graphc_generate_options *options, graphc_token_callback callback,
                         void *context, graphc_statistics *statistics, char **error) {
  return exitOf(guarded([&]() -> absl::Status {
    if (!prompts)
      return missing("prompts");
    std::vector<std::vector<int32_t>> ids;
    for (size_t i = 0; i < prompt_count; ++i) {
      if (!prompts[i])
        return missing("prompt");
      const bool isStart = graphc_session_length(session, int64_t(i)) == 0 ||
                           session->session->model().executable().program().hasEncoder();
      auto encoded = session->session->model().encode(prompts[i], /*addSpecialTokens=*/isStart);
      if (!encoded.ok())
        return encoded.status();
      ids.push_back(*std::move(encoded));
    }
    return generate(*session, ids, optionsOf(options, callback, context), statistics);
  }), error);
}

void graphc_free(void *memory) { std::free(memory); }
