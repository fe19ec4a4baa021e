// Cache operations: get and put of blocks and slots, append, offset, advance,
// and the fused attention that owns its slot. No op reads a cache as a tensor.

def Layer_CacheOffsetOp : Layer_Op<"cache_offset", [Pure, DeclareOpInterfaceMethods<Layer_CacheOp>]> {
  let summary = "number of rows each sequence has in the cache: tensor<?xi32> (batch)";
  let arguments = (ins AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$cache);
  let results = (outs Layer_IntTensor:$offset);
  let assemblyFormat = "$cache attr-dict `:` type($cache) `->` type($offset)";
}

def Layer_PositionsOp : Layer_Op<"positions", [Pure, AttrSizedOperandSegments]> {
  let summary = "position of each new token: offset + number of earlier visible tokens; -1 for padding";
  let description = [{
    offset (batch; absent: 0), ids and mask (batch, tokens; mask absent: all
    visible). A token whose mask is 0 is padding and has position -1.
  }];
  let arguments = (ins Optional<Layer_IntTensor>:$offset, Layer_IntTensor:$ids,
                       Optional<AnyTypeOf<[Layer_IntTensor, Layer_NoneType]>>:$mask);
  let results = (outs Layer_IntTensor:$y);
  let assemblyFormat = "custom<OffsetAndIds>($offset, $ids) (`mask` $mask^)? attr-dict `:` functional-type(operands, results)";
}

def Layer_GetBlockCacheOp : Layer_Op<"get_block_cache", [Pure,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["inferCacheTypes"]>]> {
  let summary = "takes a block out of the cache. get_c1: the block exists and has the result's type";
  let arguments = (ins AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$cache, I64Attr:$block);
  let results = (outs AnyTypeOf<[Layer_BlockCacheType, Layer_NoneType]>:$part);
  let assemblyFormat = "$cache `[` $block `]` attr-dict `:` type($cache) `->` type($part)";
  let hasVerifier = 1;
}

def Layer_GetAttentionCacheOp : Layer_Op<"get_attention_cache", [Pure,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["inferCacheTypes"]>]> {
  let summary = "takes a slot out of a block. get_c1: the slot exists and has the result's type";
  let arguments = (ins AnyTypeOf<[Layer_BlockCacheType, Layer_NoneType]>:$cache, UnitAttr:$cross);
  let results = (outs AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$part);
  let assemblyFormat = "$cache (`cross` $cross^):(`self`)? attr-dict `:` type($cache) `->` type($part)";
  let hasVerifier = 1;
}

def Layer_CacheAppendOp : Layer_Op<"cache_append", [Pure, AllTypesMatch<["cache", "updated"]>,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache", "getRowElement"]>]> {
  let summary = "writes new rows behind the old ones";
  let description = [{
    key and value are (batch, kvHeads, tokens, headDim); the row of a token with
    position p >= 0 becomes row p of its sequence; padding is left out.
    cache_append_c1: heads and head size are the slot's; cache_append_c2: once
    pinned and casts are explicit, rows have the pinned types; rows of an 8-bit
    slot have a compute type, and are quantised here.
  }];
  let arguments = (ins AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$cache, Layer_FloatTensor:$key,
                       Layer_FloatTensor:$value, Layer_IntTensor:$positions);
  let results = (outs AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$updated);
  let assemblyFormat = [{
    $cache `,` $key `,` $value `at` $positions attr-dict `:` type($cache) `,` type($key) `,` type($value) `,` type($positions)
  }];
  let hasVerifier = 1;
}

def Layer_CacheStoreOp : Layer_NamedOp<"cache_store",
    (ins Layer_FloatTensor:$key, Layer_FloatTensor:$value, Layer_IntTensor:$positions,
         AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$cache),
    (outs AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$updated),
    [AllTypesMatch<["cache", "updated"]>, DeclareOpInterfaceMethods<Layer_PolicyLayer, ["getSelectedKind"]>,
     DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache", "getRowElement"]>]> {
  let summary = "writes a cross slot whole: the rows of this call replace what a sequence had";
  let description = [{
    key and value are (batch, kvHeads, tokens, headDim); the row of a token with
    position p >= 0 becomes row p of its sequence, which then has as many rows as
    tokens; a sequence without tokens in the call keeps its rows. The op is the
    writing half of the attention that reads the slot in the decoder's graph: it
    has that layer's name, and rules select both alike, so that stored =
    pin(rd_C(row)) with the C of that attention (numerics A1).
    cache_store_c1: the slot is a cross slot; cache_store_c2: heads and head size
    are the slot's; cache_store_c3: once pinned and casts are explicit, rows have
    the pinned types.
  }];
  let assemblyFormat = [{
    $name `(` $key `,` $value `,` $positions `)` `into` $cache attr-dict (`policy` `` $policy^)? `:`
    type($key) `,` type($value) `,` type($positions) `,` type($cache)
  }];
  let hasVerifier = 1;
}

