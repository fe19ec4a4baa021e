// One violation of each constraint of the layers.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file

layer.graph @g(%ids: tensor<?x?xi32>, %w: tensor<4x8xf32>) attributes {input_names = ["ids", "w"]} {
  // expected-error@+1 {{embedding_c1: result must have the ids' shape and the row, got 'tensor<?x?x9xf32>'}}
  %y = embedding "e"(%ids, %w) : (tensor<?x?xi32>, tensor<4x8xf32>) -> tensor<?x?x9xf32>
  output
}

// -----

layer.graph @g(%ids: tensor<?x?xi32>, %w: tensor<8xf32>) attributes {input_names = ["ids", "w"]} {
  // expected-error@+1 {{embedding_c1: kernel must be (vocab, hidden), got 'tensor<8xf32>'}}
  %y = embedding "e"(%ids, %w) : (tensor<?x?xi32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{dense_c1: kernel must have two dimensions, got 'tensor<8xf32>'}}
  %y = dense "d"(%x, %w) : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<4x9xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{dense_c1: last dimension of the input must be the kernel's 9, got}}
  %y = dense "d"(%x, %w) : (tensor<?x?x8xf32>, tensor<4x9xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<4x8xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{dense_c1: last dimension of the input must be the kernel's 4, got}}
  %y = dense "d"(%x, %w) {input_major} : (tensor<?x?x8xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<4x8xf32>, %b: tensor<8xf32>) attributes {input_names = ["x", "w", "b"]} {
  // expected-error@+1 {{dense_c2: bias must have 4 elements, got 'tensor<8xf32>'}}
  %y = dense "d"(%x, %w, %b) : (tensor<?x?x8xf32>, tensor<4x8xf32>, tensor<8xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<4x8xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{dense_c3: result must have the input's leading dimensions and 4, got}}
  %y = dense "d"(%x, %w) : (tensor<?x?x8xf32>, tensor<4x8xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<4xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{norm_c1: scale and bias must be vectors of 8, got 'tensor<4xf32>'}}
  %y = rms_norm "n"(%x, %w) {epsilon = 1.0} : (tensor<?x?x8xf32>, tensor<4xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>, %b: tensor<4xf32>) attributes {input_names = ["x", "w", "b"]} {
  // expected-error@+1 {{norm_c1: scale and bias must be vectors of 8, got 'tensor<4xf32>'}}
  %y = layer_norm "n"(%x, %w, %b) {epsilon = 1.0} : (tensor<?x?x8xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %w: tensor<8xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{norm_c2: result must have the input's shape}}
  %y = rms_norm "n"(%x, %w) {epsilon = 1.0} : (tensor<?x?x8xf32>, tensor<8xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<f32>, %w: tensor<8xf32>) attributes {input_names = ["x", "w"]} {
  // expected-error@+1 {{norm_c1: input must have a last dimension}}
  %y = rms_norm "n"(%x, %w) {epsilon = 1.0} : (tensor<f32>, tensor<8xf32>) -> tensor<f32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{split_heads_c1: input must be (batch, tokens, a multiple of 3), got}}
  %y = split_heads "s"(%x) {heads = 3 : i64} : (tensor<?x?x8xf32>) -> tensor<?x3x?x2xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{split_heads_c1: result must be (batch, 2, tokens, 4), got}}
  %y = split_heads "s"(%x) {heads = 2 : i64} : (tensor<?x?x8xf32>) -> tensor<?x2x?x2xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x2x?x4xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{merge_heads_c1: expected (batch, heads, tokens, headDim) to (batch, tokens, heads * headDim)}}
  %y = merge_heads "m"(%x) : (tensor<?x2x?x4xf32>) -> tensor<?x?x6xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{slice_c1: columns 6 to 6 + 4 are not within}}
  %y = slice "s"(%x) {offset = 6 : i64, size = 4 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{slice_c1: columns}}
  %y = slice "s"(%x) {offset = 9223372036854775807 : i64, size = 9223372036854775807 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{slice_c2: result must have 4 columns, got}}
  %y = slice "s"(%x) {offset = 2 : i64, size = 4 : i64} : (tensor<?x?x8xf32>) -> tensor<?x?x6xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x2x?x4xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["x", "ids"]} {
  // expected-error@+1 {{rotary_c1: rope dim 6 must be at most the head size of}}
  %y = rotary_embedding "r"(%x, %ids) <base = 1.0e4 : f64, dim = 6> : (tensor<?x2x?x4xf32>, tensor<?x?xi32>) -> tensor<?x2x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x2x?x4xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["x", "ids"]} {
  // expected-error@+1 {{rotary_c2: result must have the input's shape, got}}
  %y = rotary_embedding "r"(%x, %ids) <base = 1.0e4 : f64, dim = 4> : (tensor<?x2x?x4xf32>, tensor<?x?xi32>) -> tensor<?x4x?x4xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %z: tensor<?x?x4xf32>) attributes {input_names = ["x", "z"]} {
  // expected-error@+1 {{elementwise_c1: expected one shape, got 'tensor<?x?x4xf32>' and 'tensor<?x?x8xf32>'}}
  %y = add "a"(%x, %z) : (tensor<?x?x8xf32>, tensor<?x?x4xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{elementwise_c1: expected one shape}}
  %y = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x8xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "ids"]} {
  // expected-error@+1 {{attention_c1: expected either key and value or a slot}}
  %a = attention "a"(%q) at %ids {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x3x?x16xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "ids"]} {
  // expected-error@+1 {{attention_c2: kv heads must divide heads and head sizes must agree}}
  %a = attention "a"(%q, %k, %k) at %ids {scale = 1.0} : (tensor<?x3x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>) -> tensor<?x3x?x16xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["x", "k", "ids"]} {
  // expected-error@+1 {{attention_c2: query must be (batch, heads, tokens, headDim), got}}
  %a = attention "a"(%x, %k, %k) at %ids {scale = 1.0} : (tensor<?x?x8xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %x: tensor<?x?x8xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "x", "ids"]} {
  // expected-error@+1 {{attention_c2: key and value must be (batch, kvHeads, tokens, headDim), got}}
  %a = attention "a"(%q, %k, %x) at %ids {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?x8xf32>, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

!slot = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>
layer.graph @g(%q: tensor<?x4x?x8xf32>, %slot: !slot, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "slot", "ids"]} {
  // expected-error@+1 {{attention_c2: kv heads must divide heads and head sizes must agree, got 'tensor<?x4x?x8xf32>' over 2 x 16}}
  %a = attention "a"(%q) over %slot at %ids {scale = 1.0} : (tensor<?x4x?x8xf32>, !slot, tensor<?x?xi32>) -> tensor<?x4x?x8xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "ids"]} {
  // expected-error@+1 {{attention_c3: result must be (batch, 4, tokens, 16), got}}
  %a = attention "a"(%q, %k, %k) at %ids {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>) -> tensor<?x4x?x8xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "k", "ids"]} {
  // expected-error@+1 {{attention_c4: window must be positive and needs causal}}
  %a = attention "a"(%q, %k, %k) at %ids {scale = 1.0, window = 4 : i64} : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

layer.graph @g(%ids: tensor<?x?xi32>, %t: tensor<8x4xf32>) attributes {input_names = ["ids", "t"]} {
  // expected-error@+1 {{embedding_c2: offset must be from 0 to below the table's rows, got 8}}
  %y = embedding "y"(%ids, %t) {offset = 8 : i64} : (tensor<?x?xi32>, tensor<8x4xf32>) -> tensor<?x?x4xf32>
  output
}

// -----

!cross = !layer.attention_cache<2 x 16, cross, keys = f32, values = f32>
layer.graph @g(%q: tensor<?x4x?x16xf32>, %slot: !cross, %ids: tensor<?x?xi32>) attributes {input_names = ["q", "slot", "ids"]} {
  // expected-error@+1 {{attention_c5: a cross slot is read without causal}}
  %a = attention "a"(%q) over %slot at %ids {causal, scale = 1.0} : (tensor<?x4x?x16xf32>, !cross, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %t: tensor<8x2xf32>) attributes {input_names = ["q", "k", "ids", "t"]} {
  // expected-error@+1 {{attention_c6: bias must be (buckets, 4), got 'tensor<8x2xf32>'}}
  %a = attention "a"(%q, %k, %k) at %ids bias %t <max_distance = 16> {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, tensor<8x2xf32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

layer.graph @g(%q: tensor<?x4x?x16xf32>, %k: tensor<?x2x?x16xf32>, %ids: tensor<?x?xi32>, %t: tensor<8x4xf32>) attributes {input_names = ["q", "k", "ids", "t"]} {
  // expected-error@+1 {{attention_c6: bias needs at least two buckets a direction and max_distance beyond the exact ones}}
  %a = attention "a"(%q, %k, %k) at %ids bias %t <max_distance = 4> {scale = 1.0} : (tensor<?x4x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x16xf32>, tensor<?x?xi32>, tensor<8x4xf32>) -> tensor<?x4x?x16xf32>
  output
}

// -----

// expected-error@+1 {{relative_bias_c1: max_distance must be from 1 to 4096, got 0}}
module attributes {r = #layer.relative_bias<max_distance = 0>} {}
