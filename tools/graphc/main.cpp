// graphc's entry point: finds the subcommand and runs it; without one, MODEL is
// compiled.
#include "Commands.h"

#include "Support/Message.h"
#include "Support/Nearest.h"

#include "llvm/Config/llvm-config.h"

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

using namespace graphc;

namespace {
struct Command {
  std::string_view name, summary;
  int (*main)(Arguments);
};
constexpr Command kCommands[] = {
    {"import", "turns a Hugging Face checkpoint into a layer graph (.ir)", importMain},
    {"run", "generates from a prompt, with a model or a compiled one", runMain},
    {"eval", "does the same by the reference interpreter", evalMain},
    {"bench", "measures rates, and what they are of the machine's limits", benchMain},
    {"verify", "proves that the cache keeps its dtype, in place", verifyMain},
    {"explain", "tells what is cast, fused and stored, and why", explainMain},
    {"compare", "measures the error of a compiled model, layer by layer", compareMain},
};

std::string help() {
  std::string text = "usage: graphc MODEL [options]\n"
                     "       graphc COMMAND [options] ..\n\n"
                     "graphc compiles transformer models, given as graphs of layers, to native CPU code. MODEL is a layer graph\n"
                     "(.ir) or a Hugging Face checkpoint folder:\n\n"
                     "  graphc model.ir --policy compute=bf16,output=f32 --pin-cache=bf16\n\n"
                     "commands:\n"
                     "  MODEL       compiles it; 'graphc MODEL --help' explains the options\n";
  for (const Command &command : kCommands)
    text += concat("  ", command.name, std::string(12 - command.name.size(), ' '), command.summary, "\n");
  return text + "\n'graphc COMMAND --help' explains a command and its options; 'graphc --version' prints the version.\n"
                "Exit codes: 0 success; 1 the input cannot be compiled; 2 wrong usage; 3 a contract (pin, limit, memory budget) is\n"
                "broken; 70 internal error.\n";
}

/// True for a word that looks like a mistyped command rather than a model.
bool isMistyped(std::string_view word, std::span<const std::string_view> names) {
  std::error_code error;
  return word.find_first_of("./-") == word.npos && !std::filesystem::exists(word, error) &&
         !nearestHint(word, names, 1, /*within=*/2).empty();
}
} // namespace

int main(int argc, char **argv) {
  const std::vector<std::string_view> arguments(argv + (argc > 0), argv + argc);
  if (arguments.empty()) {
    std::fputs(help().c_str(), stderr);
    return kUsageError;
  }
  if (arguments[0] == "--help" || arguments[0] == "-h") {
    std::fputs(help().c_str(), stdout);
    return kSuccess;
  }
  if (arguments[0] == "--version") {
    std::puts("graphc " GRAPHC_VERSION " (LLVM " LLVM_VERSION_STRING ")");
    return kSuccess;
  }
  std::vector<std::string_view> names;
  for (const Command &command : kCommands) {
    if (command.name == arguments[0])
      return command.main(Arguments(arguments).subspan(1));
    names.push_back(command.name);
  }
  if (!isMistyped(arguments[0], names))
    return compileMain(arguments);
  std::fputs(concat("graphc: error: command '", arguments[0], "' is unknown", nearestHint(arguments[0], names, 1),
                    "\nsee 'graphc --help'\n").c_str(), stderr);
  return kUsageError;
}
