// Every pre-tokenizer is "find matches, then cut by a rule", plus what
// ByteLevel and Metaspace rewrite. The rules are those of Hugging Face
// tokenizers' SplitDelimiterBehavior.
#include "Runtime/PreTokenizer.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/Metaspace.h"
#include "Runtime/Regex.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

namespace graphc {

using nlohmann::json;
using PreTokenizerOr = absl::StatusOr<std::unique_ptr<PreTokenizer>>;

namespace {
/// GPT-2's words (its encoder.py).
constexpr std::string_view kGpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

enum class Behavior { Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous };

/// A part of a text, [begin, end), that is a match or lies between matches.
struct Part {
  size_t begin, end;
  bool isMatch;
};

std::vector<Part> cover(const std::vector<Regex::Match> &matches, size_t size, bool invert) {
  std::vector<Part> parts;
  size_t position = 0;
  for (const Regex::Match &match : matches) {
    if (position != match.begin)
      parts.push_back({position, match.begin, invert});
    parts.push_back({match.begin, match.end, !invert});
    position = match.end;
  }
  if (position != size)
    parts.push_back({position, size, invert});
  return parts;
}

/// Joins the parts as `behavior` says; the result has no empty part.
std::vector<Part> arrange(std::vector<Part> parts, Behavior behavior) {
  std::vector<Part> out;
  if (behavior == Behavior::MergedWithNext) { // the mirror of MergedWithPrevious
    bool previous = false;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (part->isMatch && !previous && !out.empty())
        out.back().begin = part->begin;
      else
        out.push_back(*part);
      previous = part->isMatch;
    }
    out = std::vector<Part>(out.rbegin(), out.rend());
  } else {
    bool previous = false;
    for (const Part &part : parts) {
      const bool joins = (behavior == Behavior::Contiguous && part.isMatch == previous) ||
                         (behavior == Behavior::MergedWithPrevious && part.isMatch && !previous);
      if (joins && !out.empty())
        out.back().end = part.end;
      else if (behavior != Behavior::Removed || !part.isMatch)
        out.push_back(part);
      previous = part.isMatch;
    }
  }
  std::erase_if(out, [](const Part &part) { return part.begin == part.end; });
  return out;
}

void cut(const TextPiece &piece, const std::vector<Part> &parts, std::vector<TextPiece> &out) {
  for (const Part &part : parts)
    out.push_back(
        {piece.text.substr(part.begin, part.end - part.begin), -1, piece.first && part.begin == 0});
}

/// Base of those that look at each uncut piece by itself.
class PieceWise : public PreTokenizer {
public:
  absl::Status apply(std::vector<TextPiece> &pieces) const final {
    std::vector<TextPiece> out;
    out.reserve(pieces.size());
    for (TextPiece &piece : pieces) {
      if (piece.token >= 0)
        out.push_back(std::move(piece));
      else if (absl::Status status = split(std::move(piece), out); !status.ok())
        return status;
    }
    pieces = std::move(out);
    return absl::OkStatus();
  }

protected:
  virtual absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const = 0;
};

class Split : public PieceWise {
public:
  Split(Regex regex, Behavior behavior, bool invert)
      : regex(std::move(regex)), behavior(behavior), invert(invert) {}

protected:
  absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const override {
    absl::StatusOr<std::vector<Regex::Match>> matches = regex.findAll(piece.text);
    if (!matches.ok())
      return matches.status();
    cut(piece, arrange(cover(*matches, piece.text.size(), invert), behavior), out);
    return absl::OkStatus();
  }

private:
  Regex regex;
  Behavior behavior;
  bool invert;
};

class SplitLiteral : public PieceWise {
public:
  SplitLiteral(std::string literal, Behavior behavior, bool invert)
      : literal(std::move(literal)), behavior(behavior), invert(invert) {}

protected:
  absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const override {
    std::vector<Regex::Match> matches;
    for (size_t at = 0; (at = piece.text.find(literal, at)) != std::string::npos;
         at += literal.size())
      matches.push_back({at, at + literal.size()});
    cut(piece, arrange(cover(matches, piece.text.size(), invert), behavior), out);
    return absl::OkStatus();
  }

private:
  std::string literal;
  Behavior behavior;
  bool invert;
};

/// Cuts at white space and drops it.
class WhitespaceSplit : public PieceWise {
protected:
  absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const override {
    std::vector<Regex::Match> blanks;
    for (size_t at = 0, length; at < piece.text.size(); at += length) {
      length = utf8Length(piece.text[at]);
      if (isWhiteSpace(codePointAt(piece.text, at)))
        blanks.push_back({at, at + length});
    }
    cut(piece, arrange(cover(blanks, piece.text.size(), /*invert=*/false), Behavior::Removed), out);
    return absl::OkStatus();
  }
};

/// Words by `words` if given; then every byte becomes its character.
class ByteLevel : public PieceWise {
public:
  ByteLevel(std::unique_ptr<Split> words, bool addPrefixSpace)
      : words(std::move(words)), addPrefixSpace(addPrefixSpace) {}

protected:
  absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const override {
    if (addPrefixSpace && piece.text.front() != ' ')
      piece.text.insert(0, 1, ' ');
    std::vector<TextPiece> cuts = {std::move(piece)};
    if (words)
      if (absl::Status status = words->apply(cuts); !status.ok())
        return status;
    for (TextPiece &word : cuts) {
      std::string characters;
      characters.reserve(word.text.size() * 2);
      for (char byte : word.text)
        appendByteCharacter(characters, static_cast<unsigned char>(byte));
      out.push_back({std::move(characters), -1, word.first});
    }
    return absl::OkStatus();
  }

private:
  std::unique_ptr<Split> words;
  bool addPrefixSpace;
};

class Metaspace : public PieceWise {
public:
  explicit Metaspace(const MetaspaceOptions &options)
      : options(options), words(options.replacement, Behavior::MergedWithNext, /*invert=*/false) {}

protected:
  absl::Status split(TextPiece piece, std::vector<TextPiece> &out) const override {
    using enum MetaspaceOptions::Prepend;
    piece.text = replaceAll(piece.text, " ", options.replacement);
    if ((options.prepend == Always || (options.prepend == First && piece.first)) &&
        !piece.text.starts_with(options.replacement))
      piece.text.insert(0, options.replacement);
    std::vector<TextPiece> cuts = {std::move(piece)};
    if (options.split)
      if (absl::Status status = words.apply(cuts); !status.ok())
        return status;
    std::move(cuts.begin(), cuts.end(), std::back_inserter(out));
    return absl::OkStatus();
  }

private:
  MetaspaceOptions options;
  SplitLiteral words;
};

class PreTokenizerSequence : public PreTokenizer {
public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps)
      : steps(std::move(steps)) {}
  absl::Status apply(std::vector<TextPiece> &pieces) const override {
    for (const auto &step : steps)
      if (absl::Status status = step->apply(pieces); !status.ok())
        return status;
    return absl::OkStatus();
  }

private:
  std::vector<std::unique_ptr<PreTokenizer>> steps;
};

