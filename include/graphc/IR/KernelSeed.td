// Kernels of seed mode (LayerSeed.td): the cache as ordinary tensors. A leaf
// (batch, maxLen, heads, headDim) is (batch * maxLen, heads * headDim) rows here,
// the mask and the positions of rows are (batch * maxLen). Nothing fuses with
// these kernels: each is one pass over what it reads, as the seed executes it.

class Kernel_SeedOp<string mnemonic, dag inputs, dag attributes, string insFormat, string insTypes>
    : Kernel_Op<mnemonic, [DeclareOpInterfaceMethods<Kernel_SeedKernel>]> {
  let arguments = !con(inputs, (ins Arg<AnyMemRef, "", [MemWrite]>:$out), attributes, (ins StrArrayAttr:$layers));
  let assemblyFormat = "`ins` `(` " # insFormat # " `:` " # insTypes # " `)` `outs` `(` $out `:` type($out) `)` attr-dict";
}

def Kernel_SeedMoveOp : Kernel_SeedOp<"seed_move", (ins Kernel_Rows:$x), (ins), "$x", "type($x)"> {
  let summary = "out = x, rounded or widened to out's type: one cast of a whole leaf";
  let description = "seed_move_k1: x and out have the same width.";
  let hasVerifier = 1;
}

def Kernel_SeedUpdateOp : Kernel_SeedOp<"seed_update",
    (ins Kernel_Rows:$x, Kernel_Rows:$rows, Kernel_Rows:$offset, Kernel_Rows:$starts), (ins),
    "$x `,` $rows `,` $offset `,` $starts", "type($x) `,` type($rows) `,` type($offset) `,` type($starts)"> {
  let summary = "a whole leaf, with the new rows from the offset on";
  let description = [{
    out[b * maxLen + r] = rows[starts[b] + r - offset] for offset <= r < offset
    + starts[b + 1] - starts[b], else x[b * maxLen + r]; rows are (tokens, heads
    * headDim). seed_update_k1: x, rows and out have the same width.
  }];
  let hasVerifier = 1;
}

def Kernel_RepeatHeadsOp : Kernel_SeedOp<"repeat_heads", (ins Kernel_Rows:$x), (ins I64Attr:$times, I64Attr:$headDim),
    "$x", "type($x)"> {
  let summary = "rows of kv heads to rows of query heads, each head `times` times";
  let description = "repeat_heads_k1: out is `times` as wide as x, which has whole heads.";
  let hasVerifier = 1;
}

def Kernel_SeedMergeMaskOp : Kernel_SeedOp<"seed_merge_mask",
    (ins Kernel_Rows:$mask, Kernel_Rows:$positions, Kernel_Rows:$offset, Kernel_Rows:$starts), (ins),
    "$mask `,` $positions `,` $offset `,` $starts", "type($mask) `,` type($positions) `,` type($offset) `,` type($starts)"> {
  let summary = "the mask, with the new rows visible where their positions are not negative";
}

def Kernel_SeedKeyPositionsOp : Kernel_SeedOp<"seed_key_positions", (ins Kernel_Rows:$mask, Kernel_Rows:$starts), (ins),
    "$mask `,` $starts", "type($mask) `,` type($starts)"> {
  let summary = "visible rows before each row of its sequence, or -1 if the row is not visible";
}

def Kernel_SeedAdvanceOp : Kernel_SeedOp<"seed_advance", (ins Kernel_Rows:$offset, Kernel_Rows:$starts), (ins),
    "$offset `,` $starts", "type($offset) `,` type($starts)"> {
  let summary = "the offset, plus the new tokens of a sequence";
}

def Kernel_SeedAttentionOp : Kernel_SeedOp<"seed_attention",
    (ins Kernel_Rows:$query, Kernel_Rows:$keys, Kernel_Rows:$values, Kernel_Rows:$positions,
         Kernel_Rows:$key_positions, Kernel_Rows:$starts),
    (ins I64Attr:$headDim, F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window),
    "$query `,` $keys `,` $values `,` $positions `,` $key_positions `,` $starts",
    "type($query) `,` type($keys) `,` type($values) `,` type($positions) `,` type($key_positions) `,` type($starts)"> {
  let summary = "attention over leaves: all maxLen rows are read, and masked by their positions";
  let description = [{
    query (tokens, heads * headDim), keys and values leaves of its type; a row is
    seen if its position is not negative and, with `causal`, not above the
    token's and, with `window`, above it minus the window. Arithmetic is
    cached_attention's. seed_attention_k1: all have the same width, of whole heads.
  }];
  let hasVerifier = 1;
}
