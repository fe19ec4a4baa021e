// graphc bench: a model in; rates, and what they are of the machine's limits, out.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Import/Import.h"
#include "Compiler/Context.h"
#include "Support/File.h"
#include "Support/Json.h"
#include "Support/Message.h"
#include "tools/bench/Roofline.h"

#include "llvm/Support/raw_ostream.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Measures prefill and decode rates, and the limits of this machine beside each run: read bandwidth and\n"
    "multiply-add peaks. A ratio of 1 is the limit: no weight or cached row read twice, no multiply-add wasted.\n"
    "Also start-up times, compile time by phase, and memory against the plan. docs/Performance.md explains the\n"
    "table and the JSON.\n"
    "\n"
    "  graphc bench checkpoint/ --policy compute=bf16,output=f32 --pin-cache=bf16\n"
    "  graphc bench --config config.json --random-weights --prompt 16,512 --context 128,2048 --threads 1,2 --json -";

namespace {
struct BenchCommand {
  std::string path, config, weights, json, roofline;
  bool randomWeights = false, perKernel = false;
  CompileFlags flags;
  bench::Plan plan;

  int run(Arguments arguments);
  void addRuns(Options &options);
  absl::Status execute();
  absl::Status checkSource() const;
  absl::StatusOr<CompiledModel> compiled() const;
  absl::StatusOr<std::pair<CompiledModel, bench::Benchmark>> measured();
};
} // namespace

/// Sets `list` to integers between commas, each at least `least`.
static auto integerList(std::vector<int64_t> &list, uint64_t least) {
  return [&list, least](std::string_view text) -> absl::Status {
    list.clear();
    for (const std::string &part : splitList(text)) {
      absl::StatusOr<uint64_t> value = parseUnsigned(part);
      if (!value.ok() || *value < least || *value > INT32_MAX)
        return invalidArgument("must be integers from ", least, " up, separated by commas, got '", text, "'");
      list.push_back(int64_t(*value));
    }
    return list.empty() ? invalidArgument("must have at least one integer, got none") : absl::OkStatus();
  };
}

void BenchCommand::addRuns(Options &options) {
  options.custom("--prompt", "N,..", integerList(plan.prompts, 1), "prefills of N tokens a sequence (default 512)");
  options.integer("--gen", "N", 0, plan.generated, "decoded tokens of a sequence (default 128; 0: no decoding)");
  options.custom("--context", "N,..", integerList(plan.contexts, 0), "decodes behind N cached tokens (default 128)");
  options.custom("--batch", "N,..", integerList(plan.batches, 1), "sequences (default 1)");
  options.custom("-t --threads", "N,..", integerList(plan.threads, 1), "threads (default: all cores)");
  options.flag("--per-kernel", perKernel, "times each kernel as well, in steps of their own, and says what\nof its limit it reaches");
  options.integer("--repeat", "N", 1, plan.repeats, "runs of each; medians are reported (default 3)");
  options.text("--roofline", "FILE", roofline, "writes a picture of the rates below the machine's limits, with\n--per-kernel also of the kernels', as SVG; '-' is standard\noutput, the table then goes to standard error");
  options.text("--json", "FILE", json, "writes JSON; '-' is standard output, the table then goes to\nstandard error");
}

absl::Status BenchCommand::checkSource() const {
  if (path.empty() == config.empty())
    return invalidArgument("expected either MODEL or --config, got ", path.empty() ? "neither" : "both");
  if (!path.empty() && isSharedObject(path))
    return invalidArgument("MODEL must be what it was compiled from, got the shared object '", path,
                           "': code alone does not say what it has to read and multiply");
  if (!config.empty() && !randomWeights)
    return invalidArgument("option '--config' needs --random-weights: a config has no weights");
  if (randomWeights && !weights.empty())
    return invalidArgument("option '--weights' has no use with --random-weights");
  return absl::OkStatus();
}