absl::StatusOr<std::unique_ptr<Split>> makeSplit(std::string_view pattern, Behavior behavior,
                                                 bool invert, std::string_view where) {
  absl::StatusOr<Regex> regex = Regex::compile(pattern);
  if (!regex.ok())
    return invalidArgument(where, ": ", std::string(regex.status().message()));
  return std::make_unique<Split>(*std::move(regex), behavior, invert);
}

absl::StatusOr<Behavior> getBehavior(const json &json, const std::string &where) {
  static constexpr std::pair<std::string_view, Behavior> kNames[] = {
      {"Isolated", Behavior::Isolated},
      {"Removed", Behavior::Removed},
      {"MergedWithPrevious", Behavior::MergedWithPrevious},
      {"MergedWithNext", Behavior::MergedWithNext},
      {"Contiguous", Behavior::Contiguous}};
  absl::StatusOr<std::string> name = getString(json, "behavior", where);
  if (!name.ok())
    return name.status();
  for (const auto &[known, behavior] : kNames)
    if (*name == known)
      return behavior;
  return invalidArgument(where,
                         ": key 'behavior' must be 'Isolated', 'Removed', 'MergedWithPrevious', "
                         "'MergedWithNext' or 'Contiguous', got string '",
                         *name, "'");
}

PreTokenizerOr parseSplit(const json &json, const std::string &where) {
  absl::Status status = checkKeys(json, {"type", "pattern", "behavior", "invert"}, where);
  if (!status.ok())
    return status;
  absl::StatusOr<Behavior> behavior = getBehavior(json, where);
  if (!behavior.ok())
    return behavior.status();
  absl::StatusOr<bool> invert = getBool(json, "invert", where);
  if (!invert.ok())
    return invert.status();
  absl::StatusOr<const nlohmann::json *> pattern = getObject(json, "pattern", where);
  if (!pattern.ok())
    return pattern.status();
  if (!(*pattern)->contains("Regex")) {
    absl::StatusOr<std::string> literal = getLiteralPattern(json, where);
    if (!literal.ok())
      return literal.status();
    return std::make_unique<SplitLiteral>(*std::move(literal), *behavior, *invert);
  }
  const std::string inside = concat(where, ".pattern");
  if (status = checkKeys(**pattern, {"Regex"}, inside); !status.ok())
    return status;
  absl::StatusOr<std::string> regex = getString(**pattern, "Regex", inside);
  if (!regex.ok())
    return regex.status();
  return makeSplit(*regex, *behavior, *invert, inside);
}

