// Matching is anchored at one position after the other under a step limit that
// grows only where needed. PCRE2 does not report the steps it took, but a limit
// that sufficed bounds them, so the sum of limits bounds the whole search. Its
// optimizations that skip steps are off: they also hide work from the limit.
#include "Runtime/Regex.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace graphc {

namespace {
constexpr uint64_t kFirstLimit = 512;       // steps at one position before the bill grows
constexpr uint64_t kGrowth = 4;             // by this factor after each failure
constexpr uint64_t kBudget = 16 << 20;      // steps over a whole text ..
constexpr uint64_t kBudgetPerByte = 64;     // .. plus this for each of its bytes
constexpr uint32_t kHeapLimit = 128 * 1024; // KiB of backtracking memory

template <typename T, void (*destroy)(T *)> struct Destroy {
  void operator()(T *object) const { destroy(object); }
};
template <typename T, void (*destroy)(T *)> using Owned = std::unique_ptr<T, Destroy<T, destroy>>;

std::string reason(int error) {
  PCRE2_UCHAR text[256] = {0};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char *>(text);
}
} // namespace

struct Regex::Code {
  Owned<pcre2_code, pcre2_code_free> compiled;
};

absl::StatusOr<Regex> Regex::compile(std::string_view pattern) {
  absl::StatusOr<std::string> translated = translateOniguruma(pattern);
  if (!translated.ok())
    return translated.status();
  const Owned<pcre2_compile_context, pcre2_compile_context_free> context(
      pcre2_compile_context_create(nullptr));
  if (!context)
    return absl::ResourceExhaustedError("regular expression needs memory, got none");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error;
  PCRE2_SIZE offset;
  Owned<pcre2_code, pcre2_code_free> compiled(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()), translated->size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_POSSESS |
                        PCRE2_NO_START_OPTIMIZE,
                    &error, &offset, context.get()));
  if (!compiled)
    return invalidArgument("regular expression '", pattern.substr(0, 200),
                           "' must compile, got: ", reason(error));
  return Regex(std::make_shared<const Code>(Code{std::move(compiled)}));
}

absl::StatusOr<std::vector<Regex::Match>> Regex::findAll(std::string_view text) const {
  const Owned<pcre2_match_data, pcre2_match_data_free> data(pcre2_match_data_create(1, nullptr));
  const Owned<pcre2_match_context, pcre2_match_context_free> context(
      pcre2_match_context_create(nullptr));
  if (!data || !context)
    return absl::ResourceExhaustedError("regular expression needs memory, got none");
  pcre2_set_heap_limit(context.get(), kHeapLimit);
  const PCRE2_SIZE *range = pcre2_get_ovector_pointer(data.get());
  uint64_t budget = kBudget + kBudgetPerByte * text.size();

  // The result of matching exactly at `position`, within the budget.
  const auto matchAt = [&](size_t position) {
    for (uint64_t limit = kFirstLimit;; limit *= kGrowth) {
      pcre2_set_match_limit(context.get(), uint32_t(limit));
      const int result =
          pcre2_match(code->compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                      position, PCRE2_ANCHORED | PCRE2_NO_UTF_CHECK, data.get(), context.get());
      if (result != PCRE2_ERROR_MATCHLIMIT)
        return result;
      if (limit * kGrowth > std::min<uint64_t>(budget, UINT32_MAX))
        return result;
      budget -= limit * kGrowth;
    }
  };

  std::vector<Match> matches;
  for (size_t position = 0; position <= text.size();) {
    const int result = matchAt(position);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH)
      return absl::ResourceExhaustedError(
          concat("regular expression must match text of ", text.size(),
                 " bytes in bounded time and memory, got: ", reason(result)));
    const size_t next = position + (position < text.size() ? utf8Length(text[position]) : 1);
    if (result == PCRE2_ERROR_NOMATCH) {
      position = next;
    } else if (range[1] == position) {
      if (matches.empty() || matches.back().end != position)
        matches.push_back({position, position});
      position = next;
    } else {
      matches.push_back({position, range[1]});
      position = range[1];
    }
  }
  return matches;
}

} // namespace graphc
