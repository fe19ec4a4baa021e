// The regular expressions of tokenizer.json. They are written for Oniguruma
// (Ruby syntax); PCRE2 runs them here. What both read alike passes, what has
// another spelling is rewritten, and everything else is refused, so that no
// pattern silently means something else.
#pragma once

#include <absl/status/statusor.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// `pattern` in PCRE2's syntax. Accepted: literals, `.`, alternation, groups
/// (plain, `?:`, `?i:`), look-ahead and look-behind without unbounded parts, the
/// quantifiers * + ? {n} {n,} {n,m} (lazy; possessive after ?, and after * and +
/// where nothing later in the branch can fail), classes without nesting or
/// intersection, the escapes \s \S \d \D \n \r \t \f \v \a \e \xHH \x{H..} and
/// \p{..} of general categories, scripts and Alphabetic. InvalidArgument names
/// the construct and its byte otherwise.
absl::StatusOr<std::string> translateOniguruma(std::string_view pattern);

class Regex {
public:
  /// A half-open range of bytes.
  struct Match {
    size_t begin, end;
  };

  /// Compiles an Oniguruma pattern, InvalidArgument as translateOniguruma or
  /// with PCRE2's reason.
  static absl::StatusOr<Regex> compile(std::string_view pattern);

  /// All matches in `text` (valid UTF-8) from left to right. An empty match
  /// counts unless it touches the one before. ResourceExhausted if the pattern
  /// backtracks more than 16 Mi + 64 * text.size() steps over the whole text.
  absl::StatusOr<std::vector<Match>> findAll(std::string_view text) const;

private:
  struct Code; ///< Owns the compiled pattern; its header stays out of this one.
  explicit Regex(std::shared_ptr<const Code> code) : code(std::move(code)) {}
  std::shared_ptr<const Code> code;
};

} // namespace graphc
