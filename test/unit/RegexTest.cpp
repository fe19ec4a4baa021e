// Runtime/Regex: the translation of Oniguruma's syntax, and the matches.
#include "Runtime/Regex.h"

#include <gtest/gtest.h>

using namespace graphc;

namespace {
std::string translated(std::string_view pattern) {
  auto result = translateOniguruma(pattern);
  return result.ok() ? *result : std::string(result.status().message());
}

std::vector<std::string> found(std::string_view pattern, std::string_view text) {
  auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status();
  if (!regex.ok())
    return {};
  auto matches = regex->findAll(text);
  EXPECT_TRUE(matches.ok()) << matches.status();
  std::vector<std::string> out;
  for (const Regex::Match &match : *matches)
    out.push_back(std::string(text.substr(match.begin, match.end - match.begin)) + "@" +
                  std::to_string(match.begin));
  return out;
}
} // namespace

TEST(Regex, rewritesWhatIsSpelledDifferently) {
  EXPECT_EQ(translated(R"(\s\S\d\D)"), R"(\p{wspace}\P{wspace}\p{Nd}\P{Nd})");
  EXPECT_EQ(translated(R"([^\s\p{L}\p{^N}\P{Lu}])"), R"([^\p{wspace}\p{L}\P{N}\P{Lu}])");
  EXPECT_EQ(translated(R"(\p{Han}|\x41|\x{1F600}|\v)"), R"(\p{sc:Han}|\x{41}|\x{1F600}|\x0B)");
  EXPECT_EQ(translated("(a)(?i:c)(?<!d)(?=e{2})"), "(?:a)(?i:c)(?<!d)(?=e{2})");
  EXPECT_EQ(translated("[a-z0-9_.-]{1,3}?x{2}y?+z*+|a"), "[a-z0-9_.\\-]{1,3}?x{2}y?+z*+|a");
}

TEST(Regex, acceptsThePatternsOfKnownModels) {
  for (
      std::string_view pattern :
      {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
       R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"})
    EXPECT_TRUE(Regex::compile(pattern).ok()) << Regex::compile(pattern).status();
}

TEST(Regex, refusesWhatTheEnginesReadDifferently) {
  for (std::string_view pattern :
       {"\\w",     "\\h",       "\\b",         "\\K",     "\\1",    "\\Q",         "\\",
        "^a",      "a$",        "(?m:a)",      "(?<n>a)", "(*UCP)", "(?#c)",       "(?>a)",
        "a*+b",    "a++b?c",    "a*+(b)?",     "(a*+)",   "(?=a*)", "(?=(a|b)+)",  "(?<=a?)",
        "a{256}",  "a{1,1000}", "[[a]b]",      "[a&&b]",  "[]a]",   "[a",          "[a-\\d]",
        "[\\d-a]", "(a",        "a)",          "*a",      "a**",    "a{,2}",       "a{x}",
        "a{",      "a{2}?+",    "a{2,3}+",     "\\p{L",   "\\pL",   "\\p{L&}",     "(?i:\\p{Lu})",
        "(?i:ss)", "(?i:fi)",   "(?i:\u00e9)", "\\xff",   "\\x",    "\\x{110000}", "\\p{Nonsense}",
        "}"}) {
    auto regex = Regex::compile(pattern);
    EXPECT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.status().code(), absl::StatusCode::kInvalidArgument) << pattern;
  }
  EXPECT_FALSE(Regex::compile(std::string(1 << 17, 'a')).ok());
  EXPECT_FALSE(Regex::compile(std::string(10000, '(') + std::string(10000, ')')).ok());
}

TEST(Regex, findsMatchesFromLeftToRight) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(found("a+", "baaca"), (Strings{"aa@1", "a@4"}));
  EXPECT_EQ(found("(?<=b)a|\\S+(?!\\S)", "xbab ba"), (Strings{"xbab@0", "ba@5"}));
  EXPECT_EQ(found("\\p{L}", "\u00e9-\u4e2d"), (Strings{"\u00e9@0", "\u4e2d@3"}));
  EXPECT_EQ(found(".", "a\nb"), (Strings{"a@0", "b@2"}));
  EXPECT_EQ(found("\\s", "\u180e\u0085\u3000"), (Strings{"\u0085@3", "\u3000@5"}));
}

TEST(Regex, countsEmptyMatchesThatTouchNoOther) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(found("a*", "baab"), (Strings{"@0", "aa@1", "@4"}));
  EXPECT_EQ(found("(?=b)", "abb"), (Strings{"@1", "@2"}));
  EXPECT_EQ(found("", "\u00e9"), (Strings{"@0", "@2"}));
}

TEST(Regex, boundsTheStepsOfAWholeSearch) {
  auto regex = Regex::compile("(?:a|a|a)*b");
  ASSERT_TRUE(regex.ok());
  EXPECT_FALSE(regex->findAll(std::string(100, 'a')).ok());
  // Quadratic: each position reads on to the end.
  auto quadratic = Regex::compile("a*b");
  EXPECT_FALSE(quadratic->findAll(std::string(1 << 18, 'a')).ok());
  // Linear but with long backtracking at one position, as in real patterns.
  auto lines = Regex::compile("\\s*[\r\n]+|\\s+(?!\\S)|\\s+");
  EXPECT_TRUE(lines->findAll(std::string(1 << 20, ' ') + "x").ok());
}