PreTokenizerOr read(const json &json, const std::string &where, bool &seenByteLevel);

PreTokenizerOr parseByteLevel(const json &json, const std::string &where, bool &seen) {
  if (std::exchange(seen, true)) // each would double the text
    return invalidArgument(where, ": ByteLevel must occur once, got a second one");
  absl::Status status =
      checkKeys(json, {"type", "add_prefix_space", "trim_offsets", "use_regex"}, where);
  if (!status.ok())
    return status;
  absl::StatusOr<bool> addPrefixSpace = getBool(json, "add_prefix_space", where);
  if (!addPrefixSpace.ok())
    return addPrefixSpace.status();
  absl::StatusOr<bool> useRegex = getBoolOr(json, "use_regex", /*fallback=*/true, where);
  if (!useRegex.ok())
    return useRegex.status();
  std::unique_ptr<Split> words;
  if (*useRegex) {
    auto split = makeSplit(kGpt2Words, Behavior::Isolated, /*invert=*/false, where);
    if (!split.ok())
      return split.status();
    words = *std::move(split);
  }
  return std::make_unique<ByteLevel>(std::move(words), *addPrefixSpace);
}

PreTokenizerOr parseDigits(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "individual_digits"}, where); !status.ok())
    return status;
  absl::StatusOr<bool> individual = getBool(json, "individual_digits", where);
  if (!individual.ok())
    return individual.status();
  return makeSplit(R"(\p{N})", *individual ? Behavior::Isolated : Behavior::Contiguous,
                   /*invert=*/false, where);
}

PreTokenizerOr parseSequence(const json &json, const std::string &where, bool &seenByteLevel) {
  if (absl::Status status = checkKeys(json, {"type", "pretokenizers"}, where); !status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> list = getArray(json, "pretokenizers", where);
  if (!list.ok())
    return list.status();
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (size_t i = 0; i < (*list)->size(); ++i) {
    PreTokenizerOr step =
        read((**list)[i], concat(where, ".pretokenizers[", i, "]"), seenByteLevel);
    if (!step.ok())
      return step;
    steps.push_back(*std::move(step));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}
PreTokenizerOr read(const json &json, const std::string &where, bool &seenByteLevel) {
  if (json.is_null())
    return std::make_unique<PreTokenizerSequence>(std::vector<std::unique_ptr<PreTokenizer>>());
  absl::StatusOr<std::string> type = getString(json, "type", where);
  if (!type.ok())
    return type.status();
  if (*type == "Sequence")
    return parseSequence(json, where, seenByteLevel);
  if (*type == "ByteLevel")
    return parseByteLevel(json, where, seenByteLevel);
  if (*type == "Split")
    return parseSplit(json, where);
  if (*type == "Metaspace") {
    absl::StatusOr<MetaspaceOptions> options = parseMetaspace(json, where);
    if (!options.ok())
      return options.status();
    return std::make_unique<Metaspace>(*options);
  }
  if (*type == "Digits")
    return parseDigits(json, where);
  if (*type == "WhitespaceSplit") {
    if (absl::Status status = checkKeys(json, {"type"}, where); !status.ok())
      return status;
    return std::make_unique<WhitespaceSplit>();
  }
  return unknownType(*type, "'ByteLevel', 'Split', 'WhitespaceSplit', 'Metaspace', 'Digits' or 'Sequence'", where);
}

} // namespace

PreTokenizerOr parsePreTokenizer(const json &json, const std::string &where) {
  bool seenByteLevel = false;
  return read(json, where, seenByteLevel);
}

} // namespace graphc
