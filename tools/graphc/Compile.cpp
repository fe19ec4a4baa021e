// graphc MODEL: a model in; a summary, the text of a stage, an object or a shared
// object out.
#include "Commands.h"
#include "CompileFlags.h"

#include "Support/Message.h"

#include <chrono>
#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Compiles a model to native code. MODEL is a layer graph (.ir, text or bytecode), a checkpoint folder, or '-'\n"
    "for a graph on standard input. Without -o, --emit and --plan it prints what was compiled.\n"
    "\n"
    "  graphc import checkpoint/ -o model.ir\n"
    "  graphc model.ir --policy compute=bf16,output=f32 --pin-cache=bf16\n"
    "  graphc model.ir --policy compute=bf16,output=f32 --pin-cache=bf16 -o model.so\n"
    "  graphc model.ir --policy compute=bf16 --policy 'rms_norm:compute=f32' --emit=layer\n"
    "  graphc run model.so --prompt 'Once upon a time'";

namespace {
struct CompileCommand {
  std::string model, emit, output;
  bool plan = false, json = false;
  CompileFlags flags;

  int run(Arguments arguments);
  absl::Status chooseStage();
  absl::Status finish(const CompiledModel &compiled, double seconds);
  bool isShared() const { return emit == "so"; }
};
} // namespace

/// The stage that an output's name asks for, unless --emit says it.
static std::string emitOf(const std::string &output) {
  for (auto [ending, emit] : {std::pair(".o", "obj"), std::pair(".s", "asm"), std::pair(".ll", "llvm")})
    if (output.ends_with(ending))
      return emit;
  return "so";
}

absl::Status CompileCommand::chooseStage() {
  if (emit.empty() && !output.empty())
    emit = emitOf(output);
  if (plan && (!emit.empty() || !output.empty()))
    return invalidArgument("option '--plan' takes neither -o nor --emit");
  if (json && !plan)
    return invalidArgument("option '--json' needs --plan");
  if ((emit == "so" || emit == "obj") && output.empty())
    return invalidArgument("option '--emit=", emit, "' needs -o FILE, or -o - for standard output");
  flags.compile.wholeObject = emit == "obj";
  flags.compile.stage = plan ? Stage::Vector : emit.empty() || isShared() ? Stage::Object : *parseStage(emit);
  return absl::OkStatus();
}

absl::Status CompileCommand::finish(const CompiledModel &compiled, double seconds) {
  if (plan) {
    const CompileOptions &compile = flags.compile;
    absl::StatusOr<std::string> text = json ? compiled.planJson(compile.session, compile.memoryBudget)
                                            : compiled.planText(compile.session, compile.memoryBudget);
    return text.ok() ? writeOutput("-", *text) : text.status();
  }
  if (emit.empty())
    return writeOutput("-", concat(compiled.summary(), "compiled in ", int64_t(seconds * 1000 + 0.5),
                                   compiled.isFromCache() ? " ms, code from the compile cache\n" : " ms\n"));
  if (!isShared())
    return writeOutput(output.empty() ? "-" : output, compiled.output());
  if (output != "-")
    return compiled.writeSharedObject(output);
  absl::StatusOr<std::string> bytes = compiled.sharedObject("model.so");
  return bytes.ok() ? writeOutput("-", *bytes) : bytes.status();
}

int CompileCommand::run(Arguments arguments) {
  CompileOptions &compile = flags.compile;
  Options options("graphc", kAbout);
  options.argument("MODEL", model, ".ir file, checkpoint folder, or '-'");
  flags.addModelOptions(options);
  flags.addLimitOptions(options);
  options.custom("--emit", "STAGE",
                 [this](std::string_view text) -> absl::Status {
                   if (text != "so" && !parseStage(text))
                     return invalidArgument("must be layer, kernel, vector, llvm, asm, obj or so, got '", text, "'");
                   return emit = text, absl::OkStatus();
                 },
                 "what to write: layer, kernel, vector, llvm, asm, obj or so\n(default with -o: by its ending; so)");
  options.text("-o --output", "FILE", output, "where it goes; a shared object's C header goes beside it");
  options.flag("--plan", plan, "prints the memory that a session needs, to the byte and as\nfunctions of its sizes; reads no weight");
  options.flag("--json", json, "prints the plan as JSON");
  options.custom("--memory-budget", "BYTES",
                 [&](std::string_view text) -> absl::Status {
                   absl::StatusOr<uint64_t> bytes = parseBytes(text);
                   return bytes.ok() ? (compile.memoryBudget = *bytes, absl::OkStatus()) : bytes.status();
                 },
                 "fails with code 3 if a session needs more; K, M, G, T are\npowers of 1024");
  flags.addSessionOptions(options);
  flags.addTargetOptions(options);
  flags.addCacheOption(options);
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  flags.finish();
  if (absl::Status status = chooseStage(); !status.ok())
    return report("graphc", status);

  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<CompiledModel> compiled = compileArgument(model, compile);
  if (!compiled.ok())
    return report("graphc", compiled.status(), compile.inspect.reproducer);
  printNotes(*compiled);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (absl::Status status = finish(*compiled, seconds); !status.ok())
    return report("graphc", status, compile.inspect.reproducer);
  return kSuccess;
}

int graphc::compileMain(Arguments arguments) { return CompileCommand().run(arguments); }
