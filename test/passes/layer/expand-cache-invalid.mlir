// RUN: graphc-opt %s --verify-diagnostics --split-input-file --layer-expand-cache

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>
// expected-error@+1 {{cache must be expanded before casts are explicit; the policy has to reach it}}
layer.graph @explicit(%cache: !cache) -> (!cache) attributes {casts = #layer.casts<explicit>, input_names = ["cache"]} {
  output cache = %cache : !cache
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>>>
layer.graph @hidden(%cache: !cache) -> (!cache) attributes {input_names = ["cache"]} {
  // expected-error@+1 {{takes a cache; seed mode has no form for that}}
  %c = optional "c"(%cache) : (!cache) -> !cache
  output cache = %c : !cache
}

// -----

!cross = !layer.attention_cache<2 x 16, cross, keys = auto, values = auto>
!block = !layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>, cross = !cross>
!cache = !layer.cache<!block>
!heads = tensor<?x4x?x16xf32>
layer.graph @cross(%q: !heads, %ids: tensor<?x?xi32>, %cache: !cache) -> (!heads) attributes {input_names = ["q", "ids", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %cross = get_attention_cache %block cross : !block -> !cross
  // expected-error@+1 {{'x' reads a cross slot; seed mode covers self attention}}
  %a = attention "x"(%q) over %cross at %ids {scale = 1.0} : (!heads, !cross, tensor<?x?xi32>) -> !heads
  output a = %a : !heads
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>>>
!heads = tensor<?x2x?x16xf32>
layer.graph @fused(%q: !heads, %ids: tensor<?x?xi32>, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "ids", "cache"]} {
  // expected-error@+1 {{has no form in seed mode; run layer-expand-cache before layer-fuse-cache}}
  %a, %c = cached_attention "x"(%q, %q, %q, %ids) in %cache[0] {scale = 1.0} : !heads, !heads, !heads, tensor<?x?xi32>, !cache -> !heads
  output a = %a : !heads, cache = %c : !cache
}
