// Llama's model as config.json describes it, and its graph, for the families that
// share it: Mistral is Llama with a window.
#pragma once

#include "Import/Family.h"

namespace graphc::importer {

struct Llama {
  int64_t vocab, hidden, layers, ffn, maxLength;
  AttentionShape attention; ///< Of every block.
  RopeSpec rope;
  double epsilon;
  Activation activation;
  bool attentionBias, ffnBias; ///< False unless the family sets them.
  bool tied;
};

/// What transformers takes where config.json has nothing.
struct LlamaDefaults {
  int64_t maxLength;
  int64_t kvHeads; ///< 0: as many as query heads.
};

/// Reads the keys that all these families have.
Llama readLlama(Config &config, LlamaDefaults defaults);

/// Ends the reading of `config` and builds the graph; failure after an error.
mlir::LogicalResult buildLlama(const Llama &model, Config &config, const Family &family, GraphBuilder &graph);

// What their checkpoints have in common.
inline constexpr llvm::StringLiteral kLlamaPrefixes[] = {"model.", ""};
/// Frequencies are computed; the head of a tied model may be stored twice.
inline constexpr llvm::StringLiteral kLlamaUnusedTensors[] = {".rotary_emb.inv_freq", "lm_head.weight"};

/// The family called `name`; what is not given, all of them have alike.
constexpr Family llamaFamily(llvm::StringLiteral name, llvm::ArrayRef<llvm::StringLiteral> modelTypes,
                             llvm::ArrayRef<llvm::StringLiteral> harmlessKeys, decltype(Family::build) build) {
  return {.name = name,
          .modelTypes = modelTypes,
          .harmlessKeys = harmlessKeys,
          .prefixes = kLlamaPrefixes,
          .probe = "embed_tokens.weight",
          .unusedTensors = kLlamaUnusedTensors,
          .bosTokenId = 1,
          .eosTokenId = 2,
          .build = build};
}

} // namespace graphc::importer
