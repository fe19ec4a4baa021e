// The layer dialect: a transformer model as a graph of the layers that its
// users know, over builtin tensors and cache types that no cast accepts.
#ifndef GRAPHC_IR_LAYERDIALECT
#define GRAPHC_IR_LAYERDIALECT

include "mlir/IR/DialectBase.td"

def Layer_Dialect : Dialect {
  let name = "layer";
  let cppNamespace = "::graphc::layer";
  let summary = "transformer models as graphs of layers";
  let description = [{
    A module holds `layer.parameter` declarations, bound to checkpoint tensors
    by name, and `layer.graph`s. Dimension names: `batch`, `tokens` (new tokens
    of this call), `hidden`, `heads` (query heads), `kvHeads`, `headDim`,
    `ffn`, `vocab`. Every layer has a `name` path such as
    `"layers.3.self_attention.query"`. Rounding follows the layer rule: float
    operands are read in the policy's `compute` type, the interior is f32, the
    result is rounded once to `output` (absent: `compute`).

    A graph starts with implicit casts: activations are f32 and the policy is a
    request. MaterializeCasts makes the casts explicit; from then on the types
    are the whole truth.

    Module attributes: `layer.model`, a dictionary the importer writes and the
    runtime reads (`family`, `vocab_size`, `hidden_size`, `max_length`,
    `bos_token_ids`, `eos_token_ids`).
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = "void registerOperations();";
}

#endif // GRAPHC_IR_LAYERDIALECT
