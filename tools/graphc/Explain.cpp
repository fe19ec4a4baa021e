// graphc explain: a model in; what the compiler does with it, and why, out.
#include "Commands.h"
#include "CompileFlags.h"

#include "Support/Message.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Tells what a compilation does and why: the policy of each layer, requested and effective; every cast with the\n"
    "rule, the layer and the pass behind it; fusions, and why others were missed; cache, weights, kernels, memory.\n"
    "No weight is read and no code is made. Without --json and --html it prints tables.\n"
    "\n"
    "  graphc explain model.ir --policy compute=bf16,output=f32 --pin-cache=bf16\n"
    "  graphc explain checkpoint/ --policy compute=bf16 --casts\n"
    "  graphc explain model.ir --html model.html --json - | jq .cache";

namespace {
struct ExplainCommand {
  std::string model, json, html;
  bool castsOnly = false;
  CompileFlags flags;

  int run(Arguments arguments);
  absl::StatusOr<Explanation> explained();
  absl::Status write(const Explanation &explanation) const;
};
} // namespace

absl::StatusOr<Explanation> ExplainCommand::explained() {
  if (castsOnly && !html.empty())
    return invalidArgument("option '--casts' takes no --html: the page has all of it");
  if (json == "-" && html == "-")
    return invalidArgument("options '--json' and '--html' cannot both go to standard output");
  if (model != "-")
    return explain(model, flags.compile);
  absl::StatusOr<std::string> text = readStandardInput();
  return text.ok() ? explainText(*text, "<stdin>", flags.compile) : text.status();
}

absl::Status ExplainCommand::write(const Explanation &explanation) const {
  if (json.empty() && html.empty())
    return writeOutput("-", explanation.text(castsOnly));
  if (!json.empty())
    if (absl::Status status = writeOutput(json, explanation.json(castsOnly)); !status.ok())
      return status;
  return html.empty() ? absl::OkStatus() : writeOutput(html, explanation.page());
}

int ExplainCommand::run(Arguments arguments) {
  Options options("graphc explain", kAbout);
  options.argument("MODEL", model, ".ir file, checkpoint folder, or '-' for a graph on standard\ninput");
  options.flag("--casts", castsOnly, "the casts alone");
  options.text("--json", "FILE", json, "writes JSON; '-' is standard output");
  options.text("--html", "FILE", html, "writes one page without external resources");
  flags.addModelOptions(options);
  flags.addLimitOptions(options);
  flags.addSessionOptions(options);
  flags.addTargetOptions(options);
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  flags.finish();
  absl::StatusOr<Explanation> explanation = explained();
  if (!explanation.ok())
    return report("graphc explain", explanation.status(), flags.compile.inspect.reproducer);
  std::fputs(explanation->notes().c_str(), stderr);
  const absl::Status status = write(*explanation);
  return status.ok() ? kSuccess : report("graphc explain", status);
}

int graphc::explainMain(Arguments arguments) { return ExplainCommand().run(arguments); }
