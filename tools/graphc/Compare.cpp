// graphc compare: how far a policy, a pin and a target take a model from what it
// computes in f64.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Runtime/Tokenizer.h"
#include "Support/Message.h"

#include <cstdio>
#include <limits>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Compares a compiled model with the reference interpreter in f64, layer by layer: both run the prompts and then\n"
    "the same new tokens, each on its own cache. Prints for each value the greatest and the mean error and the\n"
    "cosine, and for the next token's distribution the KL divergence and how often the likeliest token agrees.\n"
    "Errors are those of a real run: they travel from layer to layer.\n"
    "\n"
    "  graphc compare checkpoint/ --policy compute=bf16,output=f32 --pin-cache=bf16 --tokens 1,2,3 -n 16\n"
    "  graphc compare model.ir -p 'Once upon a time' --max-kl=0.01 --json=-\n"
    "\n"
    "With --max-error or --max-kl it is a contract: exit code 3 if one is broken.";

namespace {
struct CompareCommand {
  std::string path, json;
  CompileFlags flags;
  GenerationFlags generation;
  CompareOptions comparison;
  double maxError = std::numeric_limits<double>::infinity(), maxKl = maxError;

  int run(Arguments arguments);
  absl::Status execute();
  absl::Status readPrompts();
};
} // namespace

absl::Status CompareCommand::readPrompts() {
  std::unique_ptr<Tokenizer> tokenizer;
  if (generation.hasText()) {
    auto loaded = Tokenizer::load(comparison.weights + "/tokenizer.json");
    if (!loaded.ok())
      return absl::FailedPreconditionError(loaded.status().message());
    tokenizer = *std::move(loaded);
  }
  auto prompts = generation.prompts([&](const std::string &text) { return tokenizer->encode(text, /*addSpecialTokens=*/true); });
  if (!prompts.ok())
    return prompts.status();
  comparison.prompts = *std::move(prompts);
  return absl::OkStatus();
}

absl::Status CompareCommand::execute() {
  comparison.weights = weightsFolder(generation.weights, path);
  if (absl::Status status = readPrompts(); !status.ok())
    return status;
  comparison.compile = flags.compile;
  comparison.decoderPrompts = generation.decoderTokens;
  comparison.newTokens = generation.newTokens;
  comparison.sessionLength = generation.sessionLength;
  comparison.threads = generation.usefulThreads();
  absl::StatusOr<Comparison> result = [&]() -> absl::StatusOr<Comparison> {
    Progress progress(concat("comparing ", path));
    if (path != "-")
      return compare(path, comparison);
    absl::StatusOr<std::string> text = readStandardInput();
    return text.ok() ? compareText(*text, "<stdin>", comparison) : text.status();
  }();
  if (!result.ok())
    return result.status();
  std::fputs(result->notes.c_str(), stderr);
  if (json != "-")
    if (absl::Status status = writeOutput("-", result->text()); !status.ok())
      return status;
  if (!json.empty())
    if (absl::Status status = writeOutput(json, result->json()); !status.ok())
      return status;
  return result->check(maxError, maxKl);
}

int CompareCommand::run(Arguments arguments) {
  Options options("graphc compare", kAbout);
  options.argument("MODEL", path, ".ir file, checkpoint folder, or '-' for a graph on standard\ninput");
  generation.newTokens = 16;
  generation.addPrompts(options);
  options.text("--reference-weights", "DIR", comparison.referenceWeights,
               "folder of the reference's safetensors files: what a rounded\nor changed checkpoint loses (default: the model's)");
  options.text("--json", "FILE", json, "writes the numbers as JSON (docs/Compare.md); '-': to standard\noutput, in place of the table");
  auto bound = [](double &variable) {
    return [&variable](std::string_view text) -> absl::Status {
      absl::StatusOr<double> value = parseNumber(text);
      if (!value.ok() || !(*value >= 0))
        return invalidArgument("must be a number of at least 0, got '", text, "'");
      return variable = *value, absl::OkStatus();
    };
  };
  options.custom("--max-error", "X", bound(maxError), "fails with code 3 if a value is further than X times its\nrange from the reference");
  options.custom("--max-kl", "X", bound(maxKl), "fails with code 3 if the KL divergence at a position is more\nthan X nats");
  flags.addModelOptions(options);
  flags.addTargetOptions(options);
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  flags.finish();
  const absl::Status status = execute();
  return status.ok() ? kSuccess : report("graphc compare", status, flags.compile.inspect.reproducer);
}

int graphc::compareMain(Arguments arguments) { return CompareCommand().run(arguments); }
