// Compiles a checkpoint folder and generates from it, through graphc's public
// headers alone.   usage: generate FOLDER PROMPT [COUNT]
#include "graphc/Compiler.h"
#include "graphc/Runtime.h"

#include <cstdio>
#include <cstdlib>
#include <string>

static int fail(const absl::Status &status) {
  std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s FOLDER PROMPT [COUNT]\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];

  // The policy says where values are rounded, the pin what the cache is made of.
  graphc::CompileOptions options;
  options.policy = {"compute=bf16,output=f32"};
  options.pins = {"bf16"};
  const auto compiled = graphc::compile(folder, options);
  if (!compiled.ok())
    return fail(compiled.status());
  std::fputs(compiled->summary().c_str(), stderr);

  // The code, in this process; an executable may outlive the compiled model.
  const auto executable = compiled->executable();
  if (!executable.ok())
    return fail(executable.status());

  // With its weights, which stay in the mapped file wherever they can.
  const auto model = graphc::Model::open(*executable, folder);
  if (!model.ok())
    return fail(model.status());

  graphc::GenerateOptions generation;
  generation.maxNewTokens = argc > 3 ? std::atol(argv[3]) : 64;
  generation.onToken = [](const graphc::StreamedToken &token) {
    std::fwrite(token.text.data(), 1, token.text.size(), stdout);
    std::fflush(stdout);
    return true;
  };
  const auto result = graphc::generateFromText(*model, {argv[2]}, generation);
  if (!result.ok())
    return fail(result.status());
  std::printf("\n");
  std::fprintf(stderr, "%s\n", result->closingLine().c_str());
  return 0;
}
