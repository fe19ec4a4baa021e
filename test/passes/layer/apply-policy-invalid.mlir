// RUN: graphc-opt %s --verify-diagnostics --split-input-file --layer-apply-policy="policy=silu:compute=bf16,output=f16;compute=f32,output=f32"

// expected-warning@+1 {{policy rule 'silu:compute=bf16,output=f16' has no effect: later rules override all of it}}
module {
layer.graph @says_when_a_rule_is_wholly_overridden(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}
}

// -----

// expected-error@+1 {{policy rule 'silu:compute=bf16,output=f16': 'silu' matches nothing; nearest: 'relu', 'swiglu'}}
module {
layer.graph @names_the_nearest_layers(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %y = relu "swiglu"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}
}

// -----

// expected-error@+1 {{policy rule 'silu:compute=bf16,output=f16': 'silu' is a kind of layer and a name; write 'op:silu' or 'name:silu'}}
module {
layer.graph @asks_which_of_kind_and_name(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %y = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %z = relu "silu"(%y) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %z : tensor<?x?x8xf32>
}
}

// -----

// expected-warning@+1 {{has no effect}}
module {
layer.graph @refuses_to_change_what_has_become_casts(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {casts = #layer.casts<explicit>, input_names = ["x"]} {
  // expected-error@+1 {{policy of 'a' cannot change: casts are explicit already; apply policies first}}
  %y = silu "a"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %y : tensor<?x?x8xf32>
}
}
