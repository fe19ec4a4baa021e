// The options that run and eval share: prompts, sampling and what is written.
#pragma once

#include "Options.h"

#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace graphc {

/// An output other than logits, as --outputs calls it, and where its values go.
struct OutputFile {
  std::string output, path;
};

struct GenerationFlags {
  std::vector<std::string> texts;             ///< --prompt, each use.
  std::vector<std::vector<int32_t>> tokens;   ///< --tokens, each use.
  std::vector<std::vector<int32_t>> decoderTokens; ///< --decoder-tokens, each use.
  std::string promptFile, tokensFile, weights, logitsOut;
  std::string hiddenStatesOut, attentionsOut; ///< With an encoder: the decoder's.
  std::string crossAttentionsOut, encoderHiddenStatesOut, encoderAttentionsOut;
  int64_t newTokens = 128, sessionLength = 0, threads = 0;
  SamplingOptions sampling;
  bool printTokens = false, ignoreEos = false;

  /// Prompts, their number of new tokens, weights, threads and session length.
  void addPrompts(Options &options);
  /// Those, sampling and what is written.
  void add(Options &options);
  /// The outputs other than logits that are to be written.
  std::vector<OutputFile> outputFiles() const;
  /// The outputs that the files to be written take; none if no file is.
  std::vector<std::string> neededOutputs() const;

  /// The threads asked for (0: the default), but no more than there are cores, which a
  /// note on standard error then says: threads of a step wait for each other several
  /// times a layer, so one without a core holds up all.
  int64_t usefulThreads() const;
  /// True if one of the ways of giving prompts was used.
  bool hasPrompts() const { return hasText() || !tokens.empty() || !tokensFile.empty(); }
  /// True if prompts are text.
  bool hasText() const { return !texts.empty() || !promptFile.empty(); }

  using Encode = std::function<absl::StatusOr<std::vector<int32_t>>(const std::string &)>;
  /// The prompts as ids. InvalidArgument unless exactly one of the ways of giving
  /// them was used.
  absl::StatusOr<std::vector<std::vector<int32_t>>> prompts(const Encode &encode) const;
};

/// An integer of at least 0.
absl::StatusOr<uint64_t> parseUnsigned(std::string_view text);

/// A finite number.
absl::StatusOr<double> parseNumber(std::string_view text);

/// The folder with the weights of MODEL: `given`, or the folder that MODEL is or
/// lies in, the current one for standard input.
std::string weightsFolder(const std::string &given, const std::string &model);

/// Most tokens of a prompt.
size_t longest(const std::vector<std::vector<int32_t>> &prompts);

/// Writes (shape) f32 values to a .npy file.
absl::Status writeFloats(const std::string &path, std::vector<int64_t> shape, const std::vector<float> &values);

/// A line of ids for each sequence, separated by blanks.
std::string tokenLines(const std::vector<std::vector<int32_t>> &sequences);

/// Says on standard error, if that is a terminal, what takes more than two
/// seconds; the line is erased when the object goes.
class Progress {
public:
  explicit Progress(std::string what);
  ~Progress();
  Progress(const Progress &) = delete;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace graphc
