// Types and attributes of the layer dialect. The cache types are opaque to
// casts: their element types change in one place, PinCache.
#ifndef GRAPHC_IR_LAYERTYPES
#define GRAPHC_IR_LAYERTYPES

include "graphc/IR/LayerDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

class Layer_Type<string name, string typeMnemonic> : TypeDef<Layer_Dialect, name> {
  let mnemonic = typeMnemonic;
}
class Layer_Attr<string name, string attrMnemonic> : AttrDef<Layer_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Layer_AttentionCacheType : Layer_Type<"AttentionCache", "attention_cache"> {
  let summary = "keys and values of one attention";
  let description = [{
    Rows of keys and of values, each (batch, kvHeads, rows, headDim) row-major.
    `full` has as many rows as the session's capacity; `window N` keeps at least
    the last N rows as a ring; `cross` holds the encoder's rows. Elements are
    f32, f16, bf16, or of 8 bits: int8, f8E4M3FN, f8E5M2, with one f32 scale for
    each row of each head (docs/Numerics.md, Q1 to Q4). `auto` means not pinned
    yet.

    Example: `!layer.attention_cache<2 x 16, full, keys = bf16, values = f16>`
  }];
  let parameters = (ins
    "int64_t":$kvHeads, "int64_t":$headDim,
    "int64_t":$window, // 0 = full, -1 = cross, N > 0 = ring of a window of N
    "::mlir::Type":$keys, "::mlir::Type":$values);
  let assemblyFormat = [{
    `<` $kvHeads `x` $headDim `,` custom<Capacity>($window) `,`
    `keys` `=` custom<CacheElement>($keys) `,`
    `values` `=` custom<CacheElement>($values) `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    bool isFull() const { return getWindow() == 0; }
    bool isCross() const { return getWindow() < 0; }
    bool isRing() const { return getWindow() > 0; }
    /// False as long as either element type is `auto`.
    bool isPinned() const;
    /// The same slot with other element types.
    AttentionCacheType withElements(::mlir::Type keys, ::mlir::Type values) const;
  }];
}

def Layer_BlockCacheType : Layer_Type<"BlockCache", "block_cache"> {
  let summary = "caches of one block: self attention, and cross attention if it has one";
  let parameters = (ins "::graphc::layer::AttentionCacheType":$self,
                        OptionalParameter<"::graphc::layer::AttentionCacheType">:$cross);
  let assemblyFormat = "`<` `self` `=` $self (`,` `cross` `=` $cross^)? `>`";
}

def Layer_CacheType : Layer_Type<"Cache", "cache"> {
  let summary = "the whole key/value cache of a model: one linear value";
  let description = [{
    Carries one length per sequence beside the blocks. Equal neighbours print
    with a count: `!layer.cache<16 x !block>`.
  }];
  let parameters = (ins ArrayRefParameter<"::graphc::layer::BlockCacheType">:$blocks);
  let assemblyFormat = "`<` custom<Blocks>($blocks) `>`";
  let extraClassDeclaration = [{
    /// The slot of block `index`; null if there is none.
    AttentionCacheType getSlot(int64_t index, bool cross) const;
  }];
}

def Layer_NoneType : Layer_Type<"None", "none"> {
  let summary = "an absent value: an input that was not given, and what follows from it";
}

def Layer_ContainerType : Layer_Type<"Container", "container"> {
  let summary = "an ordered group of values, such as all hidden states";
  let parameters = (ins ArrayRefParameter<"::mlir::Type">:$types);
  let assemblyFormat = "`<` $types `>`";
}

def Layer_PolicyAttr : Layer_Attr<"Policy", "policy"> {
  let summary = "mixed-precision policy of one layer: params, compute, output";
  let description = [{
    Each is a float type or absent (no cast). `params` is the storage type of
    the layer's parameters, `compute` the type operands are read in, `output`
    the type of the result (absent: `compute`).
  }];
  let parameters = (ins OptionalParameter<"::mlir::Type">:$params,
                        OptionalParameter<"::mlir::Type">:$compute,
                        OptionalParameter<"::mlir::Type">:$output);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Layer_RopeAttr : Layer_Attr<"Rope", "rope"> {
  let summary = "rotary embedding: base, rotated dimensions, scaling, pairing";
  let description = [{
    `dim` is the number of rotated dimensions of a head (even). `scaling` holds
    the keys of Hugging Face's `rope_scaling` under their own names, with
    `rope_type` among them; absent: none. `interleaved` pairs (2i, 2i+1)
    instead of (i, i + dim/2).
  }];
  let parameters = (ins "::mlir::FloatAttr":$base, "int64_t":$dim,
                        OptionalParameter<"::mlir::DictionaryAttr">:$scaling,
                        OptionalParameter<"::mlir::UnitAttr">:$interleaved);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Layer_RelativeBiasAttr : Layer_Attr<"RelativeBias", "relative_bias"> {
  let summary = "how a table of biases is indexed by the distance of a key from its query";
  let description = [{
    T5's buckets (Raffel et al., arXiv:1910.10683, as in transformers'
    T5Attention): one bucket for each small distance, logarithmically wider ones
    up to `max_distance`, the last one for all beyond. `bidirectional` gives keys
    behind the query buckets of their own; without it they share bucket 0. The
    number of buckets is the table's. relative_bias_c1: max_distance is from 1
    to 4096.
  }];
  let parameters = (ins "int64_t":$max_distance, OptionalParameter<"::mlir::UnitAttr">:$bidirectional);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def Layer_CastsAttr : I32EnumAttr<"Casts", "whether policies are requests or already casts", [
    I32EnumAttrCase<"Implicit", 0, "implicit">, I32EnumAttrCase<"Explicit", 1, "explicit">]> {
  let cppNamespace = "::graphc::layer";
  let genSpecializedAttr = 0;
}
def Layer_CastsEnumAttr : EnumAttr<Layer_Dialect, Layer_CastsAttr, "casts"> {
  let assemblyFormat = "`<` $value `>`";
}

#endif // GRAPHC_IR_LAYERTYPES
