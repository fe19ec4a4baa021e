/* The C interface of libgraphc_runtime: open a compiled model, make a session,
   generate. Strings are UTF-8 and end with a NUL.

   Errors: a function that can fail returns NULL or a value other than 0. If its
   `error` argument is not NULL, *error is then a message that the caller frees
   with graphc_free; it is untouched on success.
   Threads: a model may be used by many, a session by one at a time. */
#ifndef GRAPHC_C_GRAPHC_H
#define GRAPHC_C_GRAPHC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graphc_model graphc_model;     /* code, weights, tokenizer */
typedef struct graphc_session graphc_session; /* cache and workspace */

/* Members that are 0 stand for the default that is said. */
typedef struct {
  int64_t batch;    /* Sequences, numbered from 0; 1. */
  int64_t capacity; /* Tokens of a sequence; min(the model's longest, 4096). */
  int64_t source_capacity; /* The same of a source, if the model has an encoder. */
  int64_t chunk;    /* Most tokens in one call; 512. */
  int64_t threads;  /* All cores that the process may use, shared among sessions that run at once. */
} graphc_session_options;

typedef struct {
  int64_t max_new_tokens; /* Of each sequence; 128. */
  float temperature;      /* Greedy. */
  int32_t top_k;          /* All tokens. */
  float top_p;            /* 1. */
  uint64_t seed;          /* 0. */
  int32_t ignore_eos;     /* Other than 0: go on after an EOS token. */
} graphc_generate_options;

/* A new token; `text` is valid during the callback. */
typedef struct {
  int64_t sequence;
  int32_t id;
  const char *text; /* What it makes certain: whole characters, often none. */
  int32_t is_last;  /* Of its sequence: 1, else 0. */
} graphc_token;

/* Returns 0 to go on, another value to end the generation. */
typedef int (*graphc_token_callback)(const graphc_token *token, void *context);

typedef struct {
  int64_t prompt_tokens, new_tokens; /* Of all sequences. */
  double prefill_seconds, decode_seconds;
  double tokens_per_second; /* Of the decode; of the prefill if there is none. */
} graphc_statistics;

/* Opens the shared object `artefact`, which graphc made, with the checkpoint in
   the folder `weights`. The caller ends it with graphc_close; sessions made of
   it stay valid. */
graphc_model *graphc_open(const char *artefact, const char *weights, char **error);
void graphc_close(graphc_model *model);

/* Tokens in the vocabulary: ids are from 0 to that - 1. */
int64_t graphc_vocab_size(const graphc_model *model);
/* The memory that a session would need, in bytes by use, as JSON text; the
   caller frees it. `options` may be NULL here and below: all defaults. */
char *graphc_plan(const graphc_model *model, const graphc_session_options *options, char **error);
/* The ids of `text`: *ids is an array of *count that the caller frees. */
int graphc_encode(const graphc_model *model, const char *text, int32_t **ids, size_t *count,
                  char **error);

/* The caller ends the session with graphc_session_close. */
graphc_session *graphc_session_open(const graphc_model *model,
                                    const graphc_session_options *options, char **error);
void graphc_session_close(graphc_session *session);
/* Tokens in the cache of `sequence`; -1 if there is no such sequence. */
int64_t graphc_session_length(const graphc_session *session, int64_t sequence);
/* Empties `sequence`. */
int graphc_session_reset(graphc_session *session, int64_t sequence, char **error);
/* Shortens `sequence` to its first `length` tokens; an error says how far it can
   go where a layer with a window has lost older rows. */
int graphc_session_rewind(graphc_session *session, int64_t sequence, int64_t length, char **error);
/* Writes the cache to the file `path`, and replaces it by one that was saved: of the
   same model, weights, policy, cache dtypes and batch, or it is an error that
   changes nothing. */
int graphc_session_save(const graphc_session *session, const char *path, char **error);
int graphc_session_load(graphc_session *session, const char *path, char **error);
/* Bytes of keys, values and lengths, and their dtype ("bf16"), which is valid as
   long as the session. */
uint64_t graphc_session_cache_bytes(const graphc_session *session);
const char *graphc_session_cache_dtype(const graphc_session *session);

/* If the model has an encoder: reads a source of `count` ids for `sequence`, whose
   decoder starts anew. */
int graphc_session_encode(graphc_session *session, int64_t sequence, const int32_t *ids, size_t count,
                          char **error);

/* Appends `count` ids to `sequence`. *logits is then (vocab) f32 for the last of
   them, in the session's memory, valid until its next call. */
int graphc_forward(graphc_session *session, int64_t sequence, const int32_t *ids, size_t count,
                   const float **logits, char **error);

/* Appends prompt i to sequence i (with an encoder: lets it read that source), then new tokens until each sequence ends, and
   calls `callback` (may be NULL) for each. A later call goes on from there: its
   text gets no BOS token.
   `statistics` may be NULL. */
int graphc_generate_ids(graphc_session *session, const int32_t *const *prompts,
                        const size_t *counts, size_t prompt_count,
                        const graphc_generate_options *options, graphc_token_callback callback,
                        void *context, graphc_statistics *statistics, char **error);
int graphc_generate_text(graphc_session *session, const char *const *prompts, size_t prompt_count,
                         const graphc_generate_options *options, graphc_token_callback callback,
                         void *context, graphc_statistics *statistics, char **error);

/* Frees what this library handed out, NULL included. */
void graphc_free(void *memory);

#ifdef __cplusplus
}
#endif

#endif
