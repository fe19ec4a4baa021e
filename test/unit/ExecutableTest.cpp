// Runtime/Executable: a good shared object runs; damaged or foreign ones are
// refused with what is wrong and what to do.
#include "Support/File.h"
#include "ToyProgram.h"

using namespace graphc;

namespace {
std::string failure(const absl::Status &status) { return std::string(status.message()); }

/// A copy of the artefact in which every `from` has become `to`, equally long.
std::string damaged(const std::string &from, const std::string &to) {
  std::string bytes = *readFile(GRAPHC_TEST_ARTEFACT);
  EXPECT_EQ(from.size(), to.size());
  EXPECT_NE(bytes.find(from), bytes.npos);
  for (size_t at = 0; (at = bytes.find(from, at)) != bytes.npos; at += to.size())
    bytes.replace(at, to.size(), to);
  const std::string path = toy::testFolder() + "/damaged.so";
  EXPECT_TRUE(writeFileAtomically(path, {bytes}).ok());
  return path;
}
} // namespace

TEST(Executable, loadsAndRunsASharedObject) {
  auto executable = Executable::load(GRAPHC_TEST_ARTEFACT);
  ASSERT_TRUE(executable.ok()) << executable.status();
  EXPECT_EQ((*executable)->program().model.family, "counter");
  auto session = Session::create(*Model::open(*executable, ""), {});
  ASSERT_TRUE(session.ok()) << session.status();
  const int32_t ids[] = {3, 5};
  auto logits = (*session)->forward(std::vector<NewTokens>{{0, ids}});
  ASSERT_TRUE(logits.ok()) << logits.status();
  EXPECT_EQ(logits->row(0)[6], 1.0f);
  EXPECT_EQ((*session)->cacheDType(), "none");
}

TEST(Executable, refusesWhatIsNoArtefact) {
  EXPECT_EQ(Executable::load("/nonexistent.so").status().code(), absl::StatusCode::kNotFound);
  const std::string folder = toy::testFolder(), path = folder + "/text.so";
  EXPECT_FALSE(Executable::load(folder).ok());
  EXPECT_TRUE(writeFileAtomically(path, {"not an object"}).ok());
  EXPECT_EQ(failure(Executable::load(path).status()),
            "file '" + path + "' must be an x86-64 shared object made by graphc");
}

TEST(Executable, survivesEveryCut) {
  const std::string bytes = *readFile(GRAPHC_TEST_ARTEFACT);
  const std::string path = toy::testFolder() + "/cut.so";
  for (size_t size = 0; size < bytes.size(); size += 1 + bytes.size() / 100) {
    ASSERT_TRUE(writeFileAtomically(path, {std::string_view(bytes).substr(0, size)}).ok());
    (void)Executable::load(path); // the section table may go; the segments may not
  }
}

TEST(Executable, refusesOtherVersionsAndHosts) {
  std::string path = damaged("\"version\":1", "\"version\":7");
  EXPECT_EQ(failure(Executable::load(path).status()),
            path + ": program version must be 1, got 7; compile the model again with this graphc");
  path = damaged("\"sse2\"", "\"nope\"");
  const absl::Status lacking = Executable::load(path).status();
  EXPECT_EQ(lacking.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(failure(lacking).find(path + ": target 'x86-64' needs nope, which this machine lacks; "
                                         "compile with --target="), 0u)
      << lacking;
  path = damaged("graphc_decode", "graphc_encode");
  EXPECT_EQ(failure(Executable::load(path).status()),
            "file '" + path + "' must have the symbol 'graphc_decode'; is it made by graphc?");
  path = damaged("\"kind\":\"input\"", "\"kind\":\"tuput\"");
  EXPECT_FALSE(Executable::load(path).ok());
}

TEST(Executable, plansBeforeWeightsAreOpened) {
  auto executable = *Executable::load(GRAPHC_TEST_ARTEFACT);
  auto bytes = executable->planBytes({.batch = 2, .threads = 1});
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(nlohmann::json::parse(*executable->planJson({.batch = 2, .threads = 1}))["total"],
            *bytes);
  EXPECT_TRUE(executable->checkBudget({.batch = 2}, *bytes).ok());
  EXPECT_EQ(executable->checkBudget({.batch = 2}, *bytes - 1).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(executable->planText({.capacity = 65}).ok());
}

TEST(Executable, refusesIncompleteCode) {
  EXPECT_FALSE(Executable::create(toy::program(), nullptr, toy::entry<true>, nullptr).ok());
  Program program = toy::program();
  program.symbols.clear();
  EXPECT_FALSE(Executable::create(program, toy::entry<false>, toy::entry<true>, nullptr).ok());
}
