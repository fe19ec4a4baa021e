// graphc eval: what run does, by the reference interpreter.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Compiler/Evaluate.h"
#include "Runtime/Sampler.h"
#include "Runtime/Tokenizer.h"
#include "Support/Message.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Generates by the reference interpreter, which defines what compiled code must compute: plain loops, every\n"
    "rounding of the policy, sums in f64 rounded once. Slow; takes the arguments of 'graphc run'.\n"
    "\n"
    "  graphc eval checkpoint/ --policy compute=bf16,output=f32 --pin-cache=bf16 --tokens 1,2,3 -n 4 --print-tokens\n"
    "  graphc eval model.ir --tokens 1,2,3 -n 0 --logits-out exact.npy --mode=f64\n"
    "  graphc eval model.ir --tokens 1,2,3 -n 0 --logits-out other.npy --accumulate=f32 --order-seed=7";

namespace {
struct EvalCommand {
  std::string path;
  CompileFlags flags;
  GenerationFlags generation;
  EvaluateOptions evaluation;
  std::unique_ptr<Tokenizer> tokenizer;
  bool hasOrder = false;

  int run(Arguments arguments);
  void addModes(Options &options);
  absl::Status execute();
  absl::Status openTokenizer();
  void setSampling();
};
} // namespace

void EvalCommand::addModes(Options &options) {
  auto choice = [](std::string &variable, std::vector<std::string_view> choices) {
    return [&variable, choices](std::string_view text) -> absl::Status {
      if (std::ranges::find(choices, text) == choices.end())
        return invalidArgument("must be ", join(choices, " or "), ", got '", text, "'");
      return variable = text, absl::OkStatus();
    };
  };
  options.custom("--mode", "MODE", choice(evaluation.mode, {"policy", "f64", "dot", "tiles"}),
                 "policy, the default: every rounding, sums in f64;\nf64: no rounding; dot, tiles: bf16 sums as vdpbf16ps,\ntdpbf16ps take them");
  options.custom("--accumulate", "DTYPE",
                 [this](std::string_view text) -> absl::Status {
                   if (text != "f32" && text != "f64")
                     return invalidArgument("must be f32 or f64, got '", text, "'");
                   return evaluation.permuted = text == "f32", absl::OkStatus();
                 },
                 "f64, the default, or f32: sums in a permuted order, what\nanother correct kernel would give");
  options.custom("--order-seed", "N",
                 [this](std::string_view text) -> absl::Status {
                   absl::StatusOr<uint64_t> seed = parseUnsigned(text);
                   return seed.ok() ? (evaluation.orderSeed = *seed, hasOrder = true, absl::OkStatus()) : seed.status();
                 },
                 "which order (default 0); needs --accumulate=f32");
}

absl::Status EvalCommand::openTokenizer() {
  if (!generation.hasText() && (generation.printTokens || generation.newTokens == 0))
    return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<Tokenizer>> loaded =
      Tokenizer::load(weightsFolder(generation.weights, path) + "/tokenizer.json");
  if (!loaded.ok())
    return absl::FailedPreconditionError(concat(loaded.status().message(),
                                                generation.hasText() ? "" : "; ask for --print-tokens"));
  tokenizer = *std::move(loaded);
  return absl::OkStatus();
}

/// One random sequence a sequence, as the runtime has them.
void EvalCommand::setSampling() {
  if (generation.sampling.temperature == 0)
    return;
  auto samplers = std::make_shared<std::vector<Sampler>>();
  for (size_t i = 0; i < evaluation.prompts.size(); ++i) {
    SamplingOptions options = generation.sampling;
    options.seed += i;
    samplers->emplace_back(options);
  }
  evaluation.choose = [samplers](int64_t sequence, std::span<const float> logits) {
    return (*samplers)[sequence].sample(logits);
  };
}

absl::Status EvalCommand::execute() {
  if (hasOrder && !evaluation.permuted)
    return invalidArgument("option '--order-seed' needs --accumulate=f32");
  if (absl::Status status = openTokenizer(); !status.ok())
    return status;
  absl::StatusOr<std::vector<std::vector<int32_t>>> prompts =
      generation.prompts([&](const std::string &text) { return tokenizer->encode(text, /*addSpecialTokens=*/true); });
  if (!prompts.ok())
    return prompts.status();
  evaluation.prompts = *std::move(prompts);
  evaluation.decoderPrompts = generation.decoderTokens;
  evaluation.compile = flags.compile;
  if (evaluation.compile.outputs.empty())
    evaluation.compile.outputs = generation.neededOutputs();
  evaluation.weights = weightsFolder(generation.weights, path);
  evaluation.newTokens = generation.newTokens;
  evaluation.sessionLength = generation.sessionLength;
  evaluation.stopAtEos = !generation.ignoreEos;
  evaluation.keepLogits = !generation.logitsOut.empty();
  for (const OutputFile &file : generation.outputFiles())
    evaluation.keep.push_back(file.output);
  setSampling();
  std::optional<StreamDecoder> stream; // of a single text
  if (tokenizer && !generation.printTokens && evaluation.prompts.size() == 1)
    stream.emplace(*tokenizer, /*skipSpecialTokens=*/true);
  evaluation.onToken = [&](int64_t, int32_t id) {
    if (stream) {
      std::fputs(stream->push(id).c_str(), stdout);
      std::fflush(stdout);
    }
    return !std::ferror(stdout); // a closed pipe ends it
  };
  std::string text;
  if (path == "-") {
    absl::StatusOr<std::string> input = readStandardInput();
    if (!input.ok())
      return input.status();
    text = *std::move(input);
  }
  absl::StatusOr<Evaluation> result = [&] {
    std::optional<Progress> progress; // unless tokens show it
    if (!stream)
      progress.emplace(concat("evaluating ", path));
    return evaluate(path == "-" ? "<stdin>" : path, path == "-" ? &text : nullptr, evaluation);
  }();
  if (!result.ok())
    return result.status();
  std::fputs(result->notes.c_str(), stderr);
  if (!generation.logitsOut.empty())
    if (absl::Status status = writeFloats(generation.logitsOut, result->logits.shape, result->logits.values); !status.ok())
      return status;
  for (const OutputFile &file : generation.outputFiles()) {
    const Array &array = result->kept.at(file.output);
    if (absl::Status status = writeFloats(file.path, array.shape, array.values); !status.ok())
      return status;
  }
  if (generation.newTokens == 0)
    return absl::OkStatus();
  if (generation.printTokens)
    return writeOutput("-", tokenLines(result->tokens));
  if (stream)
    return writeOutput("-", stream->finish() + "\n");
  std::string output;
  for (const std::vector<int32_t> &ids : result->tokens)
    output += tokenizer->decode(ids, /*skipSpecialTokens=*/true) + "\n";
  return writeOutput("-", output);
}

int EvalCommand::run(Arguments arguments) {
  Options options("graphc eval", kAbout);
  options.argument("MODEL", path, ".ir file, checkpoint folder, or '-' for a graph on standard\ninput");
  generation.add(options);
  addModes(options);
  flags.addModelOptions(options);
  flags.addTargetOptions(options);
  return flags.run(options, arguments, [this] { return execute(); });
}

int graphc::evalMain(Arguments arguments) { return EvalCommand().run(arguments); }
