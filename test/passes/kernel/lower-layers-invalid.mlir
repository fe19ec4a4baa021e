// RUN: graphc-opt %s --kernel-lower-layers --verify-diagnostics --split-input-file

!ids = tensor<?x?xi32>
// expected-error @+1 {{casts must be explicit before layers become kernels: run layer-materialize-casts}}
layer.graph @main(%input_ids: !ids) -> (!ids) attributes {input_names = ["input_ids"]} {
  output ids = %input_ids : !ids
}

// -----

!slot = !layer.attention_cache<2 x 8, full, keys = f32, values = f32>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!ids = tensor<?x?xi32>
!q = tensor<?x2x?x8xf32>
layer.graph @main(%input_ids: !ids, %q: !q, %cache: !cache) -> (!cache) attributes {input_names = ["input_ids", "q", "cache"], casts = #layer.casts<explicit>} {
  %block = get_block_cache %cache[0] : !cache -> !layer.block_cache<self = !slot>
  %slot = get_attention_cache %block self : !layer.block_cache<self = !slot> -> !slot
  // expected-error @+1 {{layer 'layer.cache_append' (layer.cache_append) has no kernel for these operands}}
  %slot1 = cache_append %slot, %q, %q at %input_ids : !slot, !q, !q, !ids
  output cache = %cache : !cache
}

// -----

!slot = !layer.attention_cache<2 x 8, full, keys = f32, values = f32>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!ids = tensor<?x?xi32>
!q = tensor<?x2x?x8xf32>
!w = tensor<?x2x?x?xbf16>
layer.graph @main(%input_ids: !ids, %q: !q, %cache: !cache) -> (!q, tensor<?x2x?x?xf32>, !cache) attributes {input_names = ["input_ids", "q", "cache"], casts = #layer.casts<explicit>} {
  // expected-error @+1 {{weights of layer 'layers.0.self_attention' must be an output and nothing else}}
  %y, %cache1, %w = cached_attention "layers.0.self_attention"(%q, %q, %q, %input_ids) in %cache[0] {scale = 1.0, causal} : !q, !q, !q, !ids, !cache -> !q weights !w
  %wide = cast %w because ["output=f32 layers.0.self_attention"] : !w to tensor<?x2x?x?xf32>
  output y = %y : !q, w = %wide : tensor<?x2x?x?xf32>, cache = %cache1 : !cache
}

// -----

!ids = tensor<?x?xi32>
!q = tensor<?x2x?x8xf32>
layer.graph @main(%input_ids: !ids, %q: !q) -> (!q) attributes {input_names = ["input_ids", "q"], casts = #layer.casts<explicit>} {
  // expected-error @+1 {{attention 'layers.0.self_attention' must have a cache to be compiled, got none: give the graph one, or run it with 'graphc eval'}}
  %y = attention "layers.0.self_attention"(%q, %q, %q) at %input_ids {scale = 1.0, causal} : (!q, !q, !q, !ids) -> !q
  output y = %y : !q
}

// -----

// Only an encoder may stand beside the graph.
!ids = tensor<?x?xi32>
layer.graph @main(%input_ids: !ids) -> (!ids) attributes {input_names = ["input_ids"], casts = #layer.casts<explicit>} {
  output ids = %input_ids : !ids
}
// expected-error @+1 {{expected one layer.graph in the module beside @encode, got 2}}
layer.graph @other(%input_ids: !ids) -> (!ids) attributes {input_names = ["input_ids"], casts = #layer.casts<explicit>} {
  output ids = %input_ids : !ids
}
