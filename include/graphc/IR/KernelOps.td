// The kernel dialect: fused kernels on memory, with destinations and epilogues.
// The memory plan exists before code is generated, so nothing bufferizes here
// and nothing can insert a copy.
#ifndef GRAPHC_IR_KERNELOPS
#define GRAPHC_IR_KERNELOPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::graphc::kernel";
  let summary = "fused transformer kernels on memrefs";
  let description = [{
    Activations are (rows, width) row-major memrefs, sequences packed end to
    end: the token rows of sequence s are starts[s] .. starts[s+1]. Cache memory
    is (batch, kvHeads, maxLen, headDim) in memory space 16 + k, k the index of
    the pinned dtype, so that it can be followed to machine code; the scales of
    8-bit rows are (batch, kvHeads, maxLen) f32 in space 32.

    An epilogue is a region over scalars, applied to each element of the
    kernel's interior f32 result: its first argument is that value, then one
    argument for each `fused` operand, read at the same row and column (rank 2)
    or column (rank 1). It yields one value for each destination. Rounding
    points are the arith.truncf operations in it, and nothing else.

    `layers` names the layers that the kernel computes, in order.
  }];
  let useDefaultAttributePrinterParser = 1;
}

def Kernel_PhaseAttr : I32EnumAttr<"Phase", "which specialisation of the graph", [
    I32EnumAttrCase<"Prefill", 0, "prefill">, I32EnumAttrCase<"Decode", 1, "decode">]> {
  let cppNamespace = "::graphc::kernel";
  let genSpecializedAttr = 0;
}
def Kernel_PhaseEnumAttr : EnumAttr<Kernel_Dialect, Kernel_PhaseAttr, "phase"> {
  let assemblyFormat = "`<` $value `>`";
}

