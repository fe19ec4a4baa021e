// Rules are kept as text: the compiler parses them, and its messages quote them.
#include "CompileFlags.h"

#include "Support/File.h"
#include "Support/Message.h"
#include "Support/Policy.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace graphc {

/// Adds the names in `text` to `names`: at least one, and each once.
static absl::Status addNames(std::vector<std::string> &names, std::string_view text) {
  std::vector<std::string> added = splitList(text);
  if (added.empty())
    return invalidArgument("must be names with commas between them, got '", text, "'");
  for (std::string &name : added) {
    if (std::find(names.begin(), names.end(), name) != names.end())
      return invalidArgument("must name '", name, "' once, got it twice");
    names.push_back(std::move(name));
  }
  return absl::OkStatus();
}

void CompileFlags::addModelOptions(Options &options) {
  auto rule = [this](std::vector<std::string> &rules, std::string prefix) {
    return [this, &rules, prefix](std::string_view text) {
      used = true;
      return rules.push_back(prefix + std::string(text)), absl::OkStatus();
    };
  };
  options.custom("--policy", "RULE", rule(compile.policy, ""),
                 "what is computed in which dtype: [SELECTOR:]KEY=DTYPE,..\n"
                 "KEY is params, compute or output; DTYPE f32, f16 or bf16,\nfor params also f8E4M3FN or f8E5M2;\n"
                 "SELECTOR a kind or a name: rms_norm, layers.0-3.*\n"
                 "may be repeated, later rules win");
  options.custom("--policy-semantics", "NAME",
                 [this](std::string_view text) { return used = true, compile.policySemantics = text, absl::OkStatus(); },
                 "graphc: results are rounded once, to output;\naxon: to compute, then to output");
  options.custom("--pin-cache", "RULE", rule(compile.pins, ""),
                 "dtype of the key/value cache: DTYPE, k=DTYPE,v=DTYPE,\nor auto (the attention's compute dtype), for all slots\n"
                 "or SELECTOR:..; DTYPE is f32, f16, bf16, int8, f8E4M3FN\nor f8E5M2; may be repeated, later rules win");
  options.custom("-ctk", "DTYPE", rule(compile.pins, "k="), "the same as --pin-cache k=DTYPE");
  options.custom("-ctv", "DTYPE", rule(compile.pins, "v="), "the same as --pin-cache v=DTYPE");
  options.custom("--cache-mode", "MODE", [this](std::string_view text) { return used = true, compile.cacheMode = text, absl::OkStatus(); },
                 "pinned, the default, or seed, for comparisons: the cache is\nf32 tensors, which every layer that carries them casts");
  options.custom("--outputs", "LIST", [this](std::string_view text) { return used = true, compile.outputs.clear(), addNames(compile.outputs, text); },
                 "outputs to keep: logits, the default, hidden_states,\nattentions; a cache is always kept");
}

void CompileFlags::addLimitOptions(Options &options) {
  options.custom("--max-casts", "N",
                 [this](std::string_view text) -> absl::Status {
                   int64_t number = 0;
                   const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
                   if (error != std::errc() || end != text.data() + text.size() || number < 0)
                     return invalidArgument("must be an integer from 0 up, got '", text, "'");
                   return used = true, compile.maxCasts = number, absl::OkStatus();
                 },
                 "fails with code 3 if more casts are left, and names them");
  options.custom("--deny", "LIST",
                 [this](std::string_view text) { return used = true, addNames(compile.deny, text); },
                 concat("fails with code 3 if the model has one of\n", join(deniableNames(), ",\n")));
}

void CompileFlags::addSessionOptions(Options &options) {
  options.integer("--batch", "N", 1, compile.session.batch, "sequences of the session planned for (default 1)");
  options.integer("--session-length", "N", 1, compile.session.capacity,
                  "tokens a sequence of it (default: the model's most, at\nmost 4096)");
  options.integer("--source-length", "N", 1, compile.session.sourceCapacity,
                  "tokens a source of it, if the model has an encoder\n(default: the model's most, at most 4096)");
  options.integer("-t --threads", "N", 1, compile.session.threads, "threads of it (default: all cores)");
}

void CompileFlags::addCacheOption(Options &options) {
  mayCache = true;
  options.flag("--no-compile-cache", noCache, "neither takes code from the cache of compiled models nor adds\nany (it is in GRAPHC_CACHE_DIR, or graphc in the user's\ncache folder)");
}

void CompileFlags::addTargetOptions(Options &options) {
  options.custom("--target", "NAME", [this](std::string_view text) { return used = true, compile.target = text, absl::OkStatus(); },
                 concat(join(targetNames()), "\n(default: the best that this machine runs)"));
  options.custom("--allow-emulation", "", [this](std::string_view) { return used = compile.allowEmulation = true, absl::OkStatus(); },
                 "if this machine lacks the target's instructions,\ncompile for those it has");
  options.custom("--optimize", "LEVEL",
                 [this](std::string_view text) -> absl::Status {
                   if (text.size() != 1 || text[0] < '0' || text[0] > '3')
                     return invalidArgument("must be 0, 1, 2 or 3, got '", text, "'");
                   return used = true, compile.optimize = text[0] - '0', absl::OkStatus();
                 },
                 "of LLVM IR: 0 nothing, 1 what emitted loops need\n(default), 2 and 3 LLVM's own pipelines, slower to\ncompile");
  InspectOptions &inspect = compile.inspect;
  options.flag("--mlir-print-ir-after-all", inspect.printIrAfterAll, "prints the IR after each pass to standard error");
  options.text("--mlir-print-ir-tree-dir", "DIR", inspect.irTree, "writes the IR after each pass to files in DIR");
  options.flag("--mlir-timing", inspect.timing, "prints the time of each pass to standard error");
  options.flag("--mlir-pass-statistics", inspect.statistics, "prints what passes did, and why they did not");
  options.text("--reproducer", "FILE", inspect.reproducer, "where an internal error leaves what reproduces it\n(default: a new file in the temporary folder)");
}

