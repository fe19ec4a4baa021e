// RUN: graphc-opt %s --verify-diagnostics --split-input-file --layer-pin-cache="pin=bf16;*:auto"

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = auto>>>
// expected-warning@+1 {{pin rule 'bf16' has no effect: later rules override all of it}}
module {
// expected-error@+1 {{keys of slot 'layers.0.self_attention' have no attention to take their type from; pin them}}
layer.graph @no_reader(%cache: !cache) -> (!cache) attributes {input_names = ["cache"]} {
  output cache = %cache : !cache
}
}

// -----

// expected-error@+1 {{pin rule 'bf16': the model has no cache}}
module {
layer.graph @no_cache(%x: tensor<?xf32>) -> (tensor<?xf32>) attributes {input_names = ["x"]} {
  output x = %x : tensor<?xf32>
}
}

// -----

!slot = !layer.attention_cache<2 x 16, cross, keys = auto, values = auto>
!self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
!block = !layer.block_cache<self = !self, cross = !slot>
!cache = !layer.cache<!block>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
// expected-warning@+1 {{has no effect}}
module {
// expected-error@+1 {{keys of slot 'a' are read in more than one compute type; pin them to one}}
layer.graph @two_compute_types(%q: !heads, %positions: !ids, %cache: !cache) -> (!heads, !heads) attributes {input_names = ["q", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %self = get_attention_cache %block self : !block -> !self
  %c = attention "c"(%q) over %self at %positions {scale = 1.0} : (!heads, !self, !ids) -> !heads
  %slot = get_attention_cache %block cross : !block -> !slot
  // expected-note@+1 {{read in 'bf16' here}}
  %a = attention "a"(%q) over %slot at %positions {scale = 1.0} policy<compute = bf16> : (!heads, !slot, !ids) -> !heads
  // expected-note@+1 {{read in 'f16' here}}
  %b = attention "b"(%q) over %slot at %positions {scale = 1.0} policy<compute = f16> : (!heads, !slot, !ids) -> !heads
  output a = %a : !heads, b = %b : !heads
}
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = bf16>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!rows = tensor<?x2x?x16xbf16>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
// expected-warning@+1 {{has no effect}}
module {
// expected-error@+1 {{keys of slot 'a' are pinned to bf16 in the IR, but pin rule '*:auto' asks for f32; write auto there, or leave the slot out of the rule}}
layer.graph @pinned_anew(%q: !heads, %k: !rows, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "positions", "cache"]} {
  %a, %c = cached_attention "a"(%q, %k, %k, %positions) in %cache[0] {scale = 1.0} : !heads, !rows, !rows, !ids, !cache -> !heads
  output a = %a : !heads, cache = %c : !cache
}
}
