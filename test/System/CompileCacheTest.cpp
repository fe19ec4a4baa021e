// The compile cache: what is found again, what is not, and what happens when its
// folder is damaged, foreign, full or used by many at once.
#include "Compiler/CompileCache.h"
#include "Fixture.h"
#include "Support/File.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>

namespace fs = std::filesystem;
using namespace graphc;
using namespace graphc::system_test;

namespace {

class CompileCacheTest : public testing::Test {
protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "graphc-cache-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root = name;
    options.policy = {"compute=bf16,output=f32"};
    options.pins = {"bf16"};
    options.compileCache = root / "made" / "graphc";
  }
  void TearDown() override { fs::remove_all(root); }

  CompiledModel compile() { return compileFixture("llama/mqa_bias_one_layer", options); }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> paths;
    for (const fs::directory_entry &entry : fs::directory_iterator(options.compileCache))
      paths.push_back(entry.path());
    return paths;
  }

  fs::path root;
  CompileOptions options;
};

std::vector<std::string> phasesOf(const CompiledModel &model) {
  std::vector<std::string> names;
  for (const PhaseTime &phase : model.phases())
    names.push_back(phase.phase);
  return names;
}

TEST_F(CompileCacheTest, FindsTheSameCodeAndAllThatGoesWithIt) {
  const CompiledModel first = compile(), second = compile();
  EXPECT_FALSE(first.isFromCache());
  EXPECT_TRUE(second.isFromCache());
  EXPECT_EQ(phasesOf(second), (std::vector<std::string>{"load", "layer", "kernel", "cache"}));
  EXPECT_EQ(second.output(), first.output());
  EXPECT_EQ(second.summary(), first.summary());
  EXPECT_EQ(second.notes(), first.notes());
  EXPECT_EQ(*second.planText({}), *first.planText({}));
  EXPECT_EQ(second.certificate({})->json, first.certificate({})->json);
  EXPECT_EQ(*second.sharedObject("model.so"), *first.sharedObject("model.so"));
  EXPECT_TRUE(second.executable().ok());
}

TEST_F(CompileCacheTest, KeepsApartWhatMakesOtherCode) {
  compile();
  const CompileOptions same = options;
  auto isFound = [&](auto change) {
    options = same;
    change();
    return compile().isFromCache();
  };
  EXPECT_TRUE(isFound([] {}));
  EXPECT_FALSE(isFound([&] { options.pins = {"f32"}; }));
  EXPECT_FALSE(isFound([&] { options.policy = {"compute=f32"}; }));
  EXPECT_FALSE(isFound([&] { options.outputs = {"logits", "hidden_states"}; }));
  EXPECT_FALSE(isFound([&] { options.optimize = 0; }));
  EXPECT_FALSE(isFound([&] { options.trace = true; }));
  EXPECT_FALSE(isFound([&] { options.target = nativeTargetName() == "x86-64" ? "x86-64-v3" : "x86-64"; }));
  EXPECT_FALSE(isFound([&] { options.inspect.statistics = true; })) << "its remarks come from running the passes";
  EXPECT_TRUE(isFound([] {}));
}

