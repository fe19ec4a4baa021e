// Selectors: the part of a policy or pin rule that says which layers it is for.
//
//   rms_norm               a layer kind, or a layer of that name; if both exist
//                          and differ, an error asks for `op:` or `name:`
//   layers.3.ffn.gate      one layer
//   *_norm, layers.0-3.*   globs: `*` crosses dots, `0-3` is a range of numbers
#pragma once

#include <absl/status/statusor.h>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// A glob over dotted paths. Matching takes O(pattern * name) time.
class Glob {
public:
  /// InvalidArgument for an empty pattern, characters that no name has, and
  /// ranges that run downwards or have more than nine digits.
  static absl::StatusOr<Glob> parse(std::string_view pattern);

  /// True if the whole of `name` matches. Appends to `numbers`, if given, the
  /// number that each range of the pattern stood for, in order.
  bool matches(std::string_view name, std::vector<uint32_t> *numbers = nullptr) const;

  /// Number of ranges, and the bounds of one, both inclusive.
  size_t rangeCount() const { return ranges.size(); }
  std::pair<uint32_t, uint32_t> range(size_t index) const { return ranges[index]; }

private:
  struct Token {
    enum Kind : uint8_t { Character, Star, Range } kind;
    char character;
    uint32_t range; ///< Index into `ranges`.
  };
  std::vector<Token> tokens;
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
};

/// A thing that a selector may select: a layer with its kind ("rms_norm"), or
/// a parameter or cache slot with an empty kind.
struct Selectable {
  std::string_view kind;
  std::string_view name;
};

class Selector {
public:
  enum class Scope : uint8_t { Any, Kind, Name };

  /// Everything.
  Selector();
  /// Parses `glob`, `op:glob` or `name:glob`.
  static absl::StatusOr<Selector> parse(std::string_view text);

  const std::string &text() const { return source; }
  Scope scope() const { return where; }
  bool isEverything() const { return source == "*"; }
  const Glob &glob() const { return pattern; }

  /// Indices into `things` of what is selected, ascending. InvalidArgument if
  /// that is nothing (with the nearest names), if a bare word is both a kind
  /// and a name and the two select differently, or if a number of a range
  /// matches nothing. With `ancestors` a name also selects everything below it:
  /// `layers.0-3` selects `layers.2.self_attention`.
  absl::StatusOr<std::vector<size_t>> select(std::span<const Selectable> things,
                                             bool ancestors = false) const;

private:
  std::string source;
  Scope where = Scope::Any;
  Glob pattern;
};

} // namespace graphc
