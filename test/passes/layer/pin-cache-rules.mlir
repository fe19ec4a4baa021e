// Rules by layer: ranges, sides, later ones win, the IR's own types come first.
// RUN: graphc-opt %s --layer-pin-cache="pin=bf16;layers.1-2:f32;layers.2:v=auto;name:*.2.cross_attention:k=bf16" | FileCheck %s
// RUN: graphc-opt %s --layer-pin-cache | FileCheck %s --check-prefix=WRITTEN

// CHECK-DAG: [[S0:!slot.*]] = !layer.attention_cache<2 x 16, full, keys = bf16, values = bf16>
// CHECK-DAG: [[S1:!slot.*]] = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
// CHECK-DAG: [[S2:!slot.*]] = !layer.attention_cache<2 x 16, window 8, keys = f32, values = f16>
// CHECK-DAG: [[X2:!slot.*]] = !layer.attention_cache<4 x 16, cross, keys = bf16, values = f32>

// WRITTEN-DAG: !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
// WRITTEN-DAG: !layer.attention_cache<2 x 16, window 8, keys = f16, values = f16>
// WRITTEN-DAG: !layer.attention_cache<4 x 16, cross, keys = bf16, values = f32>
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!ring = !layer.attention_cache<2 x 16, window 8, keys = auto, values = auto>
!cross = !layer.attention_cache<4 x 16, cross, keys = bf16, values = auto>
!block = !layer.block_cache<self = !slot>
!last = !layer.block_cache<self = !ring, cross = !cross>
!cache = !layer.cache<2 x !block, !last>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @g(%q: !heads, %k: !kv, %positions: !ids, %cache: !cache) -> (!heads, !heads, !heads, !heads, !cache) attributes {input_names = ["q", "k", "positions", "cache"]} {
  %a, %c1 = cached_attention "layers.0.self_attention"(%q, %k, %k, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
  %b, %c2 = cached_attention "layers.1.self_attention"(%q, %k, %k, %positions) in %c1[1] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
  %c, %c3 = cached_attention "layers.2.self_attention"(%q, %k, %k, %positions) in %c2[2] {scale = 1.0, causal, window = 8 : i64} policy<compute = f16> : !heads, !kv, !kv, !ids, !cache -> !heads
  %block = get_block_cache %c3[2] : !cache -> !last
  %cross = get_attention_cache %block cross : !last -> !cross
  %d = attention "layers.2.cross_attention"(%q) over %cross at %positions {scale = 1.0} : (!heads, !cross, !ids) -> !heads
  output a = %a : !heads, b = %b : !heads, c = %c : !heads, d = %d : !heads, cache = %c3 : !cache
}
