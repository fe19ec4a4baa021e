// A command's options as a table: each entry names its spellings, its variable
// and its help, and from the table come parsing, errors with the nearest
// spelling, and --help. Written here because neither LLVM's nor Abseil's flags
// know subcommands, repeated options and exit code 2 together.
#pragma once

#include "Commands.h"

#include <absl/status/status.h>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

class Options {
public:
  /// `command` is "graphc import", `about` one paragraph or more.
  Options(std::string_view command, std::string_view about);

  // An option's `names` are its spellings, separated by blanks: "-o --output".
  // Variables keep their value unless the option is given; of a repeated option
  // the last one counts, except in a list. `what` stands for the value in help.

  /// An option without a value.
  void flag(std::string_view names, bool &variable, std::string_view help);
  void text(std::string_view names, std::string_view what, std::string &variable,
            std::string_view help);
  /// Every use adds a value.
  void list(std::string_view names, std::string_view what, std::vector<std::string> &variable,
            std::string_view help);
  /// An integer of at least `least`.
  void integer(std::string_view names, std::string_view what, int64_t least, int64_t &variable,
               std::string_view help);
  /// A finite number.
  void number(std::string_view names, std::string_view what, double &variable,
              std::string_view help);
  /// A value that `set` takes or refuses; its message follows the option's name.
  void custom(std::string_view names, std::string_view what,
              std::function<absl::Status(std::string_view)> set, std::string_view help);

  /// The next argument that is no option. Required ones come before others.
  void argument(std::string_view what, std::string &variable, std::string_view help,
                bool required = true);

  /// Sets the variables. Forms are `--name value` and `--name=value`; `--` ends
  /// the options; `-` is an argument. Returns the exit code if the command is
  /// over: kSuccess after --help, kUsageError after an error on standard error.
  std::optional<int> parse(Arguments arguments);

  /// Prints "graphc import: error: .." and where help is; returns kUsageError.
  int usageError(std::string_view message) const;

  std::string help() const;
  /// "graphc import".
  std::string_view name() const { return command; }

private:
  struct Option {
    std::vector<std::string> names;
    std::string what; ///< Empty for a flag.
    std::string help;
    std::function<absl::Status(std::string_view)> set;
  };
  struct Argument {
    std::string what;
    std::string help;
    std::string *variable;
    bool required;
  };
  const Option *find(std::string_view name) const;
  absl::Status parseAll(Arguments arguments, bool &helpWanted);
  absl::Status unknown(std::string_view name) const;

  std::string command, about;
  std::vector<Option> options;
  std::vector<Argument> positional;
};

} // namespace graphc
