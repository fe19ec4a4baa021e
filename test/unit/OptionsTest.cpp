// The commands' option table: every kind of option, its errors, and help.
#include "tools/graphc/Options.h"

#include <gtest/gtest.h>

using namespace graphc;

namespace {
struct Given {
  std::string model, text = "default";
  std::vector<std::string> rules;
  int64_t count = 1;
  double temperature = 0;
  bool verbose = false;
  std::optional<int> code;
  std::string output, error;
};

Given parse(std::vector<std::string_view> arguments) {
  Given given;
  Options options("graphc test", "Tests.");
  options.argument("MODEL", given.model, "the model");
  options.text("-o --output", "FILE", given.text, "a file");
  options.list("--policy", "RULES", given.rules, "rules\nin two lines");
  options.integer("-n --max-new-tokens", "N", 0, given.count, "a count");
  options.number("--temperature", "T", given.temperature, "a number");
  options.flag("-v --verbose", given.verbose, "a flag");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  given.code = options.parse(arguments);
  given.output = ::testing::internal::GetCapturedStdout();
  given.error = ::testing::internal::GetCapturedStderr();
  return given;
}

/// The message of a usage error, without the command and the hint.
std::string failure(std::vector<std::string_view> arguments) {
  const Given given = parse(std::move(arguments));
  EXPECT_EQ(given.code, kUsageError);
  const std::string begin = "graphc test: error: ", end = "\nsee 'graphc test --help'\n";
  EXPECT_TRUE(given.error.starts_with(begin) && given.error.ends_with(end)) << given.error;
  return given.error.substr(begin.size(), given.error.size() - begin.size() - end.size());
}
} // namespace

TEST(Options, setsVariables) {
  const Given given = parse({"-v", "model", "--output=a=b", "--policy", "x", "-n", "5", "--policy=y", "--temperature", "-0.5"});
  EXPECT_EQ(given.code, std::nullopt);
  EXPECT_TRUE(given.verbose);
  EXPECT_EQ(given.model, "model");
  EXPECT_EQ(given.text, "a=b");
  EXPECT_EQ(given.rules, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(given.count, 5);
  EXPECT_EQ(given.temperature, -0.5);
}

TEST(Options, keepsDefaultsAndTakesTheLast) {
  EXPECT_EQ(parse({"m"}).text, "default");
  EXPECT_EQ(parse({"m", "-o", "a", "-o", "b"}).text, "b");
}

TEST(Options, takesDashesAsArguments) {
  EXPECT_EQ(parse({"-"}).model, "-");
  EXPECT_EQ(parse({"--", "--odd"}).model, "--odd");
  EXPECT_EQ(parse({"m", "-o", "-v"}).text, "-v");
}

TEST(Options, refuses) {
  EXPECT_EQ(failure({}), "expected MODEL, got nothing");
  EXPECT_EQ(failure({"a", "b"}), "expected 1 argument, got 'b' in addition");
  EXPECT_EQ(failure({"m", "--outptu=x"}), "option '--outptu' is unknown; nearest: '--output'");
  EXPECT_EQ(failure({"m", "--entirely-different"}), "option '--entirely-different' is unknown");
  EXPECT_EQ(failure({"m", "-o"}), "option '-o' must be followed by FILE");
  EXPECT_EQ(failure({"m", "-v=1"}), "option '-v' takes no value, got '1'");
  EXPECT_EQ(failure({"m", "-n", "5x"}), "option '-n' must be an integer, got '5x'");
  EXPECT_EQ(failure({"m", "-n", "-1"}), "option '-n' must be at least 0, got -1");
  EXPECT_EQ(failure({"m", "-n", "99999999999999999999"}), "option '-n' must be an integer, got '99999999999999999999'");
  EXPECT_EQ(failure({"m", "--temperature", "nan"}), "option '--temperature' must be a finite number, got 'nan'");
  EXPECT_EQ(failure({"m", "--temperature="}), "option '--temperature' must be a number, got ''");
}

TEST(Options, helps) {
  const Given given = parse({"--unknown-is-too-late", "--help"});
  EXPECT_EQ(given.code, kUsageError); // errors come in order
  const Given help = parse({"--help"});
  EXPECT_EQ(help.code, kSuccess);
  EXPECT_EQ(help.output, "usage: graphc test [options] MODEL\n\n"
                         "Tests.\n\n"
                         "  MODEL                     the model\n\n"
                         "options:\n"
                         "  -o, --output FILE         a file\n"
                         "  --policy RULES            rules\n"
                         "                            in two lines\n"
                         "  -n, --max-new-tokens N    a count\n"
                         "  --temperature T           a number\n"
                         "  -v, --verbose             a flag\n"
                         "  -h, --help                prints this text\n");
}
