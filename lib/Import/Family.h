// What the importer knows about a family of models. A further family is one
// file that defines a Family, its declaration below, and its place in the table of
// Families.cpp; the guide is docs/AddAModelFamily.md.
#pragma once

#include "Import/Config.h"
#include "Import/GraphBuilder.h"
#include "Support/Rope.h"

namespace graphc::importer {

struct Family {
  llvm::StringLiteral name;                          ///< In `layer.model` and in messages.
  llvm::ArrayRef<llvm::StringLiteral> modelTypes;    ///< Values of config's `model_type`.
  /// Keys of config.json that do not change what the model computes.
  llvm::ArrayRef<llvm::StringLiteral> harmlessKeys;
  /// What checkpoints may put before tensor names, the usual first; the one
  /// with which `probe` exists is taken.
  llvm::ArrayRef<llvm::StringLiteral> prefixes;
  llvm::StringLiteral probe;
  /// Endings of tensors that checkpoints carry and the model does not use.
  llvm::ArrayRef<llvm::StringLiteral> unusedTensors;
  /// transformers' defaults for absent bos_token_id and eos_token_id.
  int64_t bosTokenId, eosTokenId;
  /// What a decoder with an encoder starts with; nothing: there is no encoder.
  std::optional<int64_t> decoderStartTokenId = std::nullopt;
  /// Reads the config, calls Config::finish, describes the model and builds it.
  /// Failure after an error.
  mlir::LogicalResult (*build)(Config &config, const Family &family, GraphBuilder &graph);
};

// The families, one file each.
extern const Family kLlama, kMistral, kGpt2, kT5, kBart;

/// The family that takes `modelType`; null if there is none.
const Family *findFamily(llvm::StringRef modelType);
/// Every model_type that can be imported.
std::vector<std::string_view> knownModelTypes();

/// The rope of a model with `dim` rotated dimensions: `rope_parameters` as
/// transformers 5 writes it, or `rope_theta` and `rope_scaling` as transformers
/// 4 did. `maxPositions` is max_position_embeddings, from which absent lengths
/// and factors follow. A default rope after an error.
RopeSpec readRope(Config &config, int64_t dim, int64_t maxPositions);

/// The activation that transformers calls `name`.
std::optional<Activation> parseActivation(llvm::StringRef name);
/// The activation that config's `key` names.
Activation readActivation(Config &config, llvm::StringRef key, llvm::StringRef fallback);

} // namespace graphc::importer
