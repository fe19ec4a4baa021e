/* Runs a compiled model from C: artefact, weights folder, new tokens, and the
   prompt as token ids.   usage: run OUT.so WEIGHTS COUNT ID... */
#include "graphc/c/graphc.h"

#include <stdio.h>
#include <stdlib.h>

static int print_token(const graphc_token *token, void *context) {
  int *count = context;
  ++*count;
  printf("%d%s", token->id, token->is_last ? "\n" : " ");
  return 0;
}

static int fail(char *error) {
  fprintf(stderr, "%s\n", error);
  graphc_free(error);
  return 1;
}

int main(int argc, char **argv) {
  char *error = NULL;
  if (argc < 5) {
    fprintf(stderr, "usage: %s OUT.so WEIGHTS COUNT ID...\n", argv[0]);
    return 2;
  }
  graphc_model *model = graphc_open(argv[1], argv[2], &error);
  if (!model)
    return fail(error);
  graphc_session_options wanted = {.capacity = 32};
  graphc_session *session = graphc_session_open(model, &wanted, &error);
  graphc_close(model); /* the session keeps what it needs */
  if (!session)
    return fail(error);

  size_t length = (size_t)argc - 4;
  int32_t *ids = malloc(length * sizeof *ids);
  for (size_t i = 0; i < length; ++i)
    ids[i] = atoi(argv[i + 4]);
  const int32_t *prompts[] = {ids};
  graphc_generate_options options = {.max_new_tokens = atol(argv[3])};
  graphc_statistics statistics;
  int count = 0;
  int failed = graphc_generate_ids(session, prompts, &length, 1, &options, print_token, &count,
                                   &statistics, &error);
  free(ids);
  if (!failed && (statistics.new_tokens != count || graphc_session_length(session, 0) < count))
    failed = 3;
  if (!failed)
    printf("%d tokens, cache %s, %llu bytes\n", count, graphc_session_cache_dtype(session),
           (unsigned long long)graphc_session_cache_bytes(session));
  graphc_session_close(session);
  return failed == 1 ? fail(error) : failed;
}
