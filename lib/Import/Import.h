// Hugging Face checkpoint folders into layer graphs. Only config.json and the
// headers of the safetensors files are read: importing costs the same for any
// size of model, and no weight becomes part of the IR.
#pragma once

#include "Support/DType.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace graphc {

struct ImportOptions {
  /// Accepts a folder that has config.json and no safetensors file; parameters
  /// are then declared as `missingDType`, under the names they would have.
  bool allowMissingWeights = false;
  DType missingDType = DType::BF16;
};

/// Imports the checkpoint in `folder` as a verified module: `layer.parameter`s
/// in their stored types, one `layer.graph @main` and the attribute
/// `layer.model`. Null after errors, each reported with the config key or the
/// tensor, what was expected and what is there. The IR names no folder.
mlir::OwningOpRef<mlir::ModuleOp> importModel(mlir::MLIRContext &context, const std::string &folder,
                                              const ImportOptions &options = {});

/// The same from the text of a config.json alone: parameters are declared as
/// `dtype`, under the names they would have.
mlir::OwningOpRef<mlir::ModuleOp> importConfig(mlir::MLIRContext &context, const std::string &text,
                                               DType dtype = DType::BF16);

} // namespace graphc
