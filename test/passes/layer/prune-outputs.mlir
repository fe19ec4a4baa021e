// RUN: graphc-opt %s --split-input-file --layer-prune-outputs | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-prune-outputs | graphc-opt --split-input-file --layer-prune-outputs | FileCheck %s

// The example of the pass's documentation.
// CHECK-LABEL: layer.graph @drops_optional_outputs
// CHECK-SAME: -> tensor<?x?x8xf32>
// CHECK-NEXT: %[[Y:.*]] = silu "a"(%x)
// CHECK-NEXT: output logits = %[[Y]] : tensor<?x?x8xf32>
// CHECK-NEXT: }
!f = tensor<?x?x8xf32>
layer.graph @drops_optional_outputs(%x: !f) -> (!f, !f) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) : (!f) -> !f
  %z = relu "b"(%y) : (!f) -> !f
  %o = optional "extra"(%z) : (!f) -> !f
  output logits = %y : !f, extra = %o : !f
}

// -----

// Weights that no one reads are no result; a parameter that no one reads is not
// declared; arguments stay, and so does the cache, whatever is requested.
// CHECK: layer.parameter @used
// CHECK-NOT: layer.parameter @unused
// CHECK-LABEL: layer.graph @drops_weights_and_parameters_and_keeps_the_cache
// CHECK-SAME: (%q: {{.*}}, %positions: {{.*}}, %cache: !cache) -> (tensor<?x4x?x16xf32>, !cache)
// CHECK: attention "attend"({{.*}}) {{.*}} {note = "kept", scale = 1.000000e+00 : f64} policy<compute = bf16> : ({{.*}}) -> tensor<?x4x?x16xf32>
// CHECK-NOT: container
// CHECK: output a = %{{.*}}, cache = %{{.*}} : !cache
!slot = !layer.attention_cache<4 x 16, full, keys = auto, values = auto>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!heads = tensor<?x4x?x16xf32>
!weights = tensor<?x4x?x?xf32>
layer.parameter @used : tensor<16xf32>
layer.parameter @unused : tensor<16xf32>
layer.graph @drops_weights_and_parameters_and_keeps_the_cache(%q: !heads, %positions: tensor<?x?xi32>, %cache: !cache) -> (!heads, !layer.container<!weights>, !heads, !cache) attributes {input_names = ["q", "positions", "cache"]} {
  %w = param @used : tensor<16xf32>
  %u = param @unused : tensor<16xf32>
  %n = rms_norm "n"(%q, %w) {epsilon = 1.0e-5} : (!heads, tensor<16xf32>) -> !heads
  %m = rms_norm "m"(%q, %u) {epsilon = 1.0e-5} : (!heads, tensor<16xf32>) -> !heads
  %mo = optional "m"(%m) : (!heads) -> !heads
  %block = get_block_cache %cache[0] : !cache -> !block
  %slot = get_attention_cache %block self : !block -> !slot
  %slot1 = cache_append %slot, %n, %n at %positions : !slot, !heads, !heads, tensor<?x?xi32>
  %a, %weights = attention "attend"(%q) over %slot1 at %positions {note = "kept", scale = 1.0} policy<compute = bf16> : (!heads, !slot, tensor<?x?xi32>) -> (!heads, !weights)
  %block1 = put_attention_cache %slot1 into %block self : !slot, !block
  %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
  %c = container "attentions"(%weights) : (!weights) -> !layer.container<!weights>
  %co = optional "attentions"(%c) : (!layer.container<!weights>) -> !layer.container<!weights>
  output a = %a : !heads, attentions = %co : !layer.container<!weights>, m = %mo : !heads, cache = %cache1 : !cache
}
