// graphc verify: the certificate of the cache's contract.
#include "Commands.h"
#include "CompileFlags.h"
#include "GenerationFlags.h"

#include "Support/Message.h"

#include <cstdio>

using namespace graphc;

static constexpr std::string_view kAbout =
    "Compiles a model and prints the certificate of its key/value cache: what is proved on layers, kernels and\n"
    "vector code, what is checked on LLVM IR and the object, and with --run what a run with a guarded cache showed.\n"
    "A broken contract is exit code 3, with the place and the way of the memory. docs/Contract.md explains each line.\n"
    "\n"
    "  graphc verify model.ir --policy compute=bf16,output=f32 --pin-cache=bf16\n"
    "  graphc verify checkpoint/ --pin-cache=bf16 --batch 4 --capacity 2048 --json certificate.json\n"
    "  graphc verify checkpoint/ --pin-cache=k=bf16,v=f16 --run";

namespace {
struct VerifyCommand {
  std::string model, json;
  bool run = false;
  CompileFlags flags;
  CertificateOptions certificate;

  int main(Arguments arguments);
  absl::Status print(const Certificate &made) const;
};
} // namespace

absl::Status VerifyCommand::print(const Certificate &made) const {
  if (json != "-")
    if (absl::Status status = writeOutput("-", made.text); !status.ok())
      return status;
  return json.empty() ? absl::OkStatus() : writeOutput(json, made.json);
}

int VerifyCommand::main(Arguments arguments) {
  Options options("graphc verify", kAbout);
  options.argument("MODEL", model, ".ir file, checkpoint folder, or '-'");
  flags.addModelOptions(options);
  options.flag("--run", run, "also runs the model, with the cache under guard");
  options.text("--weights", "DIR", certificate.weights, "checkpoint for --run (default: the folder that MODEL is or\nlies in)");
  options.text("--json", "FILE", json, "also writes the certificate as JSON; '-': instead of the\ntext");
  options.integer("--batch", "N", 1, certificate.session.batch, "sequences that bytes are given for (default 1)");
  options.integer("--session-length --capacity", "N", 1, certificate.session.capacity,
                  "tokens a sequence (default: the model's most, at most\n4096)");
  options.integer("--source-length", "N", 1, certificate.session.sourceCapacity,
                  "tokens a source, if the model has an encoder (default: the\nmodel's most, at most 4096)");
  options.integer("-t --threads", "N", 1, certificate.session.threads, "threads of the run (default: all cores)");
  flags.addTargetOptions(options);
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  flags.finish();
  if (!run && !certificate.weights.empty())
    return report("graphc verify", invalidArgument("option '--weights' needs --run"));
  if (run)
    certificate.weights = weightsFolder(certificate.weights, model);

  absl::StatusOr<CompiledModel> compiled = compileArgument(model, flags.compile);
  if (!compiled.ok())
    return report("graphc verify", compiled.status(), flags.compile.inspect.reproducer);
  printNotes(*compiled);
  absl::StatusOr<Certificate> made = compiled->certificate(certificate);
  if (!made.ok())
    return report("graphc verify", made.status());
  if (absl::Status status = print(*made); !status.ok())
    return report("graphc verify", status);
  return kSuccess;
}

int graphc::verifyMain(Arguments arguments) { return VerifyCommand().main(arguments); }