void CompileFlags::finish() {
  if (mayCache && !noCache)
    compile.compileCache = defaultCompileCache();
  std::error_code error;
  if (compile.inspect.reproducer.empty())
    compile.inspect.reproducer =
        (std::filesystem::temp_directory_path(error) / concat("graphc-reproducer-", ::getpid(), ".mlir")).string();
}

int CompileFlags::run(Options &options, Arguments arguments, const std::function<absl::Status()> &execute) {
  if (std::optional<int> code = options.parse(arguments))
    return *code;
  finish();
  const absl::Status status = execute();
  return status.ok() ? kSuccess : report(options.name(), status, compile.inspect.reproducer);
}

/// What stands before a message: nothing if it begins with a place and a severity
/// of its own, so that editors find the place.
static std::string prefixOf(std::string_view command, std::string_view message) {
  const std::string_view line = message.substr(0, message.find('\n'));
  if (line.substr(0, 7) == "error: ")
    return concat(command, ": ");
  return line.find(": error: ") != line.npos ? std::string() : concat(command, ": error: ");
}

int report(std::string_view command, const absl::Status &status, const std::string &reproducer) {
  const std::string message(status.message());
  std::string text = concat(prefixOf(command, message), message, "\n");
  const ErrorKind kind = errorKind(status);
  std::error_code error;
  if (kind == ErrorKind::Internal) {
    text += "this is a fault of graphc";
    if (!reproducer.empty() && std::filesystem::exists(reproducer, error))
      text += concat("; '", reproducer, "' reproduces it with 'graphc-opt --run-reproducer'");
    text += "\n";
  } else if (kind == ErrorKind::Usage) {
    text += concat("see '", command, " --help'\n");
  }
  std::fputs(text.c_str(), stderr);
  switch (kind) {
  case ErrorKind::Usage: return kUsageError;
  case ErrorKind::Contract: return kBrokenContract;
  case ErrorKind::Internal: return kInternalError;
  case ErrorKind::Compile: break;
  }
  return kFailure;
}

void printNotes(const CompiledModel &model) { std::fputs(model.notes().c_str(), stderr); }

bool isSharedObject(const std::string &path) {
  char magic[4] = {};
  return path != "-" && std::ifstream(path, std::ios::binary).read(magic, 4) && std::string_view(magic, 4) == "\177ELF";
}

absl::StatusOr<CompiledModel> compileArgument(const std::string &path, const CompileOptions &options) {
  if (path != "-")
    return compile(path, options);
  absl::StatusOr<std::string> text = readStandardInput();
  if (!text.ok())
    return text.status();
  return compileText(*text, "<stdin>", options);
}

absl::StatusOr<uint64_t> parseBytes(std::string_view text) {
  const std::string number(text);
  char *end = nullptr;
  double value = number.empty() || !std::isdigit(static_cast<unsigned char>(number[0])) ? -1 : std::strtod(number.c_str(), &end);
  if (end && *end)
    for (char unit : std::string_view("KMGT")) {
      value *= 1024;
      if (*end == unit && (!end[1] || std::string_view(end + 1) == "B" || std::string_view(end + 1) == "iB")) {
        end = nullptr;
        break;
      }
    }
  if (!(value >= 1) || value > 1e18 || (end && *end))
    return invalidArgument("must be a number of bytes such as 512M or 1.5G, got '", text, "'");
  return uint64_t(value);
}

std::vector<std::string> splitList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (std::string_view part = trimBlanks(text.substr(0, comma)); !part.empty())
      parts.emplace_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

absl::StatusOr<std::string> readStandardInput() {
  std::string text;
  char block[1 << 16];
  while (size_t size = std::fread(block, 1, sizeof block, stdin))
    text.append(block, size);
  if (std::ferror(stdin))
    return absl::UnavailableError("standard input cannot be read");
  return text;
}

absl::Status checkOutputs(std::initializer_list<std::pair<std::string_view, std::string>> files) {
  std::string_view onStandardOutput;
  for (const auto &[option, path] : files) {
    if (path == "-" && !onStandardOutput.empty())
      return invalidArgument("options '", onStandardOutput, "' and '", option, "' cannot both go to standard output");
    if (path == "-")
      onStandardOutput = option;
    else if (!path.empty())
      if (absl::Status status = checkWritable(path); !status.ok())
        return status;
  }
  return absl::OkStatus();
}

absl::Status writeOutput(const std::string &path, std::string_view bytes) {
  if (path != "-")
    return writeFileAtomically(path, {bytes});
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    return absl::UnavailableError("standard output cannot be written");
  return absl::OkStatus();
}

} // namespace graphc
