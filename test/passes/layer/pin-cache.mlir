// RUN: graphc-opt %s --split-input-file --layer-pin-cache="pin=k=bf16,v=f16" | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-pin-cache="pin=k=bf16,v=f16" | graphc-opt --split-input-file --layer-pin-cache="pin=k=bf16,v=f16" | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-pin-cache | FileCheck %s --check-prefix=AUTO
// RUN: graphc-opt %S/../../IR/decoder-block.ir --layer-pin-cache="pin=k=bf16,v=f16" --layer-apply-policy="policy=compute=bf16" --layer-materialize-casts | sed 's/ by [a-z+-]*//' > %t.pinned-first
// RUN: graphc-opt %S/../../IR/decoder-block.ir --layer-apply-policy="policy=compute=bf16" --layer-materialize-casts --layer-pin-cache="pin=k=bf16,v=f16" | sed 's/ by [a-z+-]*//' | diff %t.pinned-first -

// The example of the pass's documentation.
// CHECK: !slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = f16>
// CHECK-LABEL: layer.graph @casts_new_rows_in_front_of_the_op_that_stores_them
// CHECK-NEXT: %[[K:.*]] = cast %k because ["pin=bf16 attend.keys by pin-cache"] : tensor<?x2x?x16xf32> to tensor<?x2x?x16xbf16>
// CHECK-NEXT: %[[V:.*]] = cast %v because ["pin=f16 attend.values by pin-cache"] : tensor<?x2x?x16xf32> to tensor<?x2x?x16xf16>
// CHECK-NEXT: %[[A:.*]], %[[C:.*]] = cached_attention "attend"(%q, %[[K]], %[[V]], %positions) in %cache[0]
// CHECK-NEXT: cache_advance %[[C]]
// CHECK-NOT: cast %

// Without a rule the pin is the compute type: here the query's.
// AUTO: !slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
// AUTO-LABEL: layer.graph @casts_new_rows_in_front_of_the_op_that_stores_them
// AUTO-NOT: cast %
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @casts_new_rows_in_front_of_the_op_that_stores_them(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["q", "k", "v", "positions", "cache"]} {
  %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
  %cache2 = cache_advance %cache1 by %positions : !cache, !ids
  output a = %a : !heads, cache = %cache2 : !cache
}

// -----

// As long as casts are implicit only types change, of every cache value and of
// the signature; the compute type is the policy's.
// CHECK: !slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = f16>
// CHECK-LABEL: layer.graph @changes_types_only_while_casts_are_implicit
// CHECK-NOT: cast %
// CHECK: output a = %{{.*}}, cache = %{{.*}} : !cache
// AUTO: !slot = !layer.attention_cache<2 x 16, full, keys = f16, values = f16>
// AUTO-LABEL: layer.graph @changes_types_only_while_casts_are_implicit
!slot = !layer.attention_cache<2 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @changes_types_only_while_casts_are_implicit(%q: !heads, %k: !kv, %v: !kv, %positions: !ids, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  %lengths = cache_offset %cache : !cache -> tensor<?xi32>
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
  %a = attention "attend"(%q) over %slot1 at %positions {scale = 1.0} policy<compute = f16> : (!heads, !slot, !ids) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output a = %a : !heads, cache = %cache1 : !cache
}

// -----

// A graph without a cache is left alone.
// AUTO-LABEL: layer.graph @leaves_a_graph_without_cache_alone
// AUTO-NEXT: output x = %x : tensor<?xf32>
// CHECK-LABEL: layer.graph @leaves_a_graph_without_cache_alone
module {
layer.graph @leaves_a_graph_without_cache_alone(%x: tensor<?xf32>) -> (tensor<?xf32>) attributes {input_names = ["x"]} {
  output x = %x : tensor<?xf32>
}
layer.graph @has_one(%cache: !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = bf16, values = f16>>>) -> (!layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = bf16, values = f16>>>) attributes {input_names = ["cache"]} {
  output cache = %cache : !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = bf16, values = f16>>>
}
}
