// Why a cast is there, as the text that `layer.cast` keeps:
//
//   compute=bf16 layers.0.ffn.gate by materialize-casts+fold-casts
//
// the setting that asks for it, the layer (of a pin: the attention's side) that
// it is for, and the passes that made it and moved it since.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace graphc::layer {

struct CastReason {
  std::string setting; ///< "compute=bf16", "pin=f16".
  std::string layer;
  std::string passes;  ///< Flags without "layer-", '+' between them; empty in casts written by hand.

  std::string text() const;
  /// Adds a pass, by its flag, unless it is the last one.
  void addPass(llvm::StringRef flag);
};

/// Reads text(); nothing if `text` has no setting and layer.
std::optional<CastReason> parseCastReason(llvm::StringRef text);

} // namespace graphc::layer