TEST_F(CompileCacheTest, ChecksTheBudgetOfWhatItFinds) {
  compile();
  options.memoryBudget = 1;
  absl::StatusOr<CompiledModel> compiled = graphc::compile(folderOf("llama/mqa_bias_one_layer"), options);
  EXPECT_EQ(compiled.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(CompileCacheTest, CompilesAnewWhereAnEntryIsDamaged) {
  const CompiledModel first = compile();
  ASSERT_EQ(entries().size(), 1u);
  const fs::path path = entries().front();
  const std::string whole = *readFile(path);
  const CompileCache cache(options.compileCache);
  auto isFoundWith = [&](std::string_view bytes) {
    EXPECT_TRUE(writeFileAtomically(path, {bytes}).ok());
    return bool(cache.find(path.stem()));
  };
  EXPECT_TRUE(isFoundWith(whole));
  for (size_t at : {size_t(0), size_t(70), whole.size() / 2, whole.size() - 1}) {
    std::string damaged = whole;
    damaged[at] ^= 1;
    EXPECT_FALSE(isFoundWith(damaged)) << at;
  }
  for (size_t size : {size_t(0), size_t(64), size_t(65), whole.size() / 3})
    EXPECT_FALSE(isFoundWith(std::string_view(whole).substr(0, size))) << size;
  const CompiledModel again = compile();
  EXPECT_FALSE(again.isFromCache());
  EXPECT_EQ(again.output(), first.output());
  EXPECT_TRUE(compile().isFromCache()) << "mended";
}

TEST_F(CompileCacheTest, TakesNoCodeThatOthersCanWrite) {
  compile();
  const std::string path = entries().front();
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  EXPECT_FALSE(compile().isFromCache());
  ASSERT_EQ(::chmod(options.compileCache.c_str(), 0777), 0);
  const CompiledModel compiled = compile();
  EXPECT_FALSE(compiled.isFromCache());
  EXPECT_NE(compiled.notes().find("must be this user's and writable by no one else; --no-compile-cache does without it"), std::string::npos)
      << compiled.notes();
}

TEST_F(CompileCacheTest, CompilesAndSaysSoWhereTheFolderCannotBeMade) {
  std::ofstream(root / "file") << "no folder";
  options.compileCache = root / "file" / "graphc";
  const CompiledModel compiled = compile();
  EXPECT_NE(compiled.notes().find("warning: compile cache is not used: folder '"), std::string::npos) << compiled.notes();
  EXPECT_TRUE(compiled.executable().ok());
}

TEST_F(CompileCacheTest, KeepsBelowItsLimitAndForgetsWhatWasUsedLeast) {
  CachedCode code;
  code.program = compile().program();
  const uint64_t each = fs::file_size(entries().front());
  fs::remove(entries().front());
  code.object = std::string(each, 'x'); // with the line in front between one and two times as large
  const CompileCache cache(options.compileCache, 4 * each);
  auto age = [&](std::string_view key, int hours) {
    for (const fs::path &path : entries())
      if (path.stem() == key)
        fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(hours));
  };
  ASSERT_TRUE(cache.store("first", code).ok());
  age("first", 3);
  ASSERT_TRUE(cache.store("second", code).ok());
  age("second", 2);
  EXPECT_EQ(entries().size(), 2u);
  EXPECT_TRUE(cache.find("first")) << "used just now";
  std::ofstream(fs::path(options.compileCache) / "of somebody else") << std::string(5 * each, 'x');
  for (std::string_view key : {"third", "fourth"})
    ASSERT_TRUE(cache.store(std::string(key), code).ok());
  EXPECT_FALSE(cache.find("second")) << "used least recently";
  EXPECT_TRUE(cache.find("fourth"));
  uint64_t total = 0;
  for (const fs::path &path : entries())
    total += path.extension() == ".graphc-code" ? fs::file_size(path) : 0;
  EXPECT_LE(total, 4 * each);
  EXPECT_TRUE(fs::exists(fs::path(options.compileCache) / "of somebody else"));
}

TEST_F(CompileCacheTest, IsSharedByManyAtOnce) {
  const std::string expected = compile().output();
  std::vector<std::thread> threads;
  std::atomic<int> same = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      CompileOptions mine = options;
      for (int round = 0; round < 3; ++round) {
        if (i == 0)
          for (const fs::path &path : entries()) // another process evicts
            fs::remove(path);
        absl::StatusOr<CompiledModel> compiled = graphc::compile(folderOf("llama/mqa_bias_one_layer"), mine);
        same += compiled.ok() && compiled->output() == expected && compiled->notes().empty();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(same, 12);
}

} // namespace
