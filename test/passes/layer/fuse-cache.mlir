// RUN: graphc-opt %s --split-input-file --layer-fuse-cache 2>%t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK --input-file=%t
// RUN: graphc-opt %s --split-input-file --layer-fuse-cache 2>/dev/null | graphc-opt --split-input-file --layer-fuse-cache 2>/dev/null | FileCheck %s

// The example of the pass's documentation.
// CHECK-LABEL: layer.graph @fuses_the_way_out_and_back
// CHECK-NEXT: %[[A:.*]], %[[CACHE:.*]] = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {causal, scale = 1.000000e+00 : f64} : tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xf32>
// CHECK-NEXT: output a = %[[A]] : tensor<?x4x?x16xf32>, cache = %[[CACHE]] : !cache
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @fuses_the_way_out_and_back(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
  %a = attention "attend"(%q) over %slot1 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output a = %a : !heads, cache = %cache1 : !cache
}

// -----

// Requested weights are one more result. Name, policy, window and other
// attributes are the attention's; casts of the rows do not stand in the way.
// CHECK-LABEL: layer.graph @keeps_weights_policy_and_attributes_under_casts
// CHECK: %[[A:.*]], %[[C:.*]], %[[W:.*]] = cached_attention "attend"(%q, %[[K:.*]], %[[V:.*]], %positions) in %cache[0] {causal, note = "kept", scale = 1.000000e+00 : f64, window = 8 : i64} policy<compute = bf16, output = f32> : {{.*}}, !cache -> tensor<?x4x?x16xf32> weights tensor<?x4x?x?xf32>
// CHECK-NEXT: output w = %[[W]] : tensor<?x4x?x?xf32>, cache = %[[C]] : !cache
!slot = !layer.attention_cache<2 x 16, window 8, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!kvb = tensor<?x2x?x16xbf16>
!heads = tensor<?x4x?x16xf32>
!weights = tensor<?x4x?x?xf32>
!ids = tensor<?x?xi32>
layer.graph @keeps_weights_policy_and_attributes_under_casts(%q: tensor<?x4x?x16xbf16>, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!weights, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %kb = cast %k : !kv to !kvb
  %vb = cast %v : !kv to !kvb
  %slot1 = cache_append %slot, %kb, %vb at %positions : !slot, !kvb, !kvb, !ids
  %a, %w = attention "attend"(%q) over %slot1 at %positions {causal, note = "kept", scale = 1.0, window = 8 : i64} policy<compute = bf16, output = f32> : (tensor<?x4x?x16xbf16>, !slot, !ids) -> (!heads, !weights)
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output w = %w : !weights, cache = %cache1 : !cache
}

// -----

// Both blocks are taken out before either goes back, and the second put stands
// before the use of its attention's result.
// CHECK-LABEL: layer.graph @fuses_when_gets_are_interleaved
// CHECK-NEXT: %[[A:.*]], %[[C1:.*]] = cached_attention "first"(%q, %k, %v, %positions) in %cache[0]
// CHECK-NEXT: %[[B:.*]], %[[C2:.*]] = cached_attention "second"(%[[A]], %k, %v, %positions) in %[[C1]][1]
// CHECK-NEXT: output a = %[[B]] : tensor<?x4x?x16xf32>, cache = %[[C2]] : !cache
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<2 x !block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @fuses_when_gets_are_interleaved(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %other = get_block_cache %cache[1] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
  %a = attention "first"(%q) over %slot1 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  %slot2 = get_attention_cache %other self : !block -> !slot
  %slot3 = cache_append %slot2, %k, %v at %positions : !slot, !kv, !kv, !ids
  %b = attention "second"(%a) over %slot3 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %other1 = put_attention_cache %slot3 into %other self : !slot, !block
  %cache2 = put_block_cache %other1 into %cache1[1] : !block, !cache
  output a = %b : !heads, cache = %cache2 : !cache
}

// -----

// The blocks go back at the very end, after uses of the attention's result.
// CHECK-LABEL: layer.graph @fuses_at_the_attention_when_puts_come_late
// CHECK-NEXT: %[[A:.*]], %[[C1:.*]] = cached_attention "attend"
// CHECK-NEXT: %[[M:.*]] = merge_heads "merge"(%[[A]])
// CHECK-NEXT: output m = %[[M]] : tensor<?x?x64xf32>, cache = %[[C1]] : !cache
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @fuses_at_the_attention_when_puts_come_late(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (tensor<?x?x64xf32>, !cache) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
  %a = attention "attend"(%q) over %slot1 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %m = merge_heads "merge"(%a) : (!heads) -> tensor<?x?x64xf32>
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output m = %m : tensor<?x?x64xf32>, cache = %cache1 : !cache
}

// -----

// What must not fuse, each with its reason: a cross slot, an attention at other
// positions, two attentions on one slot, and one without a cache.
// CHECK-LABEL: layer.graph @says_why_not
// CHECK-COUNT-5: = attention "
// CHECK-NOT: cached_attention
// REMARK-NOT: 'cross'
// REMARK: remark: attention 'positions' is not fused with its cache: its positions are not those of the cache_append
// REMARK: remark: attention 'one' is not fused with its cache: another op reads the slot
// REMARK: remark: attention 'two' is not fused with its cache: another op reads the slot
// REMARK-NOT: 'direct'
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!cross = !layer.attention_cache<2 x 16, cross, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot, cross = !cross>
!cache = !layer.cache<2 x !block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @says_why_not(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %others: !ids, %cache: !cache) -> (!heads, !heads, !heads, !heads, !heads, !cache) attributes {input_names = ["q", "k", "v", "positions", "others", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %cross = get_attention_cache %block cross : !block -> !cross
  %x = attention "cross"(%q) over %cross at %positions {scale = 1.0} : (!heads, !cross, !ids) -> !heads
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
  %p = attention "positions"(%q) over %slot1 at %others {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  %other = get_block_cache %cache1[1] : !cache -> !block
  %slot2 = get_attention_cache %other self : !block -> !slot
  %slot3 = cache_append %slot2, %k, %v at %positions : !slot, !kv, !kv, !ids
  %a = attention "one"(%q) over %slot3 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %b = attention "two"(%q) over %slot3 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %other1 = put_attention_cache %slot3 into %other self : !slot, !block
  %cache2 = put_block_cache %other1 into %cache1[1] : !block, !cache
  %d = attention "direct"(%q, %k, %v) at %positions {scale = 1.0} : (!heads, !kv, !kv, !ids) -> !heads
  output x = %x : !heads, p = %p : !heads, a = %a : !heads, b = %b : !heads, d = %d : !heads, cache = %cache2 : !cache
}
