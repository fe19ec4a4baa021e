// RUN: graphc-opt %s --verify-diagnostics --layer-fold-casts

// expected-error@+1 {{casts must be explicit before they fold; run layer-materialize-casts first}}
layer.graph @implicit(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  output y = %x : tensor<?x?x8xf32>
}
