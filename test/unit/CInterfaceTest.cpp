// c/graphc.h: a session rewound, saved and loaded, and errors as messages. The
// examples of docs/ are the test of the rest.
#include "graphc/c/graphc.h"

#include <filesystem>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace {
/// The logits of the last of `ids`, appended to sequence 0.
std::vector<float> feed(graphc_session *session, int64_t vocab, const std::vector<int32_t> &ids) {
  const float *logits = nullptr;
  char *error = nullptr;
  EXPECT_EQ(graphc_forward(session, 0, ids.data(), ids.size(), &logits, &error), 0) << error;
  return logits ? std::vector<float>(logits, logits + vocab) : std::vector<float>();
}

/// The message of a call that must fail; freed.
std::string failure(int code, char *error) {
  EXPECT_EQ(code, 1);
  const std::string message = error ? error : "";
  graphc_free(error);
  return message;
}
} // namespace

TEST(CInterface, rewindsSavesAndLoads) {
  char *error = nullptr;
  graphc_model *model = graphc_open(GRAPHC_TEST_ARTEFACT, "", &error);
  ASSERT_TRUE(model) << error;
  graphc_session_options options = {};
  options.capacity = 32;
  graphc_session *session = graphc_session_open(model, &options, &error);
  ASSERT_TRUE(session) << error;
  const int64_t vocab = graphc_vocab_size(model);
  feed(session, vocab, {1, 2});
  const std::vector<float> expected = feed(session, vocab, {3});

  ASSERT_EQ(graphc_session_rewind(session, 0, 2, &error), 0) << error;
  EXPECT_EQ(graphc_session_length(session, 0), 2);
  const std::string path = testing::TempDir() + "graphc-c.cache";
  ASSERT_EQ(graphc_session_save(session, path.c_str(), &error), 0) << error;
  EXPECT_EQ(feed(session, vocab, {3}), expected);

  graphc_session *other = graphc_session_open(model, &options, &error);
  ASSERT_TRUE(other) << error;
  ASSERT_EQ(graphc_session_load(other, path.c_str(), &error), 0) << error;
  EXPECT_EQ(graphc_session_length(other, 0), 2);
  EXPECT_EQ(feed(other, vocab, {3}), expected);

  EXPECT_EQ(failure(graphc_session_rewind(session, 0, 9, &error), error), "length must be from 0 to the sequence's 3 tokens, got 9");
  error = nullptr;
  EXPECT_EQ(failure(graphc_session_save(session, nullptr, &error), error), "path must be given, got NULL");
  error = nullptr;
  EXPECT_NE(failure(graphc_session_load(session, (path + ".none").c_str(), &error), error).find("cannot be opened"), std::string::npos);
  const int32_t source[] = {1};
  error = nullptr;
  EXPECT_EQ(failure(graphc_session_encode(session, 0, source, 1, &error), error),
            "model must have an encoder to read a source, got a decoder alone");
  error = nullptr;
  EXPECT_EQ(failure(graphc_session_encode(session, 0, nullptr, 1, &error), error), "ids must be given, got NULL");
  EXPECT_EQ(graphc_session_load(session, GRAPHC_TEST_ARTEFACT, nullptr), 1); // who wants no message gets none
  EXPECT_EQ(graphc_session_length(session, 0), 3);
  graphc_session_close(other);
  graphc_session_close(session);
  graphc_close(model);
  std::filesystem::remove(path);
}
