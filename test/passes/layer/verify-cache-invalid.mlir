// Each way to break the contract that the op verifiers let through.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file --layer-verify-cache

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = auto>>>
// expected-error@+1 {{contract: slot 'layers.0.self_attention' is not pinned; run layer-pin-cache}}
layer.graph @not_pinned(%cache: !cache) -> (!cache) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  output cache = %cache : !cache
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>
// expected-error@+1 {{casts must be explicit before the cache is verified; run layer-materialize-casts}}
layer.graph @implicit(%cache: !cache) -> (!cache) attributes {input_names = ["cache"]} {
  output cache = %cache : !cache
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>
// expected-error@+1 {{contract: cache argument 'cache' is not among the outputs}}
layer.graph @not_returned(%x: tensor<?xf32>, %cache: !cache) -> (tensor<?xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x", "cache"]} {
  output x = %x : tensor<?xf32>
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
// expected-note@+2 {{from here}}
// expected-error@+1 {{contract: cache argument 'cache' is not among the outputs}}
layer.graph @returns_a_part(%cache: !cache) -> (!block) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  // expected-note@+1 {{through 'layer.get_block_cache'}}
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-error@+1 {{contract: output cache must be a new version of one argument}}
  output cache = %block : !block
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!ids = tensor<?x?xi32>
// expected-note@+1 {{from here}}
layer.graph @loses_an_update(%k: !kv, %positions: !ids, %cache: !cache) -> (!cache) attributes {casts = #layer.casts<explicit>, input_names = ["k", "positions", "cache"]} {
  // expected-note@+1 {{through 'layer.get_block_cache'}}
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-note@+1 {{through 'layer.get_attention_cache'}}
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-error@+1 {{contract: update by 'layer.cache_append' is lost: it reaches no output}}
  %slot1 = cache_append %slot, %k, %k at %positions : !slot, !kv, !kv, !ids
  output cache = %cache : !cache
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f16, values = f16>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!kv = tensor<?x2x?x16xf16>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
// expected-note@+1 {{made here}}
layer.graph @reads_rows_past_the_cache(%q: !heads, %k: tensor<?x2x?x16xf32>, %positions: !ids, %cache: !cache) -> (!heads, !heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "positions", "cache"]} {
  %kh = cast %k : tensor<?x2x?x16xf32> to !kv
  // expected-note@+1 {{stored here}}
  %a, %cache1 = cached_attention "attend"(%q, %kh, %kh, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
  // expected-error@+1 {{contract: attention 'again' reads new rows past the cache}}
  %b = attention "again"(%q, %k, %k) at %positions {scale = 1.0} : (!heads, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, !ids) -> !heads
  output a = %a : !heads, b = %b : !heads, cache = %cache1 : !cache
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>
// expected-note@+2 {{from here}}
// expected-error@+1 {{contract: cache argument 'cache' is not among the outputs}}
layer.graph @hides_the_cache(%cache: !cache) -> (!layer.container<!cache>) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  // expected-error@+1 {{contract: 'layer.container' must not touch a cache}}
  %c = container "c"(%cache) : (!cache) -> !layer.container<!cache>
  output c = %c : !layer.container<!cache>
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = int8, values = int8>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!rows = tensor<?x2x?x16xbf16>
!ids = tensor<?x?xi32>
// expected-note@+1 {{made here}}
layer.graph @reads_rows_before_they_are_quantised(%q: tensor<?x4x?x16xbf16>, %k: !rows, %positions: !ids, %cache: !cache) -> (tensor<?x4x?x16xbf16>, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-note@+1 {{stored here}}
  %slot1 = cache_append %slot, %k, %k at %positions : !slot, !rows, !rows, !ids
  // expected-error@+1 {{contract: attention 'a' reads new rows past the cache}}
  %a = attention "a"(%q, %k, %k) at %positions {scale = 1.0} : (tensor<?x4x?x16xbf16>, !rows, !rows, !ids) -> tensor<?x4x?x16xbf16>
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output a = %a : tensor<?x4x?x16xbf16>, cache = %cache1 : !cache
}

// -----

// The encoder and the decoder share one memory.
!self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!wide = !layer.cache<!layer.block_cache<self = !self, cross = !layer.attention_cache<2 x 16, cross, keys = f32, values = f32>>>
!narrow = !layer.cache<!layer.block_cache<self = !self, cross = !layer.attention_cache<2 x 16, cross, keys = bf16, values = f32>>>
// expected-note@+1 {{here it is '!layer.cache<}}
layer.graph @encode(%cache: !wide) -> (!wide) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  output cache = %cache : !wide
}
// expected-error@+1 {{contract: cache 'cache' must have one type in all graphs, got '!layer.cache<}}
layer.graph @main(%cache: !narrow) -> (!narrow) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  output cache = %cache : !narrow
}
