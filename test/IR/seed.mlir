// The ops of seed mode; the text is a fixed point of the printer.
// RUN: graphc-opt %s | FileCheck %s
// RUN: graphc-opt %s | graphc-opt | FileCheck %s
// RUN: graphc-opt %s --emit-bytecode | graphc-opt | FileCheck %s
// RUN: graphc-opt %s --mlir-print-op-generic | graphc-opt | FileCheck %s

!leaf = tensor<?x?x4x16xf32>
!ids = tensor<?x?xi32>
!cache = !layer.container<!leaf, !leaf, tensor<i32>, !ids>
!heads = tensor<?x4x?x16xf32>
// CHECK-LABEL: layer.graph @seed
layer.graph @seed(%q: !heads, %k: tensor<?x2x?x16xf32>, %v: !heads, %positions: !ids, %cache: !cache) -> (!heads, !cache, tensor<?xi32>) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  // CHECK: %[[LEAVES:.*]]:4 = unpack %cache : (!layer.container<{{.*}}>) -> (tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>, tensor<i32>, tensor<?x?xi32>)
  %c:4 = unpack %cache : (!cache) -> (!leaf, !leaf, tensor<i32>, !ids)
  // CHECK-NEXT: seed_lengths %[[LEAVES]]#3 : tensor<?x?xi32> -> tensor<?xi32>
  %lengths = seed_lengths %c#3 : !ids -> tensor<?xi32>
  // CHECK-NEXT: %[[OFFSET:.*]] = seed_offset "cache.offset"(%[[LEAVES]]#0, %[[LEAVES]]#1, %[[LEAVES]]#2)
  %offset = seed_offset "cache.offset"(%c#0, %c#1, %c#2) : (!leaf, !leaf, tensor<i32>) -> tensor<i32>
  // CHECK-NEXT: %[[MASK:.*]] = seed_merge_mask %[[LEAVES]]#3, %positions at %[[OFFSET]]
  %mask = seed_merge_mask %c#3, %positions at %offset : (!ids, tensor<i32>, !ids) -> !ids
  // CHECK-NEXT: seed_key_positions %[[MASK]] : tensor<?x?xi32> -> tensor<?x?xi32>
  %keys = seed_key_positions %mask : !ids -> !ids
  // CHECK-NEXT: %[[BLOCK:.*]]:2 = seed_get "cache.0.get"(%[[LEAVES]]#0, %[[LEAVES]]#1) {first = 0 : i64} policy<compute = bf16>
  %b:2 = seed_get "cache.0.get"(%c#0, %c#1) {first = 0 : i64} policy<compute = bf16> : (!leaf, !leaf) -> (!leaf, !leaf)
  // CHECK-NEXT: %repeat = repeat_heads "key.repeat"(%k) {times = 2 : i64}
  %r = repeat_heads "key.repeat"(%k) {times = 2 : i64} : (tensor<?x2x?x16xf32>) -> !heads
  // CHECK-NEXT: %[[KEYS:.*]] = seed_update "key.update"(%[[BLOCK]]#0, %repeat, %[[OFFSET]])
  %k1 = seed_update "key.update"(%b#0, %r, %offset) : (!leaf, !heads, tensor<i32>) -> !leaf
  %v1 = seed_update "value.update"(%b#1, %v, %offset) : (!leaf, !heads, tensor<i32>) -> !leaf
  // CHECK: seed_attention "attend"(%q, %[[KEYS]], %{{.*}}) {causal, scale = 2.500000e-01 : f64}
  %a = seed_attention "attend"(%q, %k1, %v1, %positions, %keys) {scale = 0.25, causal} : (!heads, !leaf, !leaf, !ids, !ids) -> !heads
  // CHECK: seed_put "cache.0.put"(%[[LEAVES]]#0, %[[LEAVES]]#1, %[[KEYS]], %{{.*}}) {first = 0 : i64}
  %p:2 = seed_put "cache.0.put"(%c#0, %c#1, %k1, %v1) {first = 0 : i64} : (!leaf, !leaf, !leaf, !leaf) -> (!leaf, !leaf)
  // CHECK-NEXT: %[[NEXT:.*]]:3 = seed_advance "cache.advance"
  %n:3 = seed_advance "cache.advance"(%p#0, %p#1, %offset, %positions) : (!leaf, !leaf, tensor<i32>, !ids) -> (!leaf, !leaf, tensor<i32>)
  // CHECK-NEXT: container "cache"(%[[NEXT]]#0, %[[NEXT]]#1, %[[NEXT]]#2, %[[MASK]])
  %out = container "cache"(%n#0, %n#1, %n#2, %mask) : (!leaf, !leaf, tensor<i32>, !ids) -> !cache
  output a = %a : !heads, cache = %out : !cache, lengths = %lengths : tensor<?xi32>
}
