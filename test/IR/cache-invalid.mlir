// One violation of each constraint on cache types, cache operations, and the
// linearity of the cache.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file

// expected-error@+1 {{cache heads and head size must be positive, got 0 x 16}}
!slot = !layer.attention_cache<0 x 16, full, keys = f32, values = f32>

// -----

// expected-error@+1 {{cache dtype must be f32, f16, bf16, int8, f8E4M3FN, f8E5M2 or auto, got 'i4'}}
!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = i4>

// -----

// expected-error@+1 {{window must be positive, got 0}}
!slot = !layer.attention_cache<2 x 16, window 0, keys = f32, values = f32>

// -----

// expected-error@+1 {{block count must be between 1 and 4096}}
!cache = !layer.cache<4097 x !layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>

// -----

// expected-error@+1 {{expected a block cache, got 'f32'}}
!cache = !layer.cache<f32>

// -----

// expected-error@+1 {{policy dtype must be a float type, got 'i32'}}
module attributes {p = #layer.policy<compute = i32>} {}

// -----

// expected-error@+1 {{policy dtype 'f8E4M3FN' must be params': it only stores parameters}}
module attributes {p = #layer.policy<params = f8E5M2, compute = f8E4M3FN>} {}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  // expected-error@+1 {{get_c1: '!layer.cache<!layer.block_cache<self = <2 x 16, full, keys = f32, values = f32>>>' has no such part}}
  %block = get_block_cache %cache[1] : !cache -> !block
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-error@+1 {{get_c1: '!layer.block_cache<self = <2 x 16, full, keys = f32, values = f32>>' has no such part}}
  %s = get_attention_cache %block cross : !block -> !slot
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-error@+1 {{get_c1: part must be '!layer.attention_cache<2 x 16, full, keys = f32, values = f32>', got '!layer.none'}}
  %s = get_attention_cache %block self : !block -> !layer.none
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache, %b: !layer.block_cache<self = !layer.attention_cache<2 x 8, full, keys = f32, values = f32>>) attributes {input_names = ["cache", "b"]} {
  // expected-error@+1 {{put_c1: part must be}}
  %c = put_block_cache %b into %cache[0] : !layer.block_cache<self = !layer.attention_cache<2 x 8, full, keys = f32, values = f32>>, !cache
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache, %k: tensor<?x2x?x8xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["cache", "k", "ids"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-error@+1 {{cache_append_c1: key rows must be (batch, 2, tokens, 16), got 'tensor<?x2x?x8xf32>'}}
  %s = cache_append %slot, %k, %k at %ids : !slot, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x?xi32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xbf16>, %ids: tensor<?x?xi32>) attributes {casts = #layer.casts<explicit>, input_names = ["cache", "k", "v", "ids"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-error@+1 {{cache_append_c2: value rows must have the cache's type 'f32', got 'tensor<?x2x?x16xbf16>'}}
  %s = cache_append %slot, %k, %v at %ids : !slot, tensor<?x2x?x16xf32>, tensor<?x2x?x16xbf16>, tensor<?x?xi32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c1: cache has no block 1}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[1] {scale = 1.0} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x3x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c1: query must be (batch, a multiple of 2, tokens, 16), got}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0} : tensor<?x3x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x3x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x4x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c1: value rows must be (batch, 2, tokens, 16), got}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x4x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c2: result must have the query's shape, got}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x8xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf16>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c3: key rows must have the cache's type 'f32', got 'tensor<?x2x?x16xf16>'}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf16>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = int8, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xbf16>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c3: key rows of an 8-bit slot must fit the query's type, got 'tensor<?x2x?x16xf32>'}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0} : tensor<?x4x?x16xbf16>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xbf16>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f8E4M3FN, values = f8E5M2>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%k: tensor<?x2x?x16xf8E4M3FN>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {casts = #layer.casts<explicit>, input_names = ["k", "ids", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-error@+1 {{cache_append_c2: key rows of an 8-bit slot must fit the query's type, got 'tensor<?x2x?x16xf8E4M3FN>'}}
  %s = cache_append %slot, %k, %k at %ids : !slot, tensor<?x2x?x16xf8E4M3FN>, tensor<?x2x?x16xf8E4M3FN>, tensor<?x?xi32>
  output
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, window 8, keys = auto, values = auto>>>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c4: a ring of window 8 needs an attention window of at most that}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0, causal, window = 9 : i64} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // expected-error@+1 {{cached_attention_c4: window must be positive and needs causal}}
  %a, %c = cached_attention "a"(%q, %k, %v, %ids) in %cache[0] {scale = 1.0, window = 4 : i64} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache, %ids: tensor<?x?xi32>) attributes {input_names = ["cache", "ids"]} {
  // expected-note@+1 {{also consumed here}}
  %c = cache_advance %cache by %ids : !cache, tensor<?x?xi32>
  // expected-error@+1 {{cache_c1: a cache value is consumed at most once}}
  %d = cache_advance %cache by %ids : !cache, tensor<?x?xi32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache, %ids: tensor<?x?xi32>) attributes {input_names = ["cache", "ids"]} {
  // expected-note@+1 {{updated here}}
  %c = cache_advance %cache by %ids : !cache, tensor<?x?xi32>
  // expected-error@+1 {{cache_c2: reads a cache value after its in-place update}}
  %l = cache_offset %cache : !cache -> tensor<?xi32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  // expected-note@+1 {{taken out here}}
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-error@+1 {{cache_c3: this part of the cache is already out}}
  %b = get_block_cache %cache[0] : !cache -> !block
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-note@+1 {{taken out here}}
  %slot = get_attention_cache %block self : !block -> !slot
  // expected-error@+1 {{cache_c3: this part of the cache is already out}}
  %s = get_attention_cache %block self : !block -> !slot
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<2 x !block>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  // expected-error@+1 {{cache_c4: a put returns what came from the get of the same path}}
  %c = put_block_cache %block into %cache[1] : !block, !cache
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
layer.graph @g(%k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %slot: !slot) -> (!slot) attributes {input_names = ["k", "ids", "slot"]} {
  // expected-error@+1 {{cache_store_c1: expected a cross slot, got}}
  %s = cache_store "s"(%k, %k, %ids) into %slot : tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !slot
  output slot = %s : !slot
}

// -----

!slot = !layer.attention_cache<2 x 16, cross, keys = f32, values = f32>
layer.graph @g(%k: tensor<?x2x?x8xf32>, %ids: tensor<?x?xi32>, %slot: !slot) -> (!slot) attributes {input_names = ["k", "ids", "slot"]} {
  // expected-error@+1 {{cache_store_c2: key rows must be (batch, 2, tokens, 16), got}}
  %s = cache_store "s"(%k, %k, %ids) into %slot : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x?xi32>, !slot
  output slot = %s : !slot
}

// -----

!slot = !layer.attention_cache<2 x 16, cross, keys = f32, values = bf16>
layer.graph @g(%k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %slot: !slot) -> (!slot) attributes {casts = #layer.casts<explicit>, input_names = ["k", "ids", "slot"]} {
  // expected-error@+1 {{cache_store_c3: value rows must have the cache's type 'bf16', got 'tensor<?x2x?x16xf32>'}}
  %s = cache_store "s"(%k, %k, %ids) into %slot : tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !slot
  output slot = %s : !slot
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!q = tensor<?x4x?x16xf32>
!k = tensor<?x2x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @g(%q: !q, %k: !k, %ids: !ids, %t: tensor<8x2xf32>, %cache: !cache) -> (!cache) attributes {input_names = ["q", "k", "ids", "t", "cache"]} {
  // expected-error@+1 {{cached_attention_c5: bias must be (buckets, 4), got 'tensor<8x2xf32>'}}
  %a, %c = cached_attention "a"(%q, %k, %k, %ids) bias %t <max_distance = 16> in %cache[0] {causal, scale = 1.0} : !q, !k, !k, !ids, !cache bias tensor<8x2xf32> -> !q
  output cache = %c : !cache
}
