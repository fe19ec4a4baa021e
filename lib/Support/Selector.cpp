// Globs are matched with the usual one-star backtracking: a mismatch goes back
// to the last star only, which is enough, since a star can take any text.
#include "Support/Selector.h"
#include "Support/Message.h"
#include "Support/Nearest.h"

#include <algorithm>
#include <optional>
#include <set>

namespace graphc {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }
static bool isNameCharacter(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("._-/$").find(c) != std::string_view::npos;
}

/// "12-34" as its two numbers; nothing if `text` has another form.
static std::optional<std::pair<std::string_view, std::string_view>> splitRange(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || dash == 0 || dash + 1 == text.size())
    return std::nullopt;
  const std::string_view low = text.substr(0, dash), high = text.substr(dash + 1);
  if (!std::all_of(low.begin(), low.end(), isDigit) || !std::all_of(high.begin(), high.end(), isDigit))
    return std::nullopt;
  return std::pair(low, high);
}

absl::StatusOr<Glob> Glob::parse(std::string_view pattern) {
  if (pattern.empty())
    return invalidArgument("selector must not be empty; '*' selects everything");
  Glob glob;
  for (char c : pattern)
    if (c != '*' && !isNameCharacter(c))
      return invalidArgument("selector must consist of letters, digits, '.', '_', '-', '/', '$' and '*', got '",
                             pattern, "'");
  for (size_t start = 0; start <= pattern.size();) {
    const size_t end = std::min(pattern.find('.', start), pattern.size());
    const std::string_view component = pattern.substr(start, end - start);
    if (start > 0)
      glob.tokens.push_back({Token::Character, '.', 0});
    if (auto range = splitRange(component)) {
      auto [low, high] = *range;
      if (low.size() > 9 || high.size() > 9)
        return invalidArgument("range bounds must have at most nine digits, got '", component, "'");
      const auto bounds = std::pair(uint32_t(std::stoul(std::string(low))), uint32_t(std::stoul(std::string(high))));
      if (bounds.first > bounds.second)
        return invalidArgument("range must run upwards, got '", component, "'; write '", bounds.second, "-",
                               bounds.first, "'");
      glob.tokens.push_back({Token::Range, 0, uint32_t(glob.ranges.size())});
      glob.ranges.push_back(bounds);
    } else {
      for (char c : component)
        if (c != '*')
          glob.tokens.push_back({Token::Character, c, 0});
        else if (glob.tokens.empty() || glob.tokens.back().kind != Token::Star)
          glob.tokens.push_back({Token::Star, 0, 0});
    }
    start = end + 1;
  }
  return glob;
}

bool Glob::matches(std::string_view name, std::vector<uint32_t> *numbers) const {
  struct Mark {
    size_t token, at, numbers;
  };
  std::vector<uint32_t> found;
  std::optional<Mark> star; // where to go back to: the last star, and how far it reaches
  size_t token = 0, at = 0;
  // Takes one token at `at`; false if it does not fit.
  const auto take = [&]() {
    if (token == tokens.size())
      return false;
    if (tokens[token].kind == Token::Character) {
      if (at == name.size() || name[at] != tokens[token].character)
        return false;
      ++at;
    } else if (tokens[token].kind == Token::Range) {
      size_t end = at;
      while (end < name.size() && isDigit(name[end]))
        ++end;
      if (end == at || end - at > 9 || (name[at] == '0' && end - at > 1))
        return false;
      const auto number = uint32_t(std::stoul(std::string(name.substr(at, end - at))));
      auto [low, high] = ranges[tokens[token].range];
      if (number < low || number > high)
        return false;
      found.push_back(number);
      at = end;
    }
    ++token;
    return true;
  };
  while (at < name.size() || token < tokens.size()) {
    if (token < tokens.size() && tokens[token].kind == Token::Star) {
      star = Mark{++token, at, found.size()};
      if (token == tokens.size())
        break; // a last star takes the rest
      continue;
    }
    if (take())
      continue;
    if (!star || star->at >= name.size())
      return false;
    ++star->at;
    token = star->token, at = star->at;
    found.resize(star->numbers);
  }
  if (numbers)
    numbers->insert(numbers->end(), found.begin(), found.end());
  return true;
}

