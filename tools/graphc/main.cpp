// graphc's entry point: finds the subcommand and runs it.
#include "Commands.h"

#include "Support/Message.h"
#include "Support/Nearest.h"

#include <cstdio>
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
};

std::string help() {
  std::string text = "usage: graphc COMMAND [options] ..\n\n"
                     "graphc compiles transformer models, given as graphs of layers, to native CPU code.\n\n"
                     "commands:\n";
  for (const Command &command : kCommands)
    text += concat("  ", command.name, std::string(12 - command.name.size(), ' '), command.summary, "\n");
  return text + "\n'graphc COMMAND --help' explains a command and its options.\n";
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
  std::vector<std::string_view> names;
  for (const Command &command : kCommands) {
    if (command.name == arguments[0])
      return command.main(Arguments(arguments).subspan(1));
    names.push_back(command.name);
  }
  std::fputs(concat("graphc: error: command '", arguments[0], "' is unknown", nearestHint(arguments[0], names),
                    "\nsee 'graphc --help'\n").c_str(), stderr);
  return kUsageError;
}
