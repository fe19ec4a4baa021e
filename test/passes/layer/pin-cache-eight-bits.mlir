// RUN: graphc-opt %s --layer-pin-cache="pin=k=bf16" | FileCheck %s
// RUN: graphc-opt %s --layer-pin-cache="pin=int8" | FileCheck %s --check-prefix=BOTH
// RUN: graphc-opt %s --layer-pin-cache="pin=int8" | graphc-opt --layer-pin-cache="pin=int8" --layer-fold-casts --layer-verify-cache | FileCheck %s --check-prefix=BOTH
// RUN: not graphc-opt %s --layer-pin-cache="pin=bf16" 2>&1 | FileCheck %s --check-prefix=AGAINST

// What the IR pins stays; `auto` beside it takes the rule's type. Rows of an
// 8-bit slot are not cast: the op that stores them quantises them.
// CHECK: !slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = int8>
// CHECK-LABEL: layer.graph @quantises_without_a_cast
// CHECK-NOT: cast %v
// CHECK: cached_attention "attend"(%q, %{{.*}}, %v, %positions)
// BOTH: !slot = !layer.attention_cache<2 x 16, full, keys = int8, values = int8>
// BOTH-LABEL: layer.graph @quantises_without_a_cast
// BOTH-NEXT: cached_attention "attend"(%q, %k, %v, %positions)
// AGAINST: error: values of slot 'attend' are pinned to int8 in the IR, but pin rule 'bf16' asks for bf16; write auto there, or leave the slot out of the rule
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = int8>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @quantises_without_a_cast(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "positions", "cache"]} {
  %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
  output a = %a : !heads, cache = %cache1 : !cache
}
