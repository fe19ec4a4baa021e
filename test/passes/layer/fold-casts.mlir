// One graph for each fold of numerics.md section 3, and for what must stay.
// RUN: graphc-opt %s --split-input-file --layer-fold-casts | FileCheck %s
// RUN: graphc-opt %s --split-input-file --layer-fold-casts --layer-fold-casts | FileCheck %s

// The example of the pass's documentation: F5.
// CHECK-LABEL: layer.graph @moves_the_rounding_of_all_uses_to_the_producer
// CHECK-NEXT: %[[H:.*]] = silu "a"(%x) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xbf16>
// CHECK-NEXT: relu "b"(%[[H]]) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
!b = tensor<?x?x8xbf16>
!h = tensor<?x?x8xf16>
!f = tensor<?x?x8xf32>
layer.graph @moves_the_rounding_of_all_uses_to_the_producer(%x: !b) -> (!f) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  %h = silu "a"(%x) : (!b) -> !f
  %0 = cast %h because ["compute=bf16 b"] : !f to !b
  %y = relu "b"(%0) : (!b) -> !f
  output y = %y : !f
}

// -----

// Uses in two types keep the value wide; equal casts become one with both
// reasons.
// CHECK-LABEL: layer.graph @merges_equal_casts_and_keeps_the_value_wide
// CHECK: silu "a"(%x) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
// CHECK-NEXT: %[[C:.*]] = cast %a because ["compute=bf16 b by fold-casts", "compute=bf16 c by fold-casts"] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
// CHECK-NEXT: relu "b"(%[[C]])
// CHECK-NEXT: relu "c"(%[[C]])
// CHECK-NOT: cast %
!b = tensor<?x?x8xbf16>
!f = tensor<?x?x8xf32>
layer.graph @merges_equal_casts_and_keeps_the_value_wide(%x: !b) -> (!f, !b, !b) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  %h = silu "a"(%x) : (!b) -> !f
  %0 = cast %h because ["compute=bf16 b"] : !f to !b
  %b = relu "b"(%0) : (!b) -> !b
  %1 = cast %h because ["compute=bf16 c"] : !f to !b
  %c = relu "c"(%1) : (!b) -> !b
  output h = %h : !f, b = %b : !b, c = %c : !b
}

// -----

// F1, F2, F3: a cast reads through a cast that changes nothing.
// CHECK-LABEL: layer.graph @reads_through_exact_casts
// CHECK-NEXT: %[[W:.*]] = cast %x because ["compute=f32 a by fold-casts", "compute=f16 b by fold-casts"] : tensor<?x?x8xbf16> to tensor<?x?x8xf16>
// CHECK-NEXT: output same = %x : tensor<?x?x8xbf16>, other = %[[W]] : tensor<?x?x8xf16>
!b = tensor<?x?x8xbf16>
!h = tensor<?x?x8xf16>
!f = tensor<?x?x8xf32>
layer.graph @reads_through_exact_casts(%x: !b) -> (!b, !h) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  %0 = cast %x because ["compute=f32 a"] : !b to !f
  %1 = cast %0 because ["compute=bf16 b"] : !f to !b
  %2 = cast %1 : !b to !b
  %3 = cast %0 because ["compute=f16 b"] : !f to !h
  output same = %2 : !b, other = %3 : !h
}

// -----