def Kernel_TileAttr : AttrDef<Kernel_Dialect, "Tile"> {
  let mnemonic = "tile";
  let summary = "register and cache blocking of a kernel, from the tile table";
  let description = [{
    `rows`: token rows of the register tile, tried in order, the last must be 1;
    `cols`: output columns of the register tile; `unroll`: vectors of the inner
    dimension a step; `block`: columns a thread keeps in cache, over all rows;
    `depth`: inner dimension a pass (0: all of it); `prefetch`: bytes ahead, 0 = none.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$rows, "int64_t":$cols, "int64_t":$unroll, "int64_t":$block,
                        "int64_t":$depth, "int64_t":$prefetch);
  let assemblyFormat = "`<` `rows` `=` `[` $rows `]` `,` struct($cols, $unroll, $block, $depth, $prefetch) `>`";
}

def Kernel_EpilogueKernel : OpInterface<"EpilogueKernel"> {
  let cppNamespace = "::graphc::kernel";
  let description = "A kernel with destinations and an epilogue over its interior f32 result.";
  let methods = [
    InterfaceMethod<"Operands that the epilogue reads.", "::mlir::OperandRange", "getFused">,
    InterfaceMethod<"Destinations, one for each value the epilogue yields.", "::mlir::OperandRange", "getOuts">,
    InterfaceMethod<"Destinations, to append to.", "::mlir::MutableOperandRange", "getOutsMutable">,
    InterfaceMethod<"Operands that the epilogue reads, to append to.", "::mlir::MutableOperandRange", "getFusedMutable">,
    InterfaceMethod<"The epilogue.", "::mlir::Region &", "getEpilogue">,
    InterfaceMethod<"Names of the layers computed.", "::mlir::ArrayAttr", "getLayers">,
    InterfaceMethod<"Sets the names of the layers computed.", "void", "setLayersAttr", (ins "::mlir::ArrayAttr":$names)>,
  ];
  let verify = "return ::graphc::kernel::verifyEpilogue($_op);";
}

def Kernel_CacheKernel : OpInterface<"CacheKernel"> {
  let cppNamespace = "::graphc::kernel";
  let description = "A kernel that reads cache memory or updates it in place; no other may touch it.";
  let methods = [
    InterfaceMethod<"Operands that are cache memory.", "::llvm::SmallVector<::graphc::kernel::CacheSide>", "getCacheSides">,
  ];
}

class Kernel_Op<string mnemonic, list<Trait> traits = []> : Op<Kernel_Dialect, mnemonic, traits>;

def Kernel_Rows : Arg<AnyMemRef, "", [MemRead]>;
def Kernel_Fused : Arg<Variadic<AnyMemRef>, "", [MemRead]>;
def Kernel_Outs : Arg<Variadic<AnyMemRef>, "", [MemWrite]>;

/// A kernel with an epilogue: `kernel.x ins(..) fused(..) outs(..) attributes {..} {epilogue}`.
class Kernel_EpilogueOp<string mnemonic, dag inputs, dag attributes, string insFormat, string insTypes>
    : Kernel_Op<mnemonic, [AttrSizedOperandSegments, DeclareOpInterfaceMethods<Kernel_EpilogueKernel>]> {
  let arguments = !con(inputs, (ins Kernel_Fused:$fused, Kernel_Outs:$outs), attributes, (ins StrArrayAttr:$layers));
  let regions = (region SizedRegion<1>:$epilogue);
  let assemblyFormat = "`ins` `(` " # insFormat # " `:` " # insTypes # " `)` (`fused` `(` $fused^ `:` type($fused) `)`)? "
    # "`outs` `(` $outs `:` type($outs) `)` attr-dict-with-keyword $epilogue";
}

def Kernel_MatmulOp : Kernel_EpilogueOp<"matmul", (ins Kernel_Rows:$x, Kernel_Rows:$kernel),
    (ins UnitAttr:$input_major, Kernel_PhaseEnumAttr:$phase, OptionalAttr<Kernel_TileAttr>:$tile),
    "$x `,` $kernel", "type($x) `,` type($kernel)"> {
  let summary = "rows times a kernel (N, K), or (K, N) with `input_major`";
  let description = [{
    interior[m, n] = sum_k x[m, k] * kernel[n, k] in f32; x (rows, K). matmul_c1:
    K agrees. matmul_c2: destinations are (rows, N). The kernel's type holds no
    more than x's: the same, or a narrower one that is widened in registers.
  }];
  let hasVerifier = 1;
}

def Kernel_RmsNormOp : Kernel_EpilogueOp<"rms_norm", (ins Kernel_Rows:$x, Kernel_Rows:$scale),
    (ins F64Attr:$epsilon, F64Attr:$shift), "$x `,` $scale", "type($x) `,` type($scale)"> {
  let summary = "interior = x * 1/sqrt(mean(x^2) + epsilon) * (shift + scale), rows at a time";
}

def Kernel_LayerNormOp : Kernel_EpilogueOp<"layer_norm",
    (ins Kernel_Rows:$x, Kernel_Rows:$scale, Arg<Optional<AnyMemRef>, "", [MemRead]>:$bias),
    (ins F64Attr:$epsilon), "$x `,` $scale (`,` $bias^)?", "type($x) `,` type($scale) (`,` type($bias)^)?"> {
  let summary = "interior = (x - mean) * 1/sqrt(variance + epsilon) * scale + bias, rows at a time";
}

def Kernel_EmbeddingOp : Kernel_EpilogueOp<"embedding", (ins Kernel_Rows:$ids, Kernel_Rows:$kernel),
    (ins DefaultValuedAttr<I64Attr, "0">:$offset), "$ids `,` $kernel", "type($ids) `,` type($kernel)"> {
  let summary = "interior[m, :] = kernel[ids[m] + offset, :]";
}

def Kernel_ElementwiseOp : Kernel_EpilogueOp<"elementwise", (ins Kernel_Rows:$x), (ins), "$x", "type($x)"> {
  let summary = "interior = x, widened to f32; the epilogue is the kernel";
}

def Kernel_RotaryOp : Kernel_EpilogueOp<"rotary",
    (ins Kernel_Rows:$x, Kernel_Rows:$positions, Kernel_Rows:$cos, Kernel_Rows:$sin),
    (ins I64Attr:$headDim, UnitAttr:$interleaved),
    "$x `,` $positions `,` $cos `,` $sin", "type($x) `,` type($positions) `,` type($cos) `,` type($sin)"> {
  let summary = "interior = x*cos + rotated(x)*sin for each head of a row";
  let description = [{
    x (rows, heads * headDim); tables (positions, dim/2) f32, dim <= headDim the
    rotated part of a head: pairs (i, i + dim/2), or (2i, 2i+1) if interleaved.
  }];
}

def Kernel_GatherRowsOp : Kernel_Op<"gather_rows"> {
  let summary = "out[i, :] = x[row_ids[i], :]: the rows whose logits are wanted";
  let arguments = (ins Kernel_Rows:$x, Kernel_Rows:$row_ids, Arg<AnyMemRef, "", [MemWrite]>:$out, StrArrayAttr:$layers);
  let assemblyFormat = "`ins` `(` $x `,` $row_ids `:` type($x) `,` type($row_ids) `)` `outs` `(` $out `:` type($out) `)` attr-dict";
}

def Kernel_CachedAttentionOp : Kernel_Op<"cached_attention", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<Kernel_CacheKernel>]> {
  let summary = "appends rows to the cache in place and attends over it";
  let description = [{
    Without key and value the cache is a cross slot: nothing is appended, lengths
    are the rows of each sequence's source, and all of them are seen. `bias`
    (buckets, heads) is added to the scaled score, as layer.attention says.

    query (rows, heads * headDim) of the compute type; key, value (rows, kvHeads
    * headDim) of the pinned types, or of a type that the compute type holds if
    that is one of 8 bits: then this op quantises them, and keyScales or
    valueScales (batch, kvHeads, maxLen) hold a scale a row; keys, values (batch, kvHeads, maxLen,
    headDim); starts (batch + 1), lengths (batch): old rows; out (rows, heads *
    headDim), rounded once to its type. The token in row m of sequence s has
    position lengths[s] + m - starts[s]; in a ring, position p is row p mod
    maxLen. `weights`, if someone asks for them, are (rows, heads, capacity), of a
    cross slot (rows, heads, source): the share p / l of the key at each position,
    in a ring too, rounded once to their type; 0 where the query sees no key. They
    change no other result.
    attention_k1: head sizes and counts agree. attention_k2: rows have the
    cache's types, or fit the compute type if the op quantises them.
    attention_k3: cache memory is in the space of its dtype. attention_k4:
    weights are (rows, heads, keys). attention_k5: keys and values of 8
    bits, and no others, have scales. attention_k6: key and value come together;
    without them there is no causal. attention_k7: bias is (buckets, heads) and has
    a max_distance.

    A token's keys are cut into segments by their number alone, and their sums are
    added in order, in every phase. With `scratch` a sequence has at most one token,
    and threads share out the segments: its three f32 buffers hold, for each sequence,
    kv head, segment and query head of the group, the sum of p*v (headDim rounded up
    to 32), M and l. attention_k9: scratch is of those sizes (segmentsOf, sumsWidth in
    graphc/IR/Kernel.h), or not there.
  }];
  let arguments = (ins Kernel_Rows:$query, Arg<Optional<AnyMemRef>, "", [MemRead]>:$key,
    Arg<Optional<AnyMemRef>, "", [MemRead]>:$value,
    Arg<AnyMemRef, "", [MemRead, MemWrite]>:$keys, Arg<AnyMemRef, "", [MemRead, MemWrite]>:$values,
    Arg<Optional<AnyMemRef>, "", [MemRead, MemWrite]>:$keyScales,
    Arg<Optional<AnyMemRef>, "", [MemRead, MemWrite]>:$valueScales,
    Kernel_Rows:$starts, Kernel_Rows:$lengths, Arg<Optional<AnyMemRef>, "", [MemRead]>:$bias,
    Arg<AnyMemRef, "", [MemWrite]>:$out, Arg<Optional<AnyMemRef>, "", [MemWrite]>:$weights,
    Arg<Variadic<AnyMemRef>, "", [MemRead, MemWrite]>:$scratch,
    F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window, UnitAttr:$ring,
    OptionalAttr<I64Attr>:$max_distance, UnitAttr:$bidirectional,
    Kernel_PhaseEnumAttr:$phase, OptionalAttr<Kernel_TileAttr>:$tile, StrArrayAttr:$layers);
  let assemblyFormat = [{
    `ins` `(` $query (`,` $key^ `,` $value)? `:` type($query) (`,` type($key)^ `,` type($value))? `)`
    `cache` `(` $keys `,` $values `at` $starts `,` $lengths `:` type($keys) `,` type($values) `,` type($starts) `,` type($lengths) `)`
    (`key_scales` `(` $keyScales^ `:` type($keyScales) `)`)? (`value_scales` `(` $valueScales^ `:` type($valueScales) `)`)?
    (`bias` `(` $bias^ `:` type($bias) `)`)? `outs` `(` $out `:` type($out) `)`
    (`weights` `(` $weights^ `:` type($weights) `)`)? (`scratch` `(` $scratch^ `:` type($scratch) `)`)? attr-dict
  }];
  let hasVerifier = 1;
}

