// RUN: graphc-opt %s --verify-diagnostics --split-input-file --layer-resolve-optional

!f = tensor<?x?x8xf32>
layer.graph @a_required_output_cannot_be_absent(%x: !layer.none) -> (!layer.container<!layer.none>) attributes {input_names = ["x"]} {
  %c = container "c"(%x) : (!layer.none) -> !layer.container<!layer.none>
  // expected-error@+1 {{'y' is absent: it needs an input that is not given}}
  output y = %c : !layer.container<!layer.none>
}

// -----

layer.graph @nothing_to_attend_over(%q: tensor<?x4x?x16xf32>, %ids: tensor<?x?xi32>, %cache: !layer.none) -> (tensor<?x4x?x16xf32>) attributes {input_names = ["q", "ids", "cache"]} {
  %block = get_block_cache %cache[0] : !layer.none -> !layer.none
  %slot = get_attention_cache %block self : !layer.none -> !layer.none
  // expected-error@+1 {{'attend' reads an absent cache to which no rows are appended}}
  %a = attention "attend"(%q) over %slot at %ids {scale = 1.0} : (tensor<?x4x?x16xf32>, !layer.none, tensor<?x?xi32>) -> tensor<?x4x?x16xf32>
  output a = %a : tensor<?x4x?x16xf32>
}
