// Passes on the layer dialect, and their pipeline.
#pragma once

#include "Support/Contract.h"
#include "graphc/IR/Layer.h"

#include "mlir/Pass/Pass.h"

#include <string>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace graphc::layer {

#define GEN_PASS_DECL
#include "passes/layer/Passes.h.inc"

/// What the user asks of the layer pipeline; the texts are command line syntax.
struct LayerPipelineOptions {
  std::vector<std::string> policy;  ///< Policy rules, later ones win (docs/Policy.md).
  std::vector<std::string> pins;    ///< Pin rules, later ones win (docs/Cache.md).
  std::vector<std::string> outputs; ///< Outputs to keep; empty: those that are not optional.
  std::vector<std::string> absent;  ///< Inputs that are never given, such as the cache.
  std::string semantics = "graphc"; ///< `graphc` or `axon`: how a result is rounded.
  bool seed = false;                ///< The cache as ordinary tensors that follow the policy: the oracle.
  bool report = false;              ///< Each pass says in a remark what it counted.
  Facts *cacheFacts = nullptr;      ///< Where VerifyCache's counts go, if anywhere.
};

/// VerifyCache that also hands its counts to `facts`, which must outlive it.
std::unique_ptr<mlir::Pass> createVerifyCache(bool report, Facts *facts);

/// Imported layers -> explicit, folded casts and a fused, pinned, verified cache.
/// With `seed`: explicit, unfolded casts, and no cache type left.
void buildLayerPipeline(mlir::OpPassManager &manager, const LayerPipelineOptions &options);
/// Registers the passes and `--layer-pipeline`.
void registerLayerPasses();

} // namespace graphc::layer
