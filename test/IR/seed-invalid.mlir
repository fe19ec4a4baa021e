// One violation of each constraint of seed mode's ops.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file

layer.graph @g(%x: tensor<?x2x?x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{repeat_heads_c1: expected (batch, kvHeads, tokens, headDim) to (batch, kvHeads * 2, tokens, headDim), got}}
  %y = repeat_heads "r"(%x) {times = 2 : i64} : (tensor<?x2x?x16xf32>) -> tensor<?x2x?x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{seed_get_c1: leaves 0 to 0 + 2 are not among 1}}
  %y:2 = seed_get "g"(%x) {first = 0 : i64} : (tensor<?x?x4x16xf32>) -> (tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>)
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{seed_get_c1: leaves}}
  %y = seed_get "g"(%x) {first = -1 : i64} : (tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{seed_get_c2: result must have its leaf's shape}}
  %y = seed_get "g"(%x) {first = 0 : i64} : (tensor<?x?x4x16xf32>) -> tensor<?x?x2x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{seed_put_c1: 0 parts at 0 do not fit into 1 leaves}}
  %y = seed_put "p"(%x) {first = 0 : i64} : (tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{seed_put_c1: 1 parts at 1 do not fit into 1 leaves}}
  %y = seed_put "p"(%x, %x) {first = 1 : i64} : (tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>) -> tensor<?x?x4x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>, %p: tensor<?x?x2x16xf32>) attributes {input_names = ["x", "p"]} {
  // expected-error@+1 {{seed_put_c2: part must have its leaf's shape}}
  %y = seed_put "p"(%x, %p) {first = 0 : i64} : (tensor<?x?x4x16xf32>, tensor<?x?x2x16xf32>) -> tensor<?x?x4x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["x", "ids"]} {
  // expected-error@+1 {{seed_offset_c1: offset must be a scalar}}
  %y = seed_offset "o"(%x, %ids) : (tensor<?x?x4x16xf32>, tensor<?x?xi32>) -> tensor<i32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>, %o: tensor<i32>, %ids: tensor<?x?xi32>) attributes {input_names = ["x", "o", "ids"]} {
  // expected-error@+1 {{seed_advance_c1: expected one result per leaf, of its shape, and scalar offsets}}
  %y = seed_advance "a"(%x, %o, %ids) : (tensor<?x?x4x16xf32>, tensor<i32>, tensor<?x?xi32>) -> tensor<i32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x4x16xf32>, %r: tensor<?x2x?x16xf32>, %o: tensor<i32>) attributes {input_names = ["x", "r", "o"]} {
  // expected-error@+1 {{seed_update_c1: expected (batch, maxLen, heads, headDim), rows (batch, heads, tokens, headDim) and a scalar, got}}
  %y = seed_update "u"(%x, %r, %o) : (tensor<?x?x4x16xf32>, tensor<?x2x?x16xf32>, tensor<i32>) -> tensor<?x?x4x16xf32>
  output
}

// -----

layer.graph @g(%m: tensor<?xi32>, %o: tensor<i32>, %ids: tensor<?x?xi32>) attributes {input_names = ["m", "o", "ids"]} {
  // expected-error@+1 {{seed_merge_mask_c1: expected (batch, maxLen) and a scalar, got}}
  %y = seed_merge_mask %m, %ids at %o : (tensor<?xi32>, tensor<i32>, tensor<?x?xi32>) -> tensor<?xi32>
  output
}

// -----

layer.graph @g(%ids: tensor<?x?xi32>) attributes {input_names = ["ids"]} {
  // expected-error@+1 {{seed_lengths_c1: expected (batch, maxLen) to (batch), got}}
  %y = seed_lengths %ids : tensor<?x?xi32> -> tensor<?x?xi32>
  output
}

// -----

layer.graph @g(%ids: tensor<?x?xi32>) attributes {input_names = ["ids"]} {
  // expected-error@+1 {{seed_key_positions_c1: expected (batch, maxLen) to the same, got}}
  %y = seed_key_positions %ids : tensor<?x?xi32> -> tensor<?xi32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x?x2x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "ids"]} {
  // expected-error@+1 {{seed_attention_c1: expected query (batch, heads, tokens, headDim), keys and values (batch, maxLen, heads, headDim)}}
  %y = seed_attention "a"(%q, %k, %k, %ids, %ids) {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?xi32>, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x?x4x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "ids"]} {
  // expected-error@+1 {{seed_attention_c2: window must be positive and needs causal}}
  %y = seed_attention "a"(%q, %k, %k, %ids, %ids) {scale = 1.0, causal, window = 0 : i64} : (tensor<?x4x?x16xf32>, tensor<?x?x4x16xf32>, tensor<?x?x4x16xf32>, tensor<?x?xi32>, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}