def Kernel_AttentionOp : Kernel_Op<"attention", [AttrSizedOperandSegments]> {
  let summary = "attends over the rows of this call, without a cache";
  let description = [{
    query (rows, heads * headDim), key and value (rows, kvHeads * headDim) of the
    compute type; out (rows, heads * headDim). The token in row m of sequence s has
    position m - starts[s] and sees the rows of its sequence, those up to its own
    with `causal`. bias as in cached_attention; weights (rows, heads, source) too.
    attention_k8: head sizes and counts agree.
  }];
  let arguments = (ins Kernel_Rows:$query, Kernel_Rows:$key, Kernel_Rows:$value, Kernel_Rows:$starts,
    Arg<Optional<AnyMemRef>, "", [MemRead]>:$bias, Arg<AnyMemRef, "", [MemWrite]>:$out,
    Arg<Optional<AnyMemRef>, "", [MemWrite]>:$weights, I64Attr:$head_dim, F64Attr:$scale, UnitAttr:$causal,
    OptionalAttr<I64Attr>:$max_distance, UnitAttr:$bidirectional, Kernel_PhaseEnumAttr:$phase, StrArrayAttr:$layers);
  let assemblyFormat = [{
    `ins` `(` $query `,` $key `,` $value `at` $starts `:` type($query) `,` type($key) `,` type($value) `,` type($starts) `)`
    (`bias` `(` $bias^ `:` type($bias) `)`)? `outs` `(` $out `:` type($out) `)`
    (`weights` `(` $weights^ `:` type($weights) `)`)? attr-dict
  }];
  let hasVerifier = 1;
}

