// RUN: graphc-opt %s --split-input-file --layer-resolve-optional="absent=mask" | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-resolve-optional="absent=mask" | graphc-opt --split-input-file --layer-resolve-optional="absent=mask" | FileCheck %s
// RUN: not graphc-opt %s --split-input-file --layer-resolve-optional="absent=msk" 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: input 'msk' is not known; the inputs are 'ids', 'mask'

// The example of the pass's documentation.
// CHECK-LABEL: layer.graph @without_a_mask_every_token_is_visible(%ids: tensor<?x?xi32>) -> tensor<?x?xi32>
// CHECK-SAME: absent_inputs = ["mask"]
// CHECK-SAME: input_names = ["ids"]
// CHECK-NEXT: %[[P:.*]] = positions %ids : (tensor<?x?xi32>) -> tensor<?x?xi32>
// CHECK-NEXT: output positions = %[[P]]
layer.graph @without_a_mask_every_token_is_visible(%ids: tensor<?x?xi32>, %mask: tensor<?x?xi32>) -> (tensor<?x?xi32>) attributes {input_names = ["ids", "mask"]} {
  %positions = positions %ids mask %mask : (tensor<?x?xi32>, tensor<?x?xi32>) -> tensor<?x?xi32>
  output positions = %positions : tensor<?x?xi32>
}

// -----

// Without a cache its operations vanish, attention takes the new rows, and the
// cache leaves the outputs; name, policy and other attributes stay.
// CHECK-LABEL: layer.graph @without_a_cache_attention_takes_the_new_rows
// CHECK-SAME: (%q: {{.*}}, %k: {{.*}}, %v: {{.*}}, %ids: {{.*}}) -> (tensor<?x4x?x16xf32>, tensor<?x4x?x?xf32>)
// CHECK-NEXT: %[[P:.*]] = positions %ids : (tensor<?x?xi32>) -> tensor<?x?xi32>
// CHECK-NEXT: %[[A:.*]], %[[W:.*]] = attention "attend"(%q, %k, %v) at %[[P]] {causal, note = "kept", scale = 5.000000e-01 : f64, window = 8 : i64} policy<compute = bf16>
// CHECK-NEXT: output a = %[[A]] : tensor<?x4x?x16xf32>, w = %[[W]] : tensor<?x4x?x?xf32>
!none = !layer.none
!kv = tensor<?x2x?x16xf32>
!heads = tensor<?x4x?x16xf32>
!ids = tensor<?x?xi32>
layer.graph @without_a_cache_attention_takes_the_new_rows(%q: !heads, %k: !kv, %v: !kv, %ids: !ids, %mask: !ids, %cache: !none) -> (!heads, tensor<?x4x?x?xf32>, !none) attributes {input_names = ["q", "k", "v", "ids", "mask", "cache"]} {
  %lengths = cache_offset %cache : !none -> tensor<?xi32>
  %positions = positions %lengths for %ids mask %mask : (tensor<?xi32>, !ids, !ids) -> !ids
  %block = get_block_cache %cache[0] : !none -> !none
  %slot = get_attention_cache %block self : !none -> !none
  %slot1 = cache_append %slot, %k, %v at %positions : !none, !kv, !kv, !ids
  %a, %w = attention "attend"(%q) over %slot1 at %positions {causal, note = "kept", scale = 0.5, window = 8 : i64} policy<compute = bf16> : (!heads, !none, !ids) -> (!heads, tensor<?x4x?x?xf32>)
  %block1 = put_attention_cache %slot1 into %block self : !none, !none
  %cache1 = put_block_cache %block1 into %cache[0] : !none, !none
  %cache2 = cache_advance %cache1 by %positions : !none, !ids
  output a = %a : !heads, w = %w : tensor<?x4x?x?xf32>, cache = %cache2 : !none
}

// -----

// None spreads through layers up to an `optional`, which is dropped as an output.
// CHECK-LABEL: layer.graph @none_spreads_up_to_optional(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
// CHECK-NEXT: %[[Y:.*]] = silu "a"(%x)
// CHECK-NEXT: output y = %[[Y]] : tensor<?x?x8xf32>
!f = tensor<?x?x8xf32>
layer.graph @none_spreads_up_to_optional(%x: !f, %mask: !f) -> (!f, !layer.container<!f, !f>) attributes {input_names = ["x", "mask"]} {
  %y = silu "a"(%x) : (!f) -> !f
  %z = multiply "b"(%y, %mask) : (!f, !f) -> !f
  %c = container "c"(%y, %z) : (!f, !f) -> !layer.container<!f, !f>
  %o = optional "c"(%c) : (!layer.container<!f, !f>) -> !layer.container<!f, !f>
  output y = %y : !f, c = %o : !layer.container<!f, !f>
}

// -----

// A present optional stays for PruneOutputs to decide on.
// CHECK-LABEL: layer.graph @leaves_present_values_alone
// CHECK: optional "y"(%a)
!f = tensor<?x?x8xf32>
layer.graph @leaves_present_values_alone(%x: !f) -> (!f) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) : (!f) -> !f
  %o = optional "y"(%y) : (!f) -> !f
  output y = %o : !f
}

// The name has to be an input of one graph of the module only.
layer.graph @has_a_mask(%mask: !f) -> () attributes {input_names = ["mask"]} {
  output
}
