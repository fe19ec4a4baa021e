// Prompts in three spellings, arrays and tokens out.
#include "GenerationFlags.h"

#include "CompileFlags.h"
#include "Runtime/Cores.h"
#include "Support/File.h"
#include "Support/Message.h"
#include "Support/Npy.h"

#include <charconv>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>
#include <unistd.h>

namespace graphc {

/// Ids between commas and blanks; at least one.
static absl::StatusOr<std::vector<int32_t>> parseIds(std::string_view text) {
  std::vector<int32_t> ids;
  for (size_t at = 0; at < text.size();) {
    if (std::string_view(", \t\r").find(text[at]) != std::string_view::npos) {
      ++at;
      continue;
    }
    int32_t id = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    const size_t next = end - text.data();
    if (error != std::errc() || id < 0 || (next < text.size() && std::string_view(", \t\r").find(text[next]) == std::string_view::npos))
      return invalidArgument("must be token ids from 0 up, separated by commas, got '", text.substr(0, 80), "'");
    ids.push_back(id);
    at = next;
  }
  if (ids.empty())
    return invalidArgument("must have at least one token id, got none");
  return ids;
}

absl::StatusOr<uint64_t> parseUnsigned(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return invalidArgument("must be an integer of at least 0, got '", text, "'");
  return value;
}

absl::StatusOr<double> parseNumber(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return invalidArgument("must be a number, got '", text, "'");
  return value;
}

static absl::StatusOr<std::string> readInput(const std::string &path) {
  return path == "-" ? readStandardInput() : readFile(path);
}

void GenerationFlags::addPrompts(Options &options) {
  options.list("-p --prompt", "TEXT", texts, "text to go on from; several make a batch. If the model has an\nencoder: the source that it reads");
  options.text("--prompt-file", "FILE", promptFile, "a file with such a text, or '-' for standard input; a line's\nend at its end is no part of it");
  options.custom("--tokens", "IDS",
                 [this](std::string_view text) {
                   absl::StatusOr<std::vector<int32_t>> ids = parseIds(text);
                   return ids.ok() ? (tokens.push_back(*std::move(ids)), absl::OkStatus()) : ids.status();
                 },
                 "token ids instead of text: 1,2,3; several uses make a batch\nof unequal lengths");
  options.custom("--decoder-tokens", "IDS",
                 [this](std::string_view text) {
                   absl::StatusOr<std::vector<int32_t>> ids = parseIds(text);
                   return ids.ok() ? (decoderTokens.push_back(*std::move(ids)), absl::OkStatus()) : ids.status();
                 },
                 "token ids that the decoder of a model with an encoder starts\nwith, for all prompts or each (default: its start token)");
  options.text("--tokens-file", "FILE", tokensFile, "token ids of a sequence a line; '-': standard input");
  options.integer("-n --max-new-tokens", "N", 0, newTokens, concat("new tokens of each sequence (default ", newTokens, ")"));
  options.text("--weights", "DIR", weights, "folder of the safetensors files and tokenizer.json\n(default: the folder that MODEL is or lies in)");
  options.integer("-t --threads", "N", 1, threads, "threads (default, and the most that run: all cores that this\nprocess may use)");
  options.integer("--session-length", "N", 1, sessionLength, "most tokens of a sequence; ropes of type dynamic and longrope\ndepend on it (default: prompt and new tokens)");
}

void GenerationFlags::add(Options &options) {
  addPrompts(options);
  options.flag("--print-tokens", printTokens, "prints new token ids, a line for each sequence, not text");
  options.flag("--ignore-eos", ignoreEos, "goes on after an end-of-text token");
  auto number = [](float &variable, double least, double most) {
    return [&variable, least, most](std::string_view text) -> absl::Status {
      absl::StatusOr<double> value = parseNumber(text);
      if (!value.ok() || !(*value >= least && *value <= most))
        return invalidArgument("must be a number from ", least, " to ", most, ", got '", text, "'");
      return variable = float(*value), absl::OkStatus();
    };
  };
  options.custom("--temperature", "T", number(sampling.temperature, 0, 1000), "0, the default, takes the likeliest token; above, the\nnext token is drawn");
  options.custom("--top-k", "K",
                 [this](std::string_view text) -> absl::Status {
                   absl::StatusOr<uint64_t> value = parseUnsigned(text);
                   return value.ok() ? (sampling.topK = int(std::min<uint64_t>(*value, INT32_MAX)), absl::OkStatus()) : value.status();
                 },
                 "draws among the K likeliest only; 0, the default: among all");
  options.custom("--top-p", "P", number(sampling.topP, 0, 1), "draws among the fewest likeliest whose sum is P (default 1)");
  options.custom("--seed", "S",
                 [this](std::string_view text) -> absl::Status {
                   absl::StatusOr<uint64_t> value = parseUnsigned(text);
                   return value.ok() ? (sampling.seed = *value, absl::OkStatus()) : value.status();
                 },
                 "of the random numbers (default 0); sequence i uses S + i");
  options.text("--logits-out", "FILE.npy", logitsOut, "writes the prompts' logits, f32 (batch, prompt tokens, vocab);\nwith an encoder: those of --decoder-tokens");
  options.text("--hidden-states-out", "FILE.npy", hiddenStatesOut,
               "writes the prompts' hidden states, f32\n(layers + 1, batch, prompt tokens, hidden); with an encoder:\nthe decoder's");
  options.text("--attentions-out", "FILE.npy", attentionsOut,
               "writes the prompts' attention weights, f32\n(layers, batch, heads, prompt tokens, prompt tokens)");
  options.text("--cross-attentions-out", "FILE.npy", crossAttentionsOut,
               "writes the weights of a decoder's attentions over its source,\nf32 (layers, batch, heads, prompt tokens, source tokens)");
  options.text("--encoder-hidden-states-out", "FILE.npy", encoderHiddenStatesOut,
               "writes the encoder's hidden states, as above of source tokens");
  options.text("--encoder-attentions-out", "FILE.npy", encoderAttentionsOut, "writes the encoder's attention weights");
}

std::vector<OutputFile> GenerationFlags::outputFiles() const {
  std::vector<OutputFile> files;
  for (auto [output, path] : {std::pair("hidden_states", &hiddenStatesOut), {"attentions", &attentionsOut},
                              {"cross_attentions", &crossAttentionsOut}, {"encoder_hidden_states", &encoderHiddenStatesOut},
                              {"encoder_attentions", &encoderAttentionsOut}})
    if (!path->empty())
      files.push_back({output, *path});
  return files;
}

std::vector<std::string> GenerationFlags::neededOutputs() const {
  std::vector<std::string> names;
  for (const OutputFile &file : outputFiles())
    names.push_back(file.output);
  if (!names.empty() || !logitsOut.empty())
    names.insert(names.begin(), "logits");
  return names;
}

absl::StatusOr<std::vector<std::vector<int32_t>>> GenerationFlags::prompts(const Encode &encode) const {
  if (!texts.empty() + !promptFile.empty() + !tokens.empty() + !tokensFile.empty() != 1)
    return invalidArgument("expected one of --prompt, --prompt-file, --tokens and --tokens-file, got ",
                           hasPrompts() ? "several" : "none");
  std::vector<std::vector<int32_t>> result = tokens;
  const auto addText = [&](const std::string &text, std::string_view option) -> absl::Status {
    absl::StatusOr<std::vector<int32_t>> ids = encode(text);
    if (!ids.ok())
      return ids.status();
    if (ids->empty())
      return invalidArgument("option '", option, "' must have at least one token, got '", text, "'");
    result.push_back(*std::move(ids));
    return absl::OkStatus();
  };
  for (const std::string &text : texts)
    if (absl::Status status = addText(text, "--prompt"); !status.ok())
      return status;
  if (!promptFile.empty()) {
    absl::StatusOr<std::string> text = readInput(promptFile);
    if (!text.ok())
      return text.status();
    if (text->ends_with('\n'))
      text->pop_back();
    if (absl::Status status = addText(*text, "--prompt-file"); !status.ok())
      return status;
  }
  if (!tokensFile.empty()) {
    absl::StatusOr<std::string> text = readInput(tokensFile);
    if (!text.ok())
      return text.status();
    for (size_t at = 0, line = 1; at < text->size(); ++line) {
      const size_t end = std::min(text->find('\n', at), text->size());
      absl::StatusOr<std::vector<int32_t>> ids = parseIds(std::string_view(*text).substr(at, end - at));
      if (!ids.ok())
        return absl::FailedPreconditionError(concat(tokensFile, ":", line, ": ", ids.status().message()));
      result.push_back(*std::move(ids));
      at = end + 1;
    }
    if (result.empty())
      return absl::FailedPreconditionError(concat("file '", tokensFile, "' must have a line of token ids, got none"));
  }
  return result;
}

int64_t GenerationFlags::usefulThreads() const {
  const int64_t cores = availableCores();
  if (threads <= cores)
    return threads;
  const char *noun = cores == 1 ? " core" : " cores";
  std::fputs(concat("note: this process may use ", cores, noun, ", so ", cores, " instead of ", threads, " threads run\n").c_str(), stderr);
  return cores;
}

std::string weightsFolder(const std::string &given, const std::string &model) {
  if (!given.empty())
    return given;
  std::error_code error;
  if (std::filesystem::is_directory(model, error))
    return model;
  const std::string parent = std::filesystem::path(model).parent_path();
  return parent.empty() ? "." : parent;
}

size_t longest(const std::vector<std::vector<int32_t>> &prompts) {
  size_t length = 0;
  for (const std::vector<int32_t> &prompt : prompts)
    length = std::max(length, prompt.size());
  return length;
}

absl::Status writeFloats(const std::string &path, std::vector<int64_t> shape, const std::vector<float> &values) {
  NpyArray array{std::move(shape), DType::F32, std::vector<std::byte>(values.size() * sizeof(float))};
  std::memcpy(array.data.data(), values.data(), array.data.size());
  return writeNpy(path, array);
}

std::string tokenLines(const std::vector<std::vector<int32_t>> &sequences) {
  std::string text;
  for (const std::vector<int32_t> &ids : sequences)
    text += concat(join(ids, " "), "\n");
  return text;
}

struct Progress::State {
  std::mutex mutex;
  std::condition_variable over;
  bool isOver = false, shown = false;
  std::thread thread;
};

Progress::Progress(std::string what) {
  if (!isatty(STDERR_FILENO))
    return;
  state = std::make_unique<State>();
  state->thread = std::thread([this, what] {
    std::unique_lock lock(state->mutex);
    if (state->over.wait_for(lock, std::chrono::seconds(2), [this] { return state->isOver; }))
      return;
    state->shown = true;
    std::fputs(concat(what, " ..").c_str(), stderr);
  });
}

Progress::~Progress() {
  if (!state)
    return;
  {
    std::lock_guard lock(state->mutex);
    state->isOver = true;
  }
  state->over.notify_one();
  state->thread.join();
  if (state->shown)
    std::fputs("\r\033[K", stderr);
}

} // namespace graphc
