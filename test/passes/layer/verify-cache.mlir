// RUN: graphc-opt %s --layer-verify-cache | FileCheck %s
// RUN: graphc-opt %s -o %t.before && graphc-opt %s --layer-verify-cache | diff %t.before -
// RUN: graphc-opt %s --layer-verify-cache=report -o /dev/null 2>&1 | FileCheck %s --check-prefix=REPORT
// REPORT: remark: layer-verify-cache: 2 slots, 4 row-operands, 2 caches-in-place, 272 bytes-per-row

// The example of the pass's documentation; a graph without a cache passes.
// CHECK-LABEL: layer.graph @holds_the_contract
!slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = f32>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!heads = tensor<?x4x?x16xbf16>
!ids = tensor<?x?xi32>
layer.graph @holds_the_contract(%q: !heads, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xf32>, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "positions", "cache"]} {
  %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xf32>, !ids, !cache -> !heads
  output a = %a : !heads, cache = %cache1 : !cache
}
// CHECK-LABEL: layer.graph @has_no_cache
layer.graph @has_no_cache(%x: !heads) -> (!heads) attributes {input_names = ["x"]} {
  output x = %x : !heads
}

// Rows that are quantised come in a compute type, and a scale a head counts.
// CHECK-LABEL: layer.graph @quantises
!small = !layer.attention_cache<2 x 16, full, keys = f8E4M3FN, values = int8>
!smallCache = !layer.cache<!layer.block_cache<self = !small>>
layer.graph @quantises(%q: !heads, %k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x16xbf16>, %positions: !ids, %cache: !smallCache) -> (!heads, !smallCache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "positions", "small"]} {
  %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, !ids, !smallCache -> !heads
  output a = %a : !heads, small = %cache1 : !smallCache
}
