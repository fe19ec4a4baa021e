// A recursive-descent reader would be overkill: the accepted syntax needs one
// token of look-ahead and the stack of open groups. Constructs whose cost the
// step limit of PCRE2 does not see (a possessive scan that is thrown away, long
// look-around) are refused too; no known tokenizer has one.
#include "Runtime/Regex.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

namespace {
constexpr size_t kMaxPattern = 1 << 16; // bytes; the longest in use has some 600

/// The general categories and the one other property in use, which both
/// engines know by these names. Any other name is a script.
constexpr std::string_view kCategories[] = {
    "C",  "Cc", "Cf", "Cn", "Co", "Cs", "L",  "Ll", "Lm", "Lo", "Lt", "Lu",        "M",
    "Mc", "Me", "Mn", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf",        "Pi",
    "Po", "Ps", "S",  "Sc", "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs", "Alphabetic"};

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isLetter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool isHex(char c) { return isDigit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

class Translator {
public:
  explicit Translator(std::string_view pattern) : pattern(pattern) {}

  absl::StatusOr<std::string> run() {
    if (pattern.size() > kMaxPattern)
      return invalidArgument("regular expression must have at most ", kMaxPattern, " bytes, got ",
                             pattern.size());
    while (position < pattern.size() && status.ok())
      item();
    if (status.ok() && !groups.empty())
      refuse("an unclosed group");
    if (!status.ok())
      return status;
    return std::move(out);
  }

private:
  char peek(size_t ahead = 0) const {
    return position + ahead < pattern.size() ? pattern[position + ahead] : '\0';
  }
  bool eat(std::string_view token) {
    const bool found = pattern.substr(position).starts_with(token);
    position += found ? token.size() : 0;
    return found;
  }
  void refuse(std::string_view what) {
    if (status.ok())
      status = invalidArgument("regular expression must use the syntax that Oniguruma and PCRE2 "
                               "share, got ",
                               what, " at byte ", position, " of '", pattern.substr(0, 200), "'");
  }
  /// Copies one character, which is `length` bytes and needs no escape.
  void copy(size_t length) {
    out += pattern.substr(position, length);
    position += length;
  }

  void item() {
    const char c = peek();
    if (c == '\\')
      return escape(/*inClass=*/false), quantifier();
    if (c == '[')
      return characterClass(), quantifier();
    if (c == '(')
      return openGroup();
    if (c == ')') {
      if (groups.empty())
        return refuse("an unmatched ')'");
      const Group group = groups.back();
      groups.pop_back();
      copy(1);
      return group.look ? void() : quantifier();
    }
    if (c == '|') {
      afterPossessive &= !groups.empty();
      return copy(1);
    }
    if (std::string_view("*+?{}]^$").find(c) != std::string_view::npos)
      return refuse(concat("an unescaped '", c, "' here"));
    if (isCaseless() && foldsOddly())
      return refuse("letters inside (?i:..) that match a ligature, or are not ASCII,");
    copy(utf8Length(c));
    quantifier();
  }

  /// Oniguruma folds "ss" to U+00DF and the like, one to many; PCRE2 does not.
  bool foldsOddly() const {
    const char a = peek(), b = peek(1);
    if (a & 0x80)
      return true;
    const std::string_view followers = (a | 0x20) == 'f' ? "fil" : (a | 0x20) == 's' ? "st" : "";
    return isLetter(b) && followers.find(char(b | 0x20)) != std::string_view::npos;
  }

  void openGroup() {
    static constexpr std::pair<std::string_view, Group> kKinds[] = {{"(?:", {}},
                                                                    {"(?i:", {.caseless = true}},
                                                                    {"(?=", {.lookAhead = true}},
                                                                    {"(?!", {.lookAhead = true}},
                                                                    {"(?<=", {.lookBehind = true}},
                                                                    {"(?<!", {.lookBehind = true}}};
    if (afterPossessive)
      return refuse("a group after a possessive quantifier");
    const Group outer = groups.empty() ? Group{} : groups.back();
    for (const auto &[text, group] : kKinds)
      if (eat(text)) {
        groups.push_back({outer.caseless || group.caseless, outer.lookAhead || group.lookAhead,
                          outer.lookBehind || group.lookBehind});
        groups.back().look = group.lookAhead || group.lookBehind;
        out += text;
        return;
      }
    if (peek(1) == '?' || peek(1) == '*')
      return refuse("an unknown kind of group");
    groups.push_back(outer);
    groups.back().look = false;
    ++position;
    out += "(?:"; // nothing refers to it
  }

  /// Reads what may follow an item. Lazy and possessive forms differ between
  /// the engines after {..}.
  void quantifier() {
    if (!status.ok())
      return;
    const char c = peek();
    const bool braces = c == '{';
    bool unbounded = c == '*' || c == '+';
    if (afterPossessive && c != '*' && c != '?')
      return refuse("something not optional after a possessive quantifier");
    if (unbounded || c == '?')
      copy(1);
    else if (!braces)
      return;
    else if (!repeat(unbounded))
      return refuse("a '{' that is no {n}, {n,} or {n,m} up to 255");
    if (!groups.empty() && groups.back().lookBehind)
      return refuse("a quantifier in a look-behind");
    if (unbounded && !groups.empty() && groups.back().lookAhead)
      return refuse("an unbounded quantifier in a look-ahead");
    if (peek() == '?' && !(braces && exact)) {
      copy(1);
    } else if (peek() == '+' && !braces) {
      if (unbounded && !groups.empty())
        return refuse("an unbounded possessive quantifier in a group");
      afterPossessive |= unbounded;
      copy(1);
    }
    if (peek() == '*' || peek() == '+' || peek() == '?' || peek() == '{')
      refuse("a quantifier of a quantifier");
  }

  bool repeat(bool &unbounded) {
    const size_t close = pattern.find('}', position);
    if (close == std::string_view::npos)
      return false;
    const std::string_view body = pattern.substr(position + 1, close - position - 1);
    const size_t comma = body.find(',');
    const std::string_view low = body.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? "" : body.substr(comma + 1);
    const auto small = [](std::string_view s) {
      return std::all_of(s.begin(), s.end(), isDigit) && s.size() <= 3 &&
             (s.size() < 3 || s <= "255");
    };
    if (low.empty() || !small(low) || !small(high))
      return false;
    exact = comma == std::string_view::npos;
    unbounded = !exact && high.empty();
    copy(close + 1 - position);
    return true;
  }

  void characterClass() {
    copy(1);
    if (peek() == '^')
      copy(1);
    if (peek() == ']')
      return refuse("a class that starts with ']'");
    bool single = false, afterDash = false; // the last item; a range is being read
    while (status.ok() && peek() != ']') {
      if (position >= pattern.size())
        return refuse("an unclosed class");
      const char c = peek();
      if (c == '[')
        return refuse("a nested class (escape '[')");
      if (c == '&' && peek(1) == '&')
        return refuse("a class intersection");
      if (c == '-' && single && !afterDash && peek(1) != ']') {
        copy(1);
        afterDash = true;
        continue;
      }
      if (c == '-' && peek(1) != ']' && out.back() != '[' && !out.ends_with("[^"))
        return refuse("a '-' that is neither a range nor at an end of its class");
      bool isSingle = true;
      if (c == '\\')
        isSingle = escape(/*inClass=*/true);
      else if (c == '-') // at an end: literal
        out += "\\-", ++position;
      else
        copy(utf8Length(c));
      if (afterDash && !isSingle)
        return refuse("a range that ends in a set");
      single = isSingle && !afterDash;
      afterDash = false;
    }
    if (status.ok())
      copy(1);
  }

  /// Reads an escape; true if it stands for one character.
  bool escape(bool inClass) {
    const char c = peek(1);
    if (c == 's' || c == 'S' || c == 'd' || c == 'D') {
      // PCRE2's \s has U+180E, which Unicode dropped from White_Space.
      out += c == 's' ? "\\p{wspace}" : c == 'S' ? "\\P{wspace}" : c == 'd' ? "\\p{Nd}" : "\\P{Nd}";
      position += 2;
      return false;
    }
    if (c == 'p' || c == 'P') {
      property();
      return false;
    }
    if (c == 'x') {
      hexadecimal();
      return true;
    }
    // \v is a single character in a class of Oniguruma but a set in PCRE2.
    if (c == 'v') {
      out += "\\x0B";
      position += 2;
      return true;
    }
    const bool control = c != '\0' && std::string_view("nrtfae").find(c) != std::string_view::npos;
    if (!control && (c == '\0' || isDigit(c) || isLetter(c) || (c & 0x80)))
      refuse(concat("the escape '\\", std::string_view(&c, (c & 0x80) ? 0 : 1), "'"));
    else
      copy(2);
    return true;
  }

  void property() {
    const size_t close = pattern.find('}', position);
    const bool negatedInside = peek(3) == '^';
    if (peek(2) != '{' || close == std::string_view::npos)
      return refuse("a property without {..}");
    const size_t begin = position + (negatedInside ? 4 : 3);
    std::string_view name = pattern.substr(begin, close - begin);
    const bool category =
        std::find(std::begin(kCategories), std::end(kCategories), name) != std::end(kCategories);
    if (name.empty() ||
        !std::all_of(name.begin(), name.end(), [](char c) { return isLetter(c) || c == '_'; }))
      return refuse("a property that is no category or script");
    if (isCaseless() && name.size() == 2 && name[0] == 'L')
      return refuse("a letter case inside (?i:..)");
    const bool negated = (peek(1) == 'P') != negatedInside;
    out += concat(negated ? "\\P{" : "\\p{", category ? "" : "sc:", name, "}");
    position = close + 1;
  }

  void hexadecimal() {
    size_t begin = position + 2, end = begin;
    const bool braces = peek(2) == '{';
    begin += braces;
    end = begin;
    while (end < pattern.size() && isHex(pattern[end]) && end - begin < (braces ? 8u : 2u))
      ++end;
    if (end == begin || (braces && (end == pattern.size() || pattern[end] != '}')))
      return refuse("a malformed \\x");
    const std::string_view digits = pattern.substr(begin, end - begin);
    // Oniguruma reads \xHH as a byte of UTF-8, PCRE2 as a code point.
    if (!braces && (digits.size() != 2 || digits[0] > '7'))
      return refuse("a \\xHH beyond ASCII (write \\x{..})");
    out += concat("\\x{", digits, "}");
    position = end + braces;
  }

  struct Group {
    bool caseless = false, lookAhead = false, lookBehind = false; ///< Itself or around it.
    bool look = false;                                            ///< Itself is a look-around.
  };
  bool isCaseless() const { return !groups.empty() && groups.back().caseless; }

  std::string_view pattern;
  size_t position = 0;
  std::string out;
  absl::Status status;
  std::vector<Group> groups;
  bool exact = false;           ///< The last {..} had no comma.
  bool afterPossessive = false; ///< In this branch of the whole pattern.
};
} // namespace

absl::StatusOr<std::string> translateOniguruma(std::string_view pattern) {
  return Translator(pattern).run();
}

} // namespace graphc
