// The layers: one op each, named as Hugging Face, ONNX and Axon name them.
// Shapes use the dialect's dimension names; rounding points are docs/Numerics.md's.

class Layer_Layer<string mnemonic, dag extra, dag res, list<Trait> traits = []>
    : Layer_NamedOp<mnemonic, extra, res, !listconcat([DeclareOpInterfaceMethods<Layer_PolicyLayer>], traits)>;

/// Statistics, exponentials or angles inside: f32 there under every policy.
class Layer_CriticalLayer<string mnemonic, dag extra, dag res, list<Trait> traits = []>
    : Layer_NamedOp<mnemonic, extra, res, !listconcat(
        [DeclareOpInterfaceMethods<Layer_PolicyLayer, ["isPrecisionCritical"]>], traits)> {
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn set) {
      ::graphc::layer::nameResults(*this, set);
    }
    bool $cppClass::isPrecisionCritical() { return true; }
  }];
}

/// Moves values without arithmetic; every rounding commutes with it.
class Layer_DataMovement<string mnemonic, dag extra, dag res, list<Trait> traits = []>
    : Layer_NamedOp<mnemonic, extra, res, !listconcat(
        [DeclareOpInterfaceMethods<Layer_PolicyLayer, ["movesDataOnly"]>], traits)> {
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn set) {
      ::graphc::layer::nameResults(*this, set);
    }
    bool $cppClass::movesDataOnly() { return true; }
  }];
}

def Layer_EmbeddingOp : Layer_DataMovement<"embedding",
    (ins Layer_IntTensor:$ids, Layer_FloatTensor:$kernel, DefaultValuedAttr<I64Attr, "0">:$offset),
    (outs Layer_FloatTensor:$y)> {
  let summary = "rows of a table";
  let description = [{
    y[b, t, :] = kernel[ids[b, t] + offset, :], with ids (batch, tokens), kernel
    (vocab, hidden), y (batch, tokens, hidden). A negative id (padding) gives
    zeros. BART's positions begin at row `offset` = 2 of their table.
    embedding_c1: y's shape is ids' shape and the row. embedding_c2: offset is
    at least 0 and below the number of rows.
  }];
  let hasVerifier = 1;
}

def Layer_DenseOp : Layer_Layer<"dense",
    (ins Layer_FloatTensor:$x, Layer_FloatTensor:$kernel, Optional<Layer_FloatTensor>:$bias, UnitAttr:$input_major),
    (outs Layer_FloatTensor:$y)> {
  let summary = "matrix product with the last dimension, plus bias";
  let description = [{
    y[.., n] = sum_k x[.., k] * kernel[n, k] + bias[n]; kernel is (N, K) as in
    torch's Linear, or (K, N) with `input_major` as in GPT-2's Conv1D. The sum
    and the bias are f32; one rounding at the result. dense_c1: K agrees;
    dense_c2: bias is (N); dense_c3: y has x's leading dimensions and N.
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getInputSize();  // K
    int64_t getOutputSize(); // N
  }];
}

def Layer_RmsNormOp : Layer_CriticalLayer<"rms_norm",
    (ins Layer_FloatTensor:$x, Layer_FloatTensor:$scale, F64Attr:$epsilon, DefaultValuedAttr<F64Attr, "0.0">:$shift),
    (outs Layer_FloatTensor:$y)> {
  let summary = "root mean square norm over the last dimension";
  let description = [{
    y = x * r * (shift + scale), r = 1/sqrt(mean(x^2) + epsilon), all f32 inside
    (Zhang and Sennrich, arXiv:1910.07467). norm_c1: scale is (hidden);
    norm_c2: y's shape is x's.
  }];
  let hasVerifier = 1;
}

def Layer_LayerNormOp : Layer_CriticalLayer<"layer_norm",
    (ins Layer_FloatTensor:$x, Layer_FloatTensor:$scale, Optional<Layer_FloatTensor>:$bias, F64Attr:$epsilon),
    (outs Layer_FloatTensor:$y)> {
  let summary = "layer norm over the last dimension";
  let description = [{
    y = (x - m) * r * scale + bias, m = mean(x), r = 1/sqrt(mean((x-m)^2) + epsilon),
    all f32 inside, variance from centred values (Ba et al., arXiv:1607.06450).
    norm_c1: scale and bias are (hidden); norm_c2: y's shape is x's.
  }];
  let hasVerifier = 1;
}

def Layer_SplitHeadsOp : Layer_DataMovement<"split_heads",
    (ins Layer_FloatTensor:$x, I64Attr:$heads), (outs Layer_FloatTensor:$y)> {
  let summary = "(batch, tokens, heads * headDim) to (batch, heads, tokens, headDim)";
  let description = "split_heads_c1: the last dimension is a multiple of `heads`, and y is the split shape.";
  let hasVerifier = 1;
}

def Layer_MergeHeadsOp : Layer_DataMovement<"merge_heads", (ins Layer_FloatTensor:$x), (outs Layer_FloatTensor:$y)> {
  let summary = "(batch, heads, tokens, headDim) to (batch, tokens, heads * headDim)";
  let description = "merge_heads_c1: y is the merged shape.";
  let hasVerifier = 1;
}