// F4: widening what was rounded gives the value back only if the rounding kept
// it: %x is bf16 inside, %y is not.
// CHECK-LABEL: layer.graph @widens_back_only_what_was_narrow
// CHECK-NEXT: %[[X:.*]] = cast %x : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
// CHECK-NEXT: %[[S:.*]] = slice "s"(%[[X]])
// CHECK-NEXT: %[[N:.*]] = cast %y : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
// CHECK-NEXT: %[[W:.*]] = cast %[[N]] : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
// CHECK-NEXT: output s = %[[S]] : tensor<?x?x4xf32>, y = %[[W]] : tensor<?x?x8xf32>
layer.graph @widens_back_only_what_was_narrow(%x: tensor<?x?x8xbf16>, %y: tensor<?x?x8xf32>) -> (tensor<?x?x4xf32>, tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x", "y"]} {
  %0 = cast %x : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  %1 = slice "s"(%0) {offset = 0 : i64, size = 4 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x4xf32>
  %2 = cast %1 : tensor<?x?x4xf32> to tensor<?x?x4xbf16>
  %3 = cast %2 : tensor<?x?x4xbf16> to tensor<?x?x4xf32>
  %4 = cast %y : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %5 = cast %4 : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  output s = %3 : tensor<?x?x4xf32>, y = %5 : tensor<?x?x8xf32>
}

// -----

// F6: the rounding travels through layers that only move data.
// CHECK-LABEL: layer.graph @moves_roundings_through_data_movement
// CHECK-NEXT: dense "q"(%x, %w) : (tensor<?x?x8xbf16>, tensor<8x8xbf16>) -> tensor<?x?x8xbf16>
// CHECK-NEXT: split_heads "heads"(%q) {heads = 2 : i64} : (tensor<?x?x8xbf16>) -> tensor<?x2x?x4xbf16>
// CHECK-NEXT: merge_heads "merge"(%heads) : (tensor<?x2x?x4xbf16>) -> tensor<?x?x8xbf16>
// CHECK-NEXT: relu "b"(%merge)
layer.graph @moves_roundings_through_data_movement(%x: tensor<?x?x8xbf16>, %w: tensor<8x8xbf16>) -> (tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x", "w"]} {
  %q = dense "q"(%x, %w) : (tensor<?x?x8xbf16>, tensor<8x8xbf16>) -> tensor<?x?x8xf32>
  %h = split_heads "heads"(%q) {heads = 2 : i64} : (tensor<?x?x8xf32>) -> tensor<?x2x?x4xf32>
  %m = merge_heads "merge"(%h) : (tensor<?x2x?x4xf32>) -> tensor<?x?x8xf32>
  %0 = cast %m : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %y = relu "b"(%0) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}

// -----

// What must not change: a second rounding (bf16 then f16, which differs from f16
// alone), in a cast, in a result and through data movement; a widening, which a
// layer's types must show; the conversion of a parameter.
layer.parameter @w : tensor<8xf32>
// CHECK-LABEL: layer.graph @keeps_double_roundings_widenings_and_parameters
// CHECK-NEXT: %[[W:.*]] = param @w
// CHECK-NEXT: %[[P:.*]] = cast %{{.*}} because ["compute=bf16 n"] : tensor<8xf32> to tensor<8xbf16>
// CHECK-NEXT: %[[N:.*]] = rms_norm "n"(%x, %[[P]]) {{.*}} -> tensor<?x?x8xbf16>
// CHECK-NEXT: %[[H:.*]] = cast %[[N]] : tensor<?x?x8xbf16> to tensor<?x?x8xf16>
// CHECK-NEXT: %[[B:.*]] = cast %y : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
// CHECK-NEXT: %[[D:.*]] = cast %[[B]] : tensor<?x?x8xbf16> to tensor<?x?x8xf16>
// CHECK-NEXT: %[[S:.*]] = slice "s"(%y) {{.*}} -> tensor<?x?x4xbf16>
// CHECK-NEXT: %[[T:.*]] = cast %[[S]] : tensor<?x?x4xbf16> to tensor<?x?x4xf16>
// CHECK-NEXT: %[[E:.*]] = cast %[[N]] : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
// CHECK-NEXT: relu "r"(%[[E]]) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
// CHECK-NEXT: output h = %[[H]] : tensor<?x?x8xf16>, d = %[[D]] : tensor<?x?x8xf16>, t = %[[T]] : tensor<?x?x4xf16>
layer.graph @keeps_double_roundings_widenings_and_parameters(%x: tensor<?x?x8xbf16>, %y: tensor<?x?x8xf32>) -> (tensor<?x?x8xf16>, tensor<?x?x8xf16>, tensor<?x?x4xf16>, tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x", "y"]} {
  %w = param @w : tensor<8xf32>
  %0 = cast %w because ["compute=bf16 n"] : tensor<8xf32> to tensor<8xbf16>
  %n = rms_norm "n"(%x, %0) {epsilon = 1.0e-6} : (tensor<?x?x8xbf16>, tensor<8xbf16>) -> tensor<?x?x8xbf16>
  %h = cast %n : tensor<?x?x8xbf16> to tensor<?x?x8xf16>
  %1 = cast %y : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %d = cast %1 : tensor<?x?x8xbf16> to tensor<?x?x8xf16>
  %s = slice "s"(%y) {offset = 0 : i64, size = 4 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x4xbf16>
  %t = cast %s : tensor<?x?x4xbf16> to tensor<?x?x4xf16>
  %2 = cast %n : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  %r = relu "r"(%2) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output h = %h : tensor<?x?x8xf16>, d = %d : tensor<?x?x8xf16>, t = %t : tensor<?x?x4xf16>, r = %r : tensor<?x?x8xf32>
}

// -----

// A bf16 result that all uses read as f32 is not widened at its producer: that
// would take a rounding away.
// CHECK-LABEL: layer.graph @never_drops_a_rounding
// CHECK-NEXT: silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xbf16>
// CHECK-NEXT: %[[W:.*]] = cast %a
// CHECK-NEXT: output y = %[[W]]
layer.graph @never_drops_a_rounding(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  %a = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xbf16>
  %0 = cast %a : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  %1 = cast %0 : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  output y = %0 : tensor<?x?x8xf32>
}

// -----

// Rows that an 8-bit slot quantises, and kernels that are stored in 8 bits, keep
// their types; the widening of a kernel takes no rounding away.
// CHECK-LABEL: layer.graph @leaves_what_is_quantised_and_stored_in_eight_bits_alone
// CHECK: %[[P:.*]] = cast %{{.*}} because ["params=f8E4M3FN w"] : tensor<8x8xf32> to tensor<8x8xf8E4M3FN>
// CHECK-NEXT: %[[W:.*]] = cast %[[P]] because ["compute=bf16 d"] : tensor<8x8xf8E4M3FN> to tensor<8x8xbf16>
// CHECK-NEXT: dense "d"(%x, %[[W]])
// CHECK-NEXT: cached_attention "a"(%q, %k, %k, %positions)
// CHECK-SAME: tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>
!slot = !layer.attention_cache<2 x 16, full, keys = int8, values = f8E5M2>
!cache = !layer.cache<!layer.block_cache<self = !slot>>
!kv = tensor<?x2x?x16xbf16>
!heads = tensor<?x4x?x16xbf16>
layer.parameter @w : tensor<8x8xf32>
layer.graph @leaves_what_is_quantised_and_stored_in_eight_bits_alone(%x: tensor<?x?x8xbf16>, %q: !heads, %k: !kv, %positions: tensor<?x?xi32>, %cache: !cache) -> (tensor<?x?x8xbf16>, !heads, !cache) attributes {casts = #layer.casts<explicit>, input_names = ["x", "q", "k", "positions", "cache"]} {
  %w = param @w : tensor<8x8xf32>
  %0 = cast %w because ["params=f8E4M3FN w"] : tensor<8x8xf32> to tensor<8x8xf8E4M3FN>
  %1 = cast %0 because ["compute=bf16 d"] : tensor<8x8xf8E4M3FN> to tensor<8x8xbf16>
  %y = dense "d"(%x, %1) : (tensor<?x?x8xbf16>, tensor<8x8xbf16>) -> tensor<?x?x8xbf16>
  %a, %cache1 = cached_attention "a"(%q, %k, %k, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, tensor<?x?xi32>, !cache -> !heads
  output y = %y : tensor<?x?x8xbf16>, a = %a : !heads, cache = %cache1 : !cache
}
