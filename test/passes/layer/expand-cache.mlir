// RUN: graphc-opt %s --layer-expand-cache | FileCheck %s
// RUN: graphc-opt %s --layer-expand-cache -o %t.once && graphc-opt %t.once --layer-expand-cache | diff %t.once -
// RUN: graphc-opt %s --layer-pipeline="seed policy=compute=bf16,output=f32" -o %t.seed
// RUN: grep -c 'because \["compute=bf16 cache.[01].put by materialize-casts"\]' %t.seed | FileCheck %s --check-prefix=PUTS
// RUN: not grep 'layer.cache\|cache_append' %t.seed

// A step narrows 2 L (L + 1) whole tensors in put_block_cache alone: 12 for the
// two layers here, 1,624 for 28.
// PUTS: {{^}}12{{$}}

// CHECK-LABEL: layer.graph @two_blocks
// CHECK-SAME: %cache: !layer.container<tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>, tensor<i32>, tensor<?x?xi32>>) -> (tensor<?x4x?x16xf32>, !layer.container<
// CHECK-NEXT: %[[C:.*]]:6 = unpack %cache
// CHECK-NEXT: %[[L:.*]] = seed_lengths %[[C]]#5 : tensor<?x?xi32> -> tensor<?xi32>
// CHECK-NEXT: %[[P:.*]] = positions %[[L]] for %ids
// CHECK-NEXT: %[[B:.*]]:2 = seed_get "cache.0.get"(%[[C]]#0, %[[C]]#1, %[[C]]#2, %[[C]]#3) {first = 0 : i64} policy<compute = f16>
// CHECK-NEXT: %[[S:.*]]:2 = seed_get "cache.0.self.get"(%[[B]]#0, %[[B]]#1) {first = 0 : i64} policy<compute = f16>

// The new rows are marked, repeated to query heads, then written.
// CHECK-NEXT: %[[O:.*]] = seed_offset "cache.offset"(%[[C]]#0, %[[C]]#1, %[[C]]#2, %[[C]]#3, %[[C]]#4)
// CHECK-NEXT: %[[M:.*]] = seed_merge_mask %[[C]]#5, %[[P]] at %[[O]]
// CHECK-NEXT: %[[KP:.*]] = seed_key_positions %[[M]]
// CHECK-NEXT: %[[R:.*]] = repeat_heads "layers.0.self_attention.key.repeat"(%k) {times = 2 : i64} policy<compute = f16>
// CHECK-NEXT: %[[K:.*]] = seed_update "layers.0.self_attention.key.update"(%[[S]]#0, %[[R]], %[[O]]) policy<compute = f16>
// CHECK-NEXT: %[[RV:.*]] = repeat_heads "layers.0.self_attention.value.repeat"(%k)
// CHECK-NEXT: %[[V:.*]] = seed_update "layers.0.self_attention.value.update"(%[[S]]#1, %[[RV]], %[[O]])
// CHECK-NEXT: %[[A:.*]] = seed_attention "layers.0.self_attention"(%q, %[[K]], %[[V]], %[[P]], %[[KP]]) {causal, note = "kept", scale = 1.000000e+00 : f64} policy<compute = f16>
// CHECK-NEXT: %[[B1:.*]]:2 = seed_put "cache.0.self.put"(%[[B]]#0, %[[B]]#1, %[[K]], %[[V]]) {first = 0 : i64}
// CHECK-NEXT: %[[C1:.*]]:4 = seed_put "cache.0.put"(%[[C]]#0, %[[C]]#1, %[[C]]#2, %[[C]]#3, %[[B1]]#0, %[[B1]]#1) {first = 0 : i64}

// The second block: leaves 2 and 3; offset and mask are there already.
// CHECK-NEXT: %[[D:.*]]:2 = seed_get "cache.1.get"(%[[C1]]#0, %[[C1]]#1, %[[C1]]#2, %[[C1]]#3) {first = 2 : i64}
// CHECK-NOT: seed_offset
// CHECK: %[[C2:.*]]:4 = seed_put "cache.1.put"({{.*}}) {first = 2 : i64}
// CHECK-NEXT: %[[N:.*]]:5 = seed_advance "cache.advance"(%[[C2]]#0, %[[C2]]#1, %[[C2]]#2, %[[C2]]#3, %[[O]], %[[P]])
// CHECK-NEXT: %[[OUT:.*]] = container "cache"(%[[N]]#0, %[[N]]#1, %[[N]]#2, %[[N]]#3, %[[N]]#4, %[[M]])
// CHECK-NEXT: output a = %{{.*}}, cache = %[[OUT]]
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<2 x !block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @two_blocks(%q: !heads, %k: !kv, %ids: !ids, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "k", "ids", "cache"]} {
  %lengths = cache_offset %cache : !cache -> tensor<?xi32>
  %positions = positions %lengths for %ids : (tensor<?xi32>, !ids) -> !ids
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %k at %positions : !slot, !kv, !kv, !ids
  %a = attention "layers.0.self_attention"(%q) over %slot1 at %positions {causal, note = "kept", scale = 1.0} policy<compute = f16> : (!heads, !slot, !ids) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  %next = get_block_cache %cache1[1] : !cache -> !block
  %slot2 = get_attention_cache %next self : !block -> !slot
  %slot3 = cache_append %slot2, %k, %k at %positions : !slot, !kv, !kv, !ids
  %b = attention "layers.1.self_attention"(%a) over %slot3 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
  %next1 = put_attention_cache %slot3 into %next self : !slot, !block
  %cache2 = put_block_cache %next1 into %cache1[1] : !block, !cache
  %cache3 = cache_advance %cache2 by %positions : !cache, !ids
  output a = %b : !heads, cache = %cache3 : !cache
}

// CHECK-LABEL: layer.graph @leaves_attention_over_tensors_alone
// CHECK-NEXT: attention "direct"(%q, %k, %k) at %ids
layer.graph @leaves_attention_over_tensors_alone(%q: !heads, %k: !kv, %ids: !ids) -> (!heads) attributes {input_names = ["q", "k", "ids"]} {
  %a = attention "direct"(%q, %k, %k) at %ids {scale = 1.0} : (!heads, !kv, !kv, !ids) -> !heads
  output a = %a : !heads
}