def Layer_SliceOp : Layer_DataMovement<"slice",
    (ins Layer_FloatTensor:$x, I64Attr:$offset, I64Attr:$size), (outs Layer_FloatTensor:$y)> {
  let summary = "columns [offset, offset + size) of the last dimension";
  let description = "slice_c1: 0 <= offset, 0 < size, offset + size within the dimension; slice_c2: y is the sliced shape.";
  let hasVerifier = 1;
}

def Layer_RotaryEmbeddingOp : Layer_CriticalLayer<"rotary_embedding",
    (ins Layer_FloatTensor:$x, Layer_IntTensor:$positions, Layer_RopeAttr:$rope), (outs Layer_FloatTensor:$y)> {
  let summary = "rotates pairs of a head's dimensions by angles that grow with the position";
  let description = [{
    x is (batch, heads, tokens, headDim), positions (batch, tokens). For pair i
    of the first `dim` dimensions, angle = position * inv[i]; y = x*cos +
    rotated(x)*sin in f32 with f32 tables (Su et al., arXiv:2104.09864; tables
    and scaling types as in Support/Rope.h). The rest passes through.
    rotary_c1: dim is at most headDim; rotary_c2: y's shape is x's.
  }];
  let hasVerifier = 1;
  let assemblyFormat = [{
    $name `(` operands `)` $rope attr-dict (`policy` `` $policy^)? `:` functional-type(operands, results)
  }];
}

def Layer_AttentionOp : Layer_CriticalLayer<"attention",
    (ins Layer_FloatTensor:$query, Optional<Layer_FloatTensor>:$key, Optional<Layer_FloatTensor>:$value,
         Optional<AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>>:$cache, Layer_IntTensor:$positions,
         Optional<Layer_FloatTensor>:$bias, OptionalAttr<Layer_RelativeBiasAttr>:$relative,
         F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window),
    (outs Layer_FloatTensor:$y, Optional<Layer_FloatTensor>:$weights), [AttrSizedOperandSegments]> {
  let summary = "softmax(q k' * scale) v over a slot, or over the given keys and values";
  let description = [{
    query (batch, heads, tokens, headDim); key, value (batch, kvHeads, tokens,
    headDim) or the rows of `cache`; query head h reads kv head h / (heads /
    kvHeads). positions (batch, tokens): a negative position is padding and
    neither sees nor is seen. `causal`: key position <= query position;
    `window` w: key position > query position - w. weights (batch, heads,
    tokens, keys); absent if no one asks for them. A row with no visible key
    gives zeros. A slot of type `none` stands for an absent cache until
    ResolveOptional has replaced it by the new rows. Steps and rounding: numerics
    A1-A5; a slot's rows are read in the query's type. With `bias`, a table
    (buckets, heads), bias[bucket(key position - query position), h] is added to
    the scaled score; `relative` says how distances become buckets.

    attention_c1: either key and value or a slot; attention_c2: kvHeads divides
    heads and head sizes agree; attention_c3: y's shape is (query's but the
    value's headDim); attention_c4: window is positive and needs causal;
    attention_c5: a cross slot is read without causal; attention_c6: bias and
    relative come together, and bias is (buckets, heads), with at least two
    buckets a direction and no more than max_distance exact ones.
  }];
  let hasVerifier = 1;
  let assemblyFormat = [{
    $name `(` $query (`,` $key^ `,` $value)? `)` (`over` $cache^)? `at` $positions
    (`bias` $bias^ $relative)? attr-dict (`policy` `` $policy^)? `:` functional-type(operands, results)
  }];
}

/// One result element per operand element, f32 inside.
def Layer_IsElementwise : NativeOpTrait<"IsElementwise"> {
  let cppNamespace = "::graphc::layer";
}

def Layer_AddOp : Layer_Layer<"add", (ins Layer_FloatTensor:$a, Layer_FloatTensor:$b), (outs Layer_FloatTensor:$y), [Layer_IsElementwise]> {
  let summary = "elementwise sum in f32. elementwise_c1: one shape";
  let hasVerifier = 1;
}

def Layer_ScaleOp : Layer_Layer<"scale", (ins Layer_FloatTensor:$x, F64Attr:$factor), (outs Layer_FloatTensor:$y), [Layer_IsElementwise]> {
  let summary = "x * factor in f32; the factor is an f32 constant. elementwise_c1: one shape";
  let hasVerifier = 1;
}

def Layer_MultiplyOp : Layer_Layer<"multiply", (ins Layer_FloatTensor:$a, Layer_FloatTensor:$b), (outs Layer_FloatTensor:$y), [Layer_IsElementwise]> {
  let summary = "elementwise product in f32. elementwise_c1: one shape";
  let hasVerifier = 1;
}

class Layer_Activation<string mnemonic, string formula> : Layer_Layer<mnemonic, (ins Layer_FloatTensor:$x), (outs Layer_FloatTensor:$y), [Layer_IsElementwise]> {
  let summary = formula # ", in f32. elementwise_c1: one shape";
  let hasVerifier = 1;
}
def Layer_SiluOp : Layer_Activation<"silu", "x / (1 + exp(-x))">;
def Layer_GeluOp : Layer_Activation<"gelu", "x/2 * (1 + erf(x/sqrt(2)))">;
def Layer_GeluTanhOp : Layer_Activation<"gelu_tanh", "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))">;
def Layer_ReluOp : Layer_Activation<"relu", "max(x, 0)">;
