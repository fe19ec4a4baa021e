// The `decoder` of tokenizer.json: the texts of tokens back to text. It works
// as a chain of stages that pass text on as early as it is certain, so that one
// implementation serves whole sequences and streams. Known: ByteLevel, Replace
// (a literal), ByteFallback, Fuse, Strip, Metaspace, Sequence.
#pragma once

#include "Runtime/Metaspace.h"
#include "Runtime/Unicode.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace graphc {

/// Replaces a literal in each token.
struct ReplaceStage {
  std::string pattern, content;
};

/// Turns runs of byte tokens ("<0x0A>") into text. A run that as a whole is no
/// UTF-8 becomes one U+FFFD a byte, so a run is held back until it ends.
struct ByteFallbackStage {
  std::string run;
};

/// Removes up to `start` (`stop`) times `content` from the front (end) of each
/// token, or, behind a stage that fuses, of the whole text.
struct StripStage {
  std::string content; ///< One character in UTF-8.
  uint64_t start, stop;
  bool fused;
  uint64_t frontLeft = 0; ///< Fused: how many may still go from the front.
  uint64_t held = 0;      ///< Fused: this many `content` may be the text's end.
};

/// Turns the replacement character into blanks, or into nothing in the first
/// token (unless Metaspace never prepends).
struct MetaspaceStage {
  std::string replacement;
  bool dropFirst;
  bool atFirst = true;
};

/// Maps characters of the byte alphabet to their bytes; a token with any other
/// character stands for its own bytes. Fuses and repairs the result.
struct ByteLevelStage {
  Utf8Repair repair;
};

/// A decoder in some state. Copies of a fresh one start new texts.
class TokenDecoder {
public:
  /// Reads the component `json`. Errors start with `where`.
  static absl::StatusOr<TokenDecoder> parse(const nlohmann::json &json, const std::string &where);

  /// Feeds the text of the next token; appends to `out` what is certain by now,
  /// which is valid UTF-8.
  void push(std::string_view token, std::string &out) { feed(0, token, out); }
  /// The end of the sequence: appends what was held back.
  void finish(std::string &out);

private:
  using Stage =
      std::variant<ReplaceStage, ByteFallbackStage, StripStage, MetaspaceStage, ByteLevelStage>;

  absl::Status add(const nlohmann::json &json, const std::string &where);
  absl::Status addReplace(const nlohmann::json &json, const std::string &where);
  absl::Status addStrip(const nlohmann::json &json, const std::string &where);
  absl::Status addMetaspace(const nlohmann::json &json, const std::string &where);

  void feed(size_t stage, std::string_view token, std::string &out);
  template <typename Emit> void push(ReplaceStage &, std::string_view, const Emit &);
  template <typename Emit> void push(ByteFallbackStage &, std::string_view, const Emit &);
  template <typename Emit> void push(StripStage &, std::string_view, const Emit &);
  template <typename Emit> void push(MetaspaceStage &, std::string_view, const Emit &);
  template <typename Emit> void push(ByteLevelStage &, std::string_view, const Emit &);
  template <typename Emit> void endRun(ByteFallbackStage &, const Emit &);

  std::vector<Stage> stages;
  bool fused = false;  ///< While parsing: a stage so far makes one text of all.
  uint64_t growth = 1; ///< While parsing: how much the replacements may lengthen text.
};

} // namespace graphc
