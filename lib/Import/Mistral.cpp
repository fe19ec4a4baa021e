// Mistral 7B and its kin (transformers' MistralForCausalLM): Llama without biases
// and, in every block, a window: a query sees the last `sliding_window` positions.
#include "Import/Llama.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;

namespace {
LogicalResult build(Config &config, const Family &family, GraphBuilder &g) {
  Llama model = readLlama(config, {.maxLength = 131072, .kvHeads = 8});
  // Null is no window, an absent key is not: transformers then takes 4096.
  if (!config.contains("sliding_window") || config.value("sliding_window"))
    model.attention.window = config.size("sliding_window", 4096);
  return buildLlama(model, config, family, g);
}

constexpr llvm::StringLiteral kModelTypes[] = {"mistral"};
} // namespace

constexpr Family graphc::importer::kMistral = llamaFamily("mistral", kModelTypes, {}, build);
