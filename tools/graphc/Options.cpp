#include "Options.h"

#include "Support/Message.h"
#include "Support/Nearest.h"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace graphc {

/// Parses all of `text` as a T, or says that `what` was expected.
template <typename T>
static absl::Status parseNumber(std::string_view text, std::string_view what, T &number) {
  T parsed;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc() || end != text.data() + text.size())
    return invalidArgument("must be ", what, ", got '", text, "'");
  number = parsed;
  return absl::OkStatus();
}

Options::Options(std::string_view command, std::string_view about)
    : command(command), about(about) {}

void Options::custom(std::string_view names, std::string_view what,
                     std::function<absl::Status(std::string_view)> set, std::string_view help) {
  Option option{{}, std::string(what), std::string(help), std::move(set)};
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    option.names.emplace_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  options.push_back(std::move(option));
}

void Options::flag(std::string_view names, bool &variable, std::string_view help) {
  custom(names, "", [&variable](std::string_view) { return variable = true, absl::OkStatus(); },
         help);
}

void Options::text(std::string_view names, std::string_view what, std::string &variable,
                   std::string_view help) {
  custom(names, what,
         [&variable](std::string_view text) { return variable = text, absl::OkStatus(); }, help);
}

void Options::list(std::string_view names, std::string_view what,
                   std::vector<std::string> &variable, std::string_view help) {
  custom(names, what,
         [&variable](std::string_view text) {
           return variable.emplace_back(text), absl::OkStatus();
         },
         help);
}

void Options::integer(std::string_view names, std::string_view what, int64_t least,
                      int64_t &variable, std::string_view help) {
  custom(names, what,
         [&variable, least](std::string_view text) -> absl::Status {
           int64_t number = 0;
           if (absl::Status status = parseNumber(text, "an integer", number); !status.ok())
             return status;
           if (number < least)
             return invalidArgument("must be at least ", least, ", got ", number);
           variable = number;
           return absl::OkStatus();
         },
         help);
}

void Options::number(std::string_view names, std::string_view what, double &variable,
                     std::string_view help) {
  custom(names, what,
         [&variable](std::string_view text) -> absl::Status {
           double number = 0;
           if (absl::Status status = parseNumber(text, "a number", number); !status.ok())
             return status;
           if (!std::isfinite(number))
             return invalidArgument("must be a finite number, got '", text, "'");
           variable = number;
           return absl::OkStatus();
         },
         help);
}

void Options::argument(std::string_view what, std::string &variable, std::string_view help,
                       bool required) {
  positional.push_back({std::string(what), std::string(help), &variable, required});
}

const Options::Option *Options::find(std::string_view name) const {
  for (const Option &option : options)
    for (const std::string &spelling : option.names)
      if (spelling == name)
        return &option;
  return nullptr;
}

absl::Status Options::unknown(std::string_view name) const {
  std::vector<std::string_view> names{"--help"};
  for (const Option &option : options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return invalidArgument("option '", name, "' is unknown", nearestHint(name, names, 1, /*within=*/4));
}

absl::Status Options::parseAll(Arguments arguments, bool &helpWanted) {
  size_t filled = 0;
  bool optionsOver = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (optionsOver || argument.size() < 2 || argument[0] != '-') {
      if (filled == positional.size())
        return invalidArgument("expected ", positional.size(), positional.size() == 1 ? " argument" : " arguments", ", got '", argument,
                               "' in addition");
      *positional[filled++].variable = argument;
      continue;
    }
    if (argument == "--") {
      optionsOver = true;
      continue;
    }
    if (argument == "--help" || argument == "-h") {
      helpWanted = true;
      return absl::OkStatus();
    }
    const size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const bool attached = equals != std::string_view::npos;
    const Option *option = find(name);
    if (!option)
      return unknown(name);
    if (option->what.empty() && attached)
      return invalidArgument("option '", name, "' takes no value, got '",
                             argument.substr(equals + 1), "'");
    if (!option->what.empty() && !attached && ++i == arguments.size())
      return invalidArgument("option '", name, "' must be followed by ", option->what);
    const std::string_view value = option->what.empty() ? ""
                                   : attached           ? argument.substr(equals + 1)
                                                        : arguments[i];
    if (absl::Status status = option->set(value); !status.ok())
      return invalidArgument("option '", name, "' ", status.message());
  }
  if (filled < positional.size() && positional[filled].required)
    return invalidArgument("expected ", positional[filled].what, ", got nothing");
  return absl::OkStatus();
}

std::optional<int> Options::parse(Arguments arguments) {
  bool helpWanted = false;
  if (absl::Status status = parseAll(arguments, helpWanted); !status.ok())
    return usageError(concat(status.message()));
  if (!helpWanted)
    return std::nullopt;
  std::fputs(help().c_str(), stdout);
  return kSuccess;
}

int Options::usageError(std::string_view message) const {
  std::fputs(concat(command, ": error: ", message, "\nsee '", command, " --help'\n").c_str(), stderr);
  return kUsageError;
}

/// "  left        help", with the help's further lines below its first.
static std::string row(std::string left, std::string_view help) {
  constexpr size_t kColumn = 28;
  left = concat("  ", left);
  left += left.size() + 2 > kColumn ? concat("\n", std::string(kColumn, ' '))
                                    : std::string(kColumn - left.size(), ' ');
  for (char c : help)
    left += c == '\n' ? concat("\n", std::string(kColumn, ' ')) : std::string(1, c);
  return left + "\n";
}

std::string Options::help() const {
  std::string text = concat("usage: ", command, " [options]");
  for (const Argument &argument : positional)
    text += argument.required ? concat(" ", argument.what) : concat(" [", argument.what, "]");
  text += concat("\n\n", about, "\n\n");
  for (const Argument &argument : positional)
    text += row(argument.what, argument.help);
  text += positional.empty() ? "options:\n" : "\noptions:\n";
  for (const Option &option : options)
    text += row(concat(join(option.names), option.what.empty() ? "" : " ", option.what),
                option.help);
  return text + row("-h, --help", "prints this text");
}

} // namespace graphc