/// The graph of a config.json, with parameters in the dtype that it says its
/// checkpoint has (bf16, if it says none).
static absl::StatusOr<std::string> graphOfConfig(const std::string &path) {
  absl::StatusOr<std::string> text = readFile(path);
  if (!text.ok())
    return text.status();
  absl::StatusOr<nlohmann::json> config = parseJson(*text, path);
  if (!config.ok())
    return absl::FailedPreconditionError(config.status().message());
  DType dtype = DType::BF16;
  for (const char *key : {"torch_dtype", "dtype"})
    if (absl::StatusOr<std::optional<std::string>> name = getOptionalString(*config, key, path); name.ok() && *name)
      dtype = **name == "float32" ? DType::F32 : **name == "float16" ? DType::F16 : DType::BF16;
  CompilerContext context;
  DiagnosticText diagnostics(&context);
  mlir::OwningOpRef<mlir::ModuleOp> module = importConfig(context, *text, dtype);
  if (!module)
    return absl::FailedPreconditionError(diagnostics.takeErrors());
  std::string graph;
  llvm::raw_string_ostream stream(graph);
  module->print(stream);
  return graph;
}

absl::StatusOr<CompiledModel> BenchCommand::compiled() const {
  if (config.empty())
    return compileArgument(path, flags.compile);
  absl::StatusOr<std::string> graph = graphOfConfig(config);
  if (!graph.ok())
    return graph.status();
  return compileText(*graph, config, flags.compile);
}

/// The model, and what was measured of it. Kernels are timed in a model that is
/// compiled with a trace, so that nothing else is slowed by it.
absl::StatusOr<std::pair<CompiledModel, bench::Benchmark>> BenchCommand::measured() {
  absl::StatusOr<CompiledModel> model = compiled();
  if (!model.ok())
    return model.status();
  printNotes(*model);
  std::optional<CompiledModel> traced;
  if (perKernel) {
    flags.compile.trace = true;
    absl::StatusOr<CompiledModel> second = compiled();
    if (!second.ok())
      return second.status();
    traced = *std::move(second);
  }
  Progress progress("measuring");
  absl::StatusOr<bench::Benchmark> benchmark =
      bench::runBenchmark(*model, randomWeights ? "" : weightsFolder(weights, path), plan, traced ? &*traced : nullptr);
  if (!benchmark.ok())
    return benchmark.status();
  return std::pair(*std::move(model), *std::move(benchmark));
}

absl::Status BenchCommand::execute() {
  if (absl::Status status = checkSource(); !status.ok())
    return status;
  if (absl::Status status = checkOutputs({{"--json", json}, {"--roofline", roofline}}); !status.ok())
    return status;
  if (perKernel && path == "-")
    return invalidArgument("option '--per-kernel' compiles the model twice, and needs a file instead of '-'");
  auto both = measured();
  if (!both.ok())
    return both.status();
  const auto &[model, benchmark] = *both;
  const bench::Subject subject{config.empty() ? path : config, randomWeights, flags.compile.policy, flags.compile.pins, plan.repeats};
  const std::string table = bench::reportText(subject, model, benchmark);
  if (json == "-" || roofline == "-")
    std::fputs(table.c_str(), stderr);
  else if (absl::Status status = writeOutput("-", table); !status.ok())
    return status;
  if (!json.empty())
    if (absl::Status status = writeOutput(json, bench::reportJson(subject, model, benchmark).dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace) + "\n"); !status.ok())
      return status;
  return roofline.empty() ? absl::OkStatus() : writeOutput(roofline, bench::rooflineSvg(subject, model, benchmark));
}

int BenchCommand::run(Arguments arguments) {
  Options options("graphc bench", kAbout);
  options.argument("MODEL", path, ".ir file, checkpoint folder, or '-' for a graph on standard\ninput", /*required=*/false);
  options.text("--config", "FILE", config, "a config.json instead of MODEL; needs --random-weights");
  options.flag("--random-weights", randomWeights, "makes weights of the model's shapes, in an unnamed file in the\nfolder for temporary files (TMPDIR), as large as they are");
  options.text("--weights", "DIR", weights, "folder of the safetensors files (default: the folder that\nMODEL is or lies in)");
  addRuns(options);
  flags.addModelOptions(options);
  flags.addTargetOptions(options);
  return flags.run(options, arguments, [this] { return execute(); });
}

int graphc::benchMain(Arguments arguments) { return BenchCommand().run(arguments); }
