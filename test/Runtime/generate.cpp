// The C++ interface through the shared library: exported names, streaming, and
// objects that outlive one another.   usage: generate OUT.so WEIGHTS ID
#include "graphc/Runtime.h"

#include <cstdlib>
#include <iostream>

int main(int argc, char **argv) {
  if (argc != 4)
    return 2;
  auto executable = graphc::Executable::load(argv[1]);
  if (!executable.ok()) {
    std::cerr << executable.status().message() << "\n";
    return 1;
  }
  auto model = graphc::Model::open(*executable, argv[2]);
  executable = absl::UnknownError("released");
  if (!model.ok())
    return 1;
  graphc::GenerateOptions options;
  options.maxNewTokens = 3;
  options.onToken = [](const graphc::StreamedToken &token) {
    std::cout << token.id << " ";
    return true;
  };
  auto made = graphc::generateFromIds(*model, {{std::atoi(argv[3])}}, options);
  auto refused = graphc::generateFromText(*model, {"text"}, options);
  std::cout << (made.ok() ? made->newTokens : -1) << " tokens, text "
            << (absl::IsNotFound(refused.status()) ? "needs a tokenizer" : "?") << "\n";
  return 0;
}