Selector::Selector() : source("*"), pattern(*Glob::parse("*")) {}

absl::StatusOr<Selector> Selector::parse(std::string_view text) {
  Selector selector;
  selector.source = text;
  if (text.substr(0, 3) == "op:") {
    selector.where = Scope::Kind;
    text.remove_prefix(3);
  } else if (text.substr(0, 5) == "name:") {
    selector.where = Scope::Name;
    text.remove_prefix(5);
  } else if (text.find(':') != std::string_view::npos) {
    return invalidArgument("selector must start with 'op:' or 'name:' or have no colon, got '", text, "'");
  }
  auto glob = Glob::parse(text);
  if (!glob.ok())
    return glob.status();
  selector.pattern = *std::move(glob);
  return selector;
}

namespace {
/// The things that a glob selects by one of their texts, and the numbers that
/// its ranges stood for.
struct Hits {
  std::vector<size_t> indices;
  std::vector<std::set<uint32_t>> numbers;
};
} // namespace

static bool matchesPath(const Glob &glob, std::string_view name, bool ancestors, std::vector<uint32_t> &numbers) {
  if (glob.matches(name, &numbers))
    return true;
  if (ancestors)
    for (size_t dot = name.rfind('.'); dot != std::string_view::npos && dot > 0; dot = name.rfind('.', dot - 1))
      if (glob.matches(name.substr(0, dot), &numbers))
        return true;
  return false;
}

static Hits collect(const Glob &glob, std::span<const Selectable> things, bool byKind, bool ancestors) {
  Hits hits;
  hits.numbers.resize(glob.rangeCount());
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < things.size(); ++i) {
    numbers.clear();
    const std::string_view text = byKind ? things[i].kind : things[i].name;
    if (text.empty() || !matchesPath(glob, text, ancestors && !byKind, numbers))
      continue;
    hits.indices.push_back(i);
    for (size_t r = 0; r < numbers.size(); ++r)
      hits.numbers[r].insert(numbers[r]);
  }
  return hits;
}

absl::StatusOr<std::vector<size_t>> Selector::select(std::span<const Selectable> things, bool ancestors) const {
  Hits kinds, names;
  if (where != Scope::Name)
    kinds = collect(pattern, things, /*byKind=*/true, ancestors);
  if (where != Scope::Kind)
    names = collect(pattern, things, /*byKind=*/false, ancestors);
  const bool both = !kinds.indices.empty() && !names.indices.empty();
  if (both && !isEverything() && kinds.indices != names.indices)
    return invalidArgument("'", source, "' is a kind of layer and a name; write 'op:", source, "' or 'name:", source,
                           "'");
  const Hits &hits = names.indices.empty() ? kinds : names;
  if (hits.indices.empty()) {
    std::vector<std::string_view> known;
    std::set<std::string> groups; // what selects all layers below a path: "layers.0.*"
    for (const Selectable &thing : things) {
      if (where != Scope::Name && !thing.kind.empty())
        known.push_back(thing.kind);
      if (where == Scope::Kind)
        continue;
      known.push_back(thing.name);
      for (size_t dot = thing.name.find('.'); dot != std::string_view::npos; dot = thing.name.find('.', dot + 1))
        groups.insert(concat(thing.name.substr(0, dot), ancestors ? "" : ".*"));
    }
    known.insert(known.end(), groups.begin(), groups.end());
    const std::string_view bare = std::string_view(source).substr(where == Scope::Any ? 0 : source.find(':') + 1);
    return invalidArgument("'", source, "' matches nothing", nearestHint(bare, known));
  }
  for (size_t r = 0; r < pattern.rangeCount(); ++r) {
    auto [low, high] = pattern.range(r);
    for (uint32_t number = low; number <= high; ++number)
      if (!hits.numbers[r].contains(number))
        return invalidArgument("'", source, "' matches only in part: nothing has ", number, " in place of '", low,
                               "-", high, "'");
  }
  return hits.indices;
}

} // namespace graphc
