// One violation of each constraint on the structure of a graph.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{reads parameter 'w', which is not declared}}
  %w = param @w : tensor<8xf32>
  output
}

// -----

// expected-note@+1 {{declared here}}
layer.parameter @w : tensor<8xbf16>
layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{param_c1: type must be the declared 'tensor<8xbf16>', got 'tensor<8xf32>'}}
  %w = param @w : tensor<8xf32>
  output
}

// -----

// expected-error@+1 {{graph_c1: output types must be the signature's}}
layer.graph @g(%x: tensor<8xf32>) -> (tensor<8xf16>) attributes {input_names = ["x"]} {
  output x = %x : tensor<8xf32>
}

// -----

// expected-error@+1 {{graph_c2: expected one input name per argument, got 2 for 1}}
layer.graph @g(%x: tensor<8xf32>) attributes {input_names = ["x", "y"]} {
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-note@+1 {{by this layer}}
  %a = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // expected-error@+1 {{graph_c3: layer name 'a' is taken}}
  %b = relu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<8xf32>) -> (tensor<8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{output_c1: expected one name per value, got 2 names for 1 values}}
  "layer.output"(%x) <{names = ["a", "b"]}> : (tensor<8xf32>) -> ()
}

// -----

layer.graph @g(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{output_c2: names must differ, got "a" twice}}
  output a = %x : tensor<8xf32>, a = %x : tensor<8xf32>
}

// -----

!cache = !layer.cache<!layer.block_cache<self = !layer.attention_cache<2 x 16, full, keys = f32, values = f32>>>
layer.graph @g(%cache: !cache) attributes {input_names = ["cache"]} {
  // expected-error@+1 {{cast_c1: a cache is never cast; its element types are set by --pin-cache}}
  %y = cast %cache : !cache to tensor<8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{cast_c2: expected float tensors of one shape, got 'tensor<8xf32>' and 'tensor<9xbf16>'}}
  %y = cast %x : tensor<8xf32> to tensor<9xbf16>
  output
}

// -----

layer.graph @g(%x: tensor<8xi32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{cast_c2: expected float tensors of one shape}}
  %y = cast %x : tensor<8xi32> to tensor<8xf32>
  output
}

// -----

layer.graph @g(%x: tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{container_c1: result types must be the operands'}}
  %y = container "c"(%x) : (tensor<?x?x8xf32>) -> !layer.container<tensor<8xf32>>
  output
}

// -----

layer.graph @g(%x: !layer.container<tensor<8xf32>>) attributes {input_names = ["x"]} {
  // expected-error@+1 {{unpack_c1: result types must be the container's}}
  %y = unpack %x : (!layer.container<tensor<8xf32>>) -> tensor<9xf32>
  output
}