def Layer_PutAttentionCacheOp : Layer_Op<"put_attention_cache", [Pure, AllTypesMatch<["cache", "updated"]>,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache"]>]> {
  let summary = "puts a slot back into its block. put_c1: the slot has the block's type";
  let arguments = (ins AnyTypeOf<[Layer_BlockCacheType, Layer_NoneType]>:$cache,
                       AnyTypeOf<[Layer_AttentionCacheType, Layer_NoneType]>:$part, UnitAttr:$cross);
  let results = (outs AnyTypeOf<[Layer_BlockCacheType, Layer_NoneType]>:$updated);
  let assemblyFormat = "$part `into` $cache (`cross` $cross^):(`self`)? attr-dict `:` type($part) `,` type($cache)";
  let hasVerifier = 1;
}

def Layer_PutBlockCacheOp : Layer_Op<"put_block_cache", [Pure, AllTypesMatch<["cache", "updated"]>,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache"]>]> {
  let summary = "puts a block back into the cache. put_c1: the block has the cache's type";
  let arguments = (ins AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$cache,
                       AnyTypeOf<[Layer_BlockCacheType, Layer_NoneType]>:$part, I64Attr:$block);
  let results = (outs AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$updated);
  let assemblyFormat = "$part `into` $cache `[` $block `]` attr-dict `:` type($part) `,` type($cache)";
  let hasVerifier = 1;
}

def Layer_CacheAdvanceOp : Layer_Op<"cache_advance", [Pure, AllTypesMatch<["cache", "updated"]>,
    DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache"]>]> {
  let summary = "adds to each sequence's length the number of its new tokens that are not padding";
  let arguments = (ins AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$cache, Layer_IntTensor:$positions);
  let results = (outs AnyTypeOf<[Layer_CacheType, Layer_NoneType]>:$updated);
  let assemblyFormat = "$cache `by` $positions attr-dict `:` type($cache) `,` type($positions)";
}

def Layer_CachedAttentionOp : Layer_CriticalLayer<"cached_attention",
    (ins Layer_FloatTensor:$query, Layer_FloatTensor:$key, Layer_FloatTensor:$value, Layer_IntTensor:$positions,
         Optional<Layer_FloatTensor>:$bias, Layer_CacheType:$cache, I64Attr:$block,
         OptionalAttr<Layer_RelativeBiasAttr>:$relative, F64Attr:$scale, UnitAttr:$causal,
         OptionalAttr<I64Attr>:$window),
    (outs Layer_FloatTensor:$y, Layer_CacheType:$updated, Optional<Layer_FloatTensor>:$weights),
    [AllTypesMatch<["cache", "updated"]>, DeclareOpInterfaceMethods<Layer_CacheOp, ["consumesCache", "getRowElement"]>]> {
  let summary = "attention that owns its slot: reads old rows, attends over old and new, writes the new rows in place";
  let description = [{
    The meaning of `cache_append` then `attention .. over`, for the self slot of
    block `block`. Every visible row, the new ones too, is read as the cache
    holds it. cached_attention_c1: the block exists, kvHeads divides heads,
    head sizes are the slot's; cached_attention_c2: y's shape is the query's;
    cached_attention_c3: once pinned and casts are explicit, key and value rows
    have the pinned types, or for an 8-bit slot, where this op quantises them, a
    type that the query's holds; cached_attention_c4: window is positive, needs
    causal, and is at most a ring slot's window; cached_attention_c5: bias and
    relative as attention_c6 has them.
  }];
  let hasVerifier = 1;
  let assemblyFormat = [{
    $name `(` $query `,` $key `,` $value `,` $positions `)` (`bias` $bias^ $relative)? `in` $cache `[` $block `]`
    attr-dict (`policy` `` $policy^)? `:` type($query) `,` type($key) `,` type($value) `,` type($positions)
    `,` type($cache) (`bias` type($bias)^)? `->` type($y) (`weights` type($weights)^)?
  }];
}
