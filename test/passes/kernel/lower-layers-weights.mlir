// Requested weights are one more destination of the same kernel, an output of the
// step: (tokens, heads, capacity), also where the slot is a ring.
// RUN: graphc-opt %s --kernel-lower-layers | FileCheck %s

!ring = !layer.attention_cache<2 x 8, window 16, keys = f32, values = f32>
!cache = !layer.cache<!layer.block_cache<self = !ring>>
!ids = tensor<?x?xi32>
!q = tensor<?x4x?x8xf32>
!k = tensor<?x2x?x8xf32>
!w = tensor<?x4x?x?xbf16>

// CHECK-LABEL: func.func @graphc_prefill
// CHECK-SAME: %[[W:[a-z0-9]+]]: memref<?x4x?xbf16> {kernel.binding = {dims = ["tokens", 4, "capacity"], kind = "output", name = "attentions.0"}}
// CHECK-SAME: {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "window:16", 8], kind = "cache", name = "keys"}}
// CHECK: kernel.cached_attention {{.*}} weights(%[[W]] : memref<?x4x?xbf16>)
// CHECK-SAME: kernel.values = ["layers.0.self_attention", "layers.0.self_attention weights"]
// CHECK-SAME: ring
layer.graph @main(%input_ids: !ids, %cache: !cache) -> (!layer.container<!w>, tensor<?x?x32xf32>, !cache) attributes {input_names = ["input_ids", "cache"], casts = #layer.casts<explicit>} {
  %offset = cache_offset %cache : !cache -> tensor<?xi32>
  %at = positions %offset for %input_ids : (tensor<?xi32>, !ids) -> !ids
  %t = param @table : tensor<61x32xf32>
  %x = embedding "embedder"(%input_ids, %t) : (!ids, tensor<61x32xf32>) -> tensor<?x?x32xf32>
  %q = split_heads "layers.0.heads"(%x) {heads = 4} : (tensor<?x?x32xf32>) -> !q
  %s = slice "layers.0.slice"(%x) {offset = 0, size = 16} : (tensor<?x?x32xf32>) -> tensor<?x?x16xf32>
  %k = split_heads "layers.0.key_heads"(%s) {heads = 2} : (tensor<?x?x16xf32>) -> !k
  %y, %cache1, %w = cached_attention "layers.0.self_attention"(%q, %k, %k, %at) in %cache[0] {scale = 1.0, causal, window = 16} : !q, !k, !k, !ids, !cache -> !q weights !w
  %m = merge_heads "layers.0.merge"(%y) : (!q) -> tensor<?x?x32xf32>
  %cache2 = cache_advance %cache1 by %at : !cache, !ids
  %c = container "attentions"(%w) : (!w) -> !layer.container<!w>
  output attentions = %c : !layer.container<!w>, y = %m : tensor<?x?x32xf32>, cache = %cache2 : !cache
}
layer.parameter @table : tensor<61x32xf32> from "table"
