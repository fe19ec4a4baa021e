// graphc explain: a model in; what the compiler does with it, and why, out.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Support/Message.h"
#include "tools/bench/Report.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Tells what a compilation does and why: the policy of each layer, requested and effective; every cast with the\n"
    "rule, the layer and the pass behind it; fusions, and why others were missed; cache, weights, kernels, memory.\n"
    "No weight is read and no code is made, except for --roofline, which runs the model and says where the time\n"
    "goes. Without --json and --html it prints tables.\n"
    "\n"
    "  graphc explain model.ir --policy compute=bf16,output=f32 --pin-cache=bf16\n"
    "  graphc explain checkpoint/ --policy compute=bf16 --casts\n"
    "  graphc explain checkpoint/ --policy compute=bf16 --roofline\n"
    "  graphc explain model.ir --html model.html --json - | jq .cache";

namespace {
struct ExplainCommand {
  std::string model, json, html, weights;
  bool castsOnly = false, roofline = false, randomWeights = false;
  CompileFlags flags;

  int run(Arguments arguments);
  absl::Status execute();
  absl::Status check() const;
  absl::StatusOr<bench::Benchmark> measured(const std::string &text) const;
  absl::Status write(const Explanation &explanation, const std::string &times) const;
};
} // namespace

absl::Status ExplainCommand::check() const {
  if (castsOnly && !html.empty())
    return invalidArgument("option '--casts' takes no --html: the page has all of it");
  if (castsOnly && roofline)
    return invalidArgument("option '--casts' takes no --roofline: it lists casts alone");
  if (!roofline && (randomWeights || !weights.empty()))
    return invalidArgument("option '", randomWeights ? "--random-weights" : "--weights", "' is for --roofline, since nothing else reads weights");
  if (randomWeights && !weights.empty())
    return invalidArgument("option '--weights' has no use with --random-weights");
  return checkOutputs({{"--json", json}, {"--html", html}});
}

/// The kernels of a prefill and of a decode step of the session that options
/// describe; `text` is the model if it came from standard input.
absl::StatusOr<bench::Benchmark> ExplainCommand::measured(const std::string &text) const {
  constexpr int64_t kPrompt = 512, kContext = 2048;
  CompileOptions options = flags.compile;
  options.trace = true;
  absl::StatusOr<CompiledModel> traced = model == "-" ? compileText(text, "<stdin>", options) : compile(model, options);
  if (!traced.ok())
    return traced.status();
  const SessionOptions &session = options.session;
  const int64_t longest = session.capacity ? session.capacity : std::min<int64_t>(traced->program().model.maxLength, 4096);
  bench::Plan plan;
  plan.generated = std::min<int64_t>(longest, 16 * plan.repeats);
  plan.prompts = {std::min(longest, kPrompt)};
  plan.contexts = {std::min(longest - plan.generated, kContext)};
  plan.batches = {session.batch};
  if (session.threads)
    plan.threads = {session.threads};
  Progress progress("measuring");
  return bench::profileKernels(*traced, randomWeights ? "" : weightsFolder(weights, model), plan);
}

absl::Status ExplainCommand::write(const Explanation &explanation, const std::string &times) const {
  if (json.empty() && html.empty())
    return writeOutput("-", explanation.text(castsOnly) + times);
  if (!json.empty())
    if (absl::Status status = writeOutput(json, explanation.json(castsOnly)); !status.ok())
      return status;
  return html.empty() ? absl::OkStatus() : writeOutput(html, explanation.page());
}

absl::Status ExplainCommand::execute() {
  if (absl::Status status = check(); !status.ok())
    return status;
  absl::StatusOr<std::string> text = model == "-" ? readStandardInput() : std::string();
  if (!text.ok())
    return text.status();
  absl::StatusOr<Explanation> explanation = model == "-" ? explainText(*text, "<stdin>", flags.compile) : explain(model, flags.compile);
  if (!explanation.ok())
    return explanation.status();
  std::fputs(explanation->notes().c_str(), stderr);
  if (!roofline)
    return write(*explanation, "");
  absl::StatusOr<bench::Benchmark> times = measured(*text);
  if (!times.ok())
    return times.status();
  explanation = explanation->withRoofline(bench::profilesJson(*times).dump());
  return explanation.ok() ? write(*explanation, bench::profilesText(*times)) : explanation.status();
}

int ExplainCommand::run(Arguments arguments) {
  Options options("graphc explain", kAbout);
  options.argument("MODEL", model, ".ir file, checkpoint folder, or '-' for a graph on standard\ninput");
  options.flag("--casts", castsOnly, "the casts alone");
  options.text("--json", "FILE", json, "writes JSON; '-' is standard output");
  options.text("--html", "FILE", html, "writes one page without external resources");
  options.flag("--roofline", roofline, "runs a prefill and a decode step, and says of each kernel what it\nreads and multiplies, the time that takes at the limits of this\nmachine, and the time that it took");
  options.flag("--random-weights", randomWeights, "for --roofline: weights of the model's shapes, in an unnamed file\nin the folder for temporary files (TMPDIR)");
  options.text("--weights", "DIR", weights, "for --roofline: folder of the safetensors files (default: the\nfolder that MODEL is or lies in)");
  flags.addModelOptions(options);
  flags.addLimitOptions(options);
  flags.addSessionOptions(options);
  flags.addTargetOptions(options);
  return flags.run(options, arguments, [this] { return execute(); });
}

int graphc::explainMain(Arguments arguments) { return ExplainCommand().run(arguments); }
