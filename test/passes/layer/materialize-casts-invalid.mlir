// RUN: graphc-opt %s --verify-diagnostics --layer-materialize-casts="semantics=axn"

// expected-error@+1 {{policy semantics must be graphc or axon, got 'axn'}}
layer.graph @unknown_semantics(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  output y = %x : tensor<?x?x8xf32>
}
