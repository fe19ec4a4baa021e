// What reports and traces call values and blocks.
#pragma once

#include "graphc/IR/Layer.h"

namespace graphc::layer {

/// What reports call a value: its layer, its parameter or its input, and the
/// types it was cast to, as in "embedder as f32"; a further result of a layer has
/// " weights" or its number behind the name. Empty if it has none.
std::string valueName(mlir::Value value);
/// The block that a layer belongs to: its name up to `layers.N`; empty outside.
llvm::StringRef blockOf(llvm::StringRef layerName);

} // namespace graphc::layer
