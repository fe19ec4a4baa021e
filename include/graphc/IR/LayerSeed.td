// Seed mode: the cache as ordinary tensors, which the cast pass reaches like any
// other. ExpandCache makes these ops; nothing compiles them. They define, for
// the interpreter, what a model does whose cache follows the policy.
//
// The cache is a container: for each block its keys and values (then, if it has
// one, its cross keys and values), each leaf (batch, maxLen, heads, headDim)
// with query heads; then the offset, a scalar i32, the number of rows written
// in every sequence; then the mask (batch, maxLen) i32, 1 for a visible row.

def Layer_UnpackOp : Layer_Op<"unpack", [Pure]> {
  let summary = "the values of a container; casts nothing";
  let description = "unpack_c1: result types are the container's.";
  let arguments = (ins Layer_ContainerType:$x);
  let results = (outs Variadic<AnyType>:$ys);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Layer_RepeatHeadsOp : Layer_DataMovement<"repeat_heads", (ins Layer_FloatTensor:$x, I64Attr:$times), (outs Layer_FloatTensor:$y)> {
  let summary = "(batch, kvHeads, tokens, headDim) to (batch, kvHeads * times, tokens, headDim)";
  let description = "y[b, h, t, d] = x[b, h / times, t, d]. repeat_heads_c1: times is positive and y has that shape.";
  let hasVerifier = 1;
}

/// A layer of seed mode that moves cache leaves: it reads each in its compute
/// type and returns each in its output type.
class Layer_Seed<string mnemonic, dag extra, dag res> : Layer_NamedOp<mnemonic, extra, res,
    [DeclareOpInterfaceMethods<Layer_PolicyLayer, ["movesDataOnly"]>]> {
  let hasVerifier = 1;
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn set) {
      ::graphc::layer::nameResults(*this, set);
    }
    bool $cppClass::movesDataOnly() { return true; }
  }];
}

def Layer_SeedGetOp : Layer_Seed<"seed_get", (ins Variadic<Layer_FloatTensor>:$xs, I64Attr:$first),
    (outs Variadic<Layer_FloatTensor>:$ys)> {
  let summary = "takes a block out of the cache, or a slot out of a block";
  let description = [{
    ys are the leaves xs[first], xs[first + 1], ..
    seed_get_c1: they exist; seed_get_c2: each has its leaf's shape.
  }];
}

def Layer_SeedPutOp : Layer_Seed<"seed_put", (ins Variadic<Layer_FloatTensor>:$xs, I64Attr:$first),
    (outs Variadic<Layer_FloatTensor>:$ys)> {
  let summary = "puts a slot back into its block, or a block into the cache";
  let description = [{
    With n results, xs are n leaves and then the parts: ys are the leaves, those
    from `first` on replaced by the parts. seed_put_c1: there is at least one
    part and the parts fit; seed_put_c2: shapes agree.
  }];
}

def Layer_SeedOffsetOp : Layer_Seed<"seed_offset", (ins Variadic<Layer_FloatTensor>:$xs, Layer_IntTensor:$offset),
    (outs Layer_IntTensor:$y)> {
  let summary = "the offset, out of a node that carries the whole cache: y = offset";
  let description = "seed_offset_c1: offset and y are scalars.";
}

def Layer_SeedAdvanceOp : Layer_Seed<"seed_advance",
    (ins Variadic<Layer_FloatTensor>:$xs, Layer_IntTensor:$offset, Layer_IntTensor:$positions),
    (outs Variadic<Layer_FloatTensor>:$ys, Layer_IntTensor:$updated)> {
  let summary = "adds the number of new tokens, padding too, to the offset; carries the whole cache";
  let description = [{
    ys = xs, updated = offset + tokens, with positions (batch, tokens).
    seed_advance_c1: one result per leaf, of its shape, and offsets are scalars.
  }];
}

def Layer_SeedUpdateOp : Layer_Seed<"seed_update",
    (ins Layer_FloatTensor:$x, Layer_FloatTensor:$rows, Layer_IntTensor:$offset), (outs Layer_FloatTensor:$y)> {
  let summary = "writes the new rows behind the old ones";
  let description = [{
    x and y are (batch, maxLen, heads, headDim), rows (batch, heads, tokens,
    headDim): y = x, but y[b, offset + t, h, :] = rows[b, h, t, :], padding too.
    seed_update_c1: shapes agree and the offset is a scalar.
  }];
}

def Layer_SeedMergeMaskOp : Layer_Op<"seed_merge_mask", [Pure]> {
  let summary = "marks the new rows as visible unless they are padding";
  let description = [{
    mask and y are (batch, maxLen), positions (batch, tokens): y = mask, but
    y[b, offset + t] = positions[b, t] >= 0. seed_merge_mask_c1: mask and y have
    two dimensions and the offset is a scalar.
  }];
  let arguments = (ins Layer_IntTensor:$mask, Layer_IntTensor:$offset, Layer_IntTensor:$positions);
  let results = (outs Layer_IntTensor:$y);
  let assemblyFormat = "$mask `,` $positions `at` $offset attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Layer_SeedLengthsOp : Layer_Op<"seed_lengths", [Pure]> {
  let summary = "number of visible rows of each sequence: y[b] = sum_r mask[b, r]";
  let description = "seed_lengths_c1: mask is (batch, maxLen), y is (batch).";
  let arguments = (ins Layer_IntTensor:$mask);
  let results = (outs Layer_IntTensor:$y);
  let assemblyFormat = "$mask attr-dict `:` type($mask) `->` type($y)";
  let hasVerifier = 1;
}

def Layer_SeedKeyPositionsOp : Layer_Op<"seed_key_positions", [Pure]> {
  let summary = "position of each row: number of visible rows before it, or -1 if it is not visible";
  let description = "seed_key_positions_c1: mask and y are (batch, maxLen).";
  let arguments = (ins Layer_IntTensor:$mask);
  let results = (outs Layer_IntTensor:$y);
  let assemblyFormat = "$mask attr-dict `:` type($mask) `->` type($y)";
  let hasVerifier = 1;
}

def Layer_SeedAttentionOp : Layer_CriticalLayer<"seed_attention",
    (ins Layer_FloatTensor:$query, Layer_FloatTensor:$keys, Layer_FloatTensor:$values, Layer_IntTensor:$positions,
         Layer_IntTensor:$key_positions, F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window),
    (outs Layer_FloatTensor:$y, Optional<Layer_FloatTensor>:$weights)> {
  let summary = "attention over a cache that is two tensors";
  let description = [{
    The meaning of `attention`, with keys and values (batch, maxLen, heads,
    headDim), one row per query head, positions (batch, tokens) of the queries
    and key_positions (batch, maxLen) of the rows; negative positions neither see
    nor are seen. weights (batch, heads, tokens, maxLen).
    seed_attention_c1: shapes agree; seed_attention_c2: window is positive and
    needs causal.
  }];
  let hasVerifier = 1;
}