def Kernel_CacheStoreOp : Kernel_Op<"cache_store", [AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<Kernel_CacheKernel>]> {
  let summary = "writes a cross slot: row m of sequence s becomes row m - starts[s]";
  let description = [{
    key, value (rows, kvHeads * headDim) of the pinned types, or of the compute type
    if the op quantises them; keys, values (batch, kvHeads, source, headDim), scales
    (batch, kvHeads, source). A sequence without rows keeps what it has.
    attention_k1 to attention_k3 and attention_k5 hold here too.
  }];
  let arguments = (ins Kernel_Rows:$key, Kernel_Rows:$value, Arg<AnyMemRef, "", [MemWrite]>:$keys,
    Arg<AnyMemRef, "", [MemWrite]>:$values, Arg<Optional<AnyMemRef>, "", [MemWrite]>:$keyScales,
    Arg<Optional<AnyMemRef>, "", [MemWrite]>:$valueScales, Kernel_Rows:$starts, StrArrayAttr:$layers);
  let assemblyFormat = [{
    `ins` `(` $key `,` $value `:` type($key) `,` type($value) `)`
    `cache` `(` $keys `,` $values `at` $starts `:` type($keys) `,` type($values) `,` type($starts) `)`
    (`key_scales` `(` $keyScales^ `:` type($keyScales) `)`)? (`value_scales` `(` $valueScales^ `:` type($valueScales) `)`)?
    attr-dict
  }];
  let hasVerifier = 1;
}

def Kernel_BufferOp : Kernel_Op<"buffer"> {
  let summary = "an activation buffer that the memory plan will place";
  let description = "`%q = kernel.buffer tokens : memref<?x64xbf16>`: the symbol is the leading dimension's.";
  let arguments = (ins StrAttr:$symbol);
  let results = (outs Res<AnyMemRef, "", [MemAlloc]>:$buffer);
  let assemblyFormat = "$symbol attr-dict `:` type($buffer)";
}

def Kernel_ThreadIdOp : Kernel_Op<"thread_id", [Pure]> {
  let summary = "index of this thread in the parallel region";
  let results = (outs Index:$id);
  let assemblyFormat = "attr-dict";
}

def Kernel_NumThreadsOp : Kernel_Op<"num_threads", [Pure]> {
  let summary = "threads of the parallel region";
  let results = (outs Index:$count);
  let assemblyFormat = "attr-dict";
}

def Kernel_TraceOp : Kernel_Op<"trace"> {
  let summary = "calls the trace hook after a kernel, from one thread, while the others wait";
  let description = [{
    `hook` points to a callback and its context (lib/Runtime/Trace.h); `kernel`
    is the index into the module's list of traced kernels.
  }];
  let arguments = (ins Arg<AnyType, "", [MemRead, MemWrite]>:$hook, I64Attr:$kernel);
  let assemblyFormat = "$hook `[` $kernel `]` attr-dict `:` type($hook)";
}

def Kernel_YieldOp : Kernel_Op<"yield", [Terminator, Pure]> {
  let summary = "results of an epilogue";
  let arguments = (ins Variadic<AnyFloat>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def Kernel_SeedKernel : OpInterface<"SeedKernel"> {
  let cppNamespace = "::graphc::kernel";
  let description = "A kernel of seed mode, with one destination.";
  let methods = [InterfaceMethod<"What the kernel writes.", "::mlir::Value", "getOut">];
}

include "graphc/IR/KernelSeed.td"

#endif // GRAPHC_IR_KERNELOPS
