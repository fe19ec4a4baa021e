// RUN: graphc-opt %s --split-input-file --layer-materialize-casts | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-materialize-casts="semantics=axon" | FileCheck %s --check-prefix=AXON

// The example of the pass's documentation.
// CHECK-LABEL: layer.graph @rounds_operands_before_and_results_after
// CHECK-SAME: casts = #layer.casts<explicit>
// CHECK-NEXT: %[[X:.*]] = cast %x because ["compute=bf16 ffn.activation by materialize-casts"] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
// CHECK-NEXT: %[[Y:.*]] = silu "ffn.activation"(%[[X]]) policy<compute = bf16, output = f32> : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
// CHECK-NEXT: output y = %[[Y]] : tensor<?x?x8xf32>

// Axon rounds the result to compute, then casts it to output.
// AXON-LABEL: layer.graph @rounds_operands_before_and_results_after
// AXON: %[[Y:.*]] = silu {{.*}} -> tensor<?x?x8xbf16>
// AXON-NEXT: %[[O:.*]] = cast %[[Y]] because ["output=f32 ffn.activation by materialize-casts"] : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
// AXON-NEXT: output y = %[[O]]
layer.graph @rounds_operands_before_and_results_after(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %y = silu "ffn.activation"(%x) policy<compute = bf16, output = f32> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}

// -----

// Without an output type the result takes the compute type, and so does the
// signature; without any policy a layer is as it was.
// CHECK-LABEL: layer.graph @output_defaults_to_compute
// CHECK-SAME: -> (tensor<?x?x8xf16>, tensor<?x?x8xf32>)
// CHECK: silu "a"({{.*}}) policy<compute = f16> : (tensor<?x?x8xf16>) -> tensor<?x?x8xf16>
// CHECK-NEXT: relu "b"(%a) : (tensor<?x?x8xf16>) -> tensor<?x?x8xf32>
layer.graph @output_defaults_to_compute(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>, tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) policy<compute = f16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %z = relu "b"(%y) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>, z = %z : tensor<?x?x8xf32>
}

// -----

// A parameter is rounded to its storage type, then to the compute type; the
// reader's own storage type goes before the layer's. Integers are never cast.
layer.parameter @w : tensor<16x8xf32>
// CHECK-LABEL: layer.graph @rounds_parameters_to_params_and_to_compute
// CHECK: %[[W:.*]] = param @w {storage = f16}
// CHECK: %[[P:.*]] = cast %{{.*}} because ["params=bf16 embedder by materialize-casts"] : tensor<16x8xf32> to tensor<16x8xbf16>
// CHECK-NEXT: %[[C:.*]] = cast %[[P]] because ["compute=f16 embedder by materialize-casts"] : tensor<16x8xbf16> to tensor<16x8xf16>
// CHECK-NEXT: embedding "embedder"(%ids, %[[C]]) {{.*}} : (tensor<?x?xi32>, tensor<16x8xf16>) -> tensor<?x?x8xf32>
// CHECK: %[[S:.*]] = cast %[[W]] because ["params=f16 w by materialize-casts"] : tensor<16x8xf32> to tensor<16x8xf16>
// CHECK-NEXT: dense "head"(%{{.*}}, %[[S]]) policy<params = bf16> : (tensor<?x?x8xf32>, tensor<16x8xf16>) -> tensor<?x?x16xf32>
layer.graph @rounds_parameters_to_params_and_to_compute(%ids: tensor<?x?xi32>) -> (tensor<?x?x16xf32>) attributes {input_names = ["ids"]} {
  %w = param @w : tensor<16x8xf32>
  %own = param @w {storage = f16} : tensor<16x8xf32>
  %x = embedding "embedder"(%ids, %w) policy<params = bf16, compute = f16, output = f32> : (tensor<?x?xi32>, tensor<16x8xf32>) -> tensor<?x?x8xf32>
  %y = dense "head"(%x, %own) policy<params = bf16> : (tensor<?x?x8xf32>, tensor<16x8xf32>) -> tensor<?x?x16xf32>
  output y = %y : tensor<?x?x16xf32>
}

// -----

// New rows are rounded to the compute type of the attention that will read them
// and then to the pin; the slot itself is no operand of any cast.
!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f16>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
// CHECK-LABEL: layer.graph @rounds_new_rows_to_compute_and_to_the_pin
// CHECK: %[[KC:.*]] = cast %k because ["compute=bf16 attend by materialize-casts"] : tensor<?x2x?x16xf32> to tensor<?x2x?x16xbf16>
// CHECK-NEXT: %[[VC:.*]] = cast %v because ["compute=bf16 attend by materialize-casts"]
// CHECK-NEXT: %[[K:.*]] = cast %[[KC]] because ["pin=f32 attend.keys by materialize-casts"] : tensor<?x2x?x16xbf16> to tensor<?x2x?x16xf32>
// CHECK-NEXT: %[[V:.*]] = cast %[[VC]] because ["pin=f16 attend.values by materialize-casts"] : tensor<?x2x?x16xbf16> to tensor<?x2x?x16xf16>
// CHECK-NEXT: cache_append %{{.*}}, %[[K]], %[[V]] at
// CHECK-NEXT: %[[Q:.*]] = cast %q because ["compute=bf16 attend by materialize-casts"]
// CHECK-NEXT: attention "attend"(%[[Q]]) over %{{.*}} : (tensor<?x4x?x16xbf16>, !slot, tensor<?x?xi32>) -> tensor<?x4x?x16xbf16>
// CHECK-NOT: cast %
layer.graph @rounds_new_rows_to_compute_and_to_the_pin(%q: !heads, %k: !kv, %v: !kv, %positions: tensor<?x?xi32>, %cache: !cache) -> (!heads, !cache) attributes {input_names = ["q", "k", "v", "positions", "cache"]} {
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, tensor<?x?xi32>
  %a = attention "attend"(%q) over %slot1 at %positions {scale = 1.0} policy<compute = bf16> : (!heads, !slot, tensor<?x?xi32>) -> !heads
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  output a = %a : !heads, cache = %cache1 : !cache
}

// -----

// Containers and optional values cast nothing; their types follow.
// CHECK-LABEL: layer.graph @containers_follow
// CHECK: container "all"(%a, %x) policy<compute = bf16> : (tensor<?x?x8xbf16>, tensor<?x?x8xf32>) -> !layer.container<tensor<?x?x8xbf16>, tensor<?x?x8xf32>>
// CHECK-NEXT: optional "all"(%all) : (!layer.container<tensor<?x?x8xbf16>, tensor<?x?x8xf32>>)
!pair = !layer.container<tensor<?x?x8xf32>, tensor<?x?x8xf32>>
layer.graph @containers_follow(%x: tensor<?x?x8xf32>) -> (!pair) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %c = container "all"(%y, %x) policy<compute = bf16> : (tensor<?x?x8xf32>, tensor<?x?x8xf32>) -> !pair
  %o = optional "all"(%c) : (!pair) -> !pair
  output all = %o : !pair
}

// -----

// CHECK-LABEL: layer.graph @leaves_an_explicit_graph_alone
// CHECK-NEXT: silu "a"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
layer.graph @leaves_an_explicit_graph_alone(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  %y = silu "a"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}
