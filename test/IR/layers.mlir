// Every layer, cache operation and type that the decoder block does not have:
// the text is a fixed point of the printer, and bytecode keeps it.
// RUN: graphc-opt %s | FileCheck %s
// RUN: graphc-opt %s -o %t.once && graphc-opt %t.once | diff %t.once -
// RUN: graphc-opt %s --emit-bytecode | graphc-opt | diff %t.once -
// RUN: graphc-opt %s --mlir-print-op-generic | graphc-opt | diff %t.once -

// CHECK-DAG: !layer.attention_cache<8 x 128, full, keys = bf16, values = f16>
// CHECK-DAG: !layer.attention_cache<8 x 128, window 1024, keys = auto, values = f32>
// CHECK-DAG: !layer.attention_cache<16 x 64, cross, keys = f16, values = f16>
// CHECK-DAG: !cache = !layer.cache<5 x !block, !block1, 2 x !block>
!full = !layer.attention_cache<8 x 128, full, keys = bf16, values = f16>
!local = !layer.attention_cache<8 x 128, window 1024, keys = auto, values = f32>
!cross = !layer.attention_cache<16 x 64, cross, keys = f16, values = f16>
!five = !layer.block_cache<self = !local>
!both = !layer.block_cache<self = !full, cross = !cross>
!cache = !layer.cache<5 x !five, !both, 2 x !five>
!x = tensor<?x?x8xf32>
!ids = tensor<?x?xi32>

// CHECK: layer.parameter @w : tensor<8x8xf32>{{$}}
layer.parameter @w : tensor<8x8xf32>
// CHECK: layer.parameter @b : tensor<8xf16> from "model.bias"
layer.parameter @b : tensor<8xf16> from "model.bias"

// CHECK-LABEL: layer.graph @layers
// CHECK-SAME: casts = #layer.casts<explicit>
layer.graph @layers(%x: !x, %ids: !ids) -> (!x, !layer.none) attributes {casts = #layer.casts<explicit>, input_names = ["x", "ids"]} {
  // CHECK: param @w {storage = bf16} : tensor<8x8xf32>
  %w = param @w {storage = bf16} : tensor<8x8xf32>
  %b = param @b : tensor<8xf16>
  // CHECK: layer_norm "n"(%x, %{{.*}}, %{{.*}}) {epsilon = 1.000000e-05 : f64} policy<params = f16, compute = bf16, output = f32> :
  %n = layer_norm "n"(%x, %b, %b) {epsilon = 1.0e-5} policy<params = f16, compute = bf16, output = f32> : (!x, tensor<8xf16>, tensor<8xf16>) -> !x
  // CHECK: rms_norm "r"(%n, %{{.*}}) {epsilon = 1.000000e-05 : f64, shift = 1.000000e+00 : f64}
  %r = rms_norm "r"(%n, %b) {epsilon = 1.0e-5, shift = 1.0} : (!x, tensor<8xf16>) -> !x
  // CHECK: dense "d"(%r, %{{.*}}, %{{.*}}) {input_major}
  %d = dense "d"(%r, %w, %b) {input_major} : (!x, tensor<8x8xf32>, tensor<8xf16>) -> !x
  // CHECK: slice "s"(%d) {offset = 4 : i64, size = 4 : i64}
  %s = slice "s"(%d) {offset = 4 : i64, size = 4 : i64} : (!x) -> tensor<?x?x4xf32>
  // CHECK: gelu "g"(%d)
  %g = gelu "g"(%d) : (!x) -> !x
  // CHECK: gelu_tanh "t"(%g)
  %t = gelu_tanh "t"(%g) : (!x) -> !x
  // CHECK: relu "u"(%t) policy<output = bf16>
  %u = relu "u"(%t) policy<output = bf16> : (!x) -> !x
  // CHECK: multiply "m"(%u, %x)
  %m = multiply "m"(%u, %x) : (!x, !x) -> !x
  // CHECK: cast %m because ["compute=bf16 a", "compute=bf16 b"] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
  %c = cast %m because ["compute=bf16 a", "compute=bf16 b"] : !x to tensor<?x?x8xbf16>
  // CHECK: cast %{{.*}} : tensor<?x?x8xbf16> to tensor<?x?x8xf32>
  %f = cast %c : tensor<?x?x8xbf16> to !x
  // CHECK: %[[P:.*]] = positions %ids : (tensor<?x?xi32>) -> tensor<?x?xi32>
  %p = positions %ids : (!ids) -> !ids
  %h = split_heads "h"(%f) {heads = 2 : i64} : (!x) -> tensor<?x2x?x4xf32>
  // CHECK: attention "direct"(%h, %h, %h) at %[[P]] {causal, scale = 1.000000e+00 : f64, window = 4 : i64}
  %a = attention "direct"(%h, %h, %h) at %p {causal, scale = 1.0, window = 4 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, !ids) -> tensor<?x2x?x4xf32>
  %y = merge_heads "y"(%a) : (tensor<?x2x?x4xf32>) -> !x
  // CHECK: %[[NONE:.*]] = none : !layer.none
  %none = none : !layer.none
  output y = %y : !x, none = %none : !layer.none
}

// CHECK-LABEL: layer.graph @caches
layer.graph @caches(%q: tensor<?x16x?x64xf32>, %k: tensor<?x8x?x128xbf16>, %v: tensor<?x8x?x128xf16>, %ids: !ids, %cache: !cache) -> (tensor<?x16x?x64xf32>, tensor<?x16x?x?xf32>, !cache) attributes {input_names = ["q", "k", "v", "ids", "cache"]} {
  // CHECK: %[[B:.*]] = get_block_cache %cache[5]
  %b = get_block_cache %cache[5] : !cache -> !both
  // CHECK: %[[X:.*]] = get_attention_cache %[[B]] cross
  %x = get_attention_cache %b cross : !both -> !cross
  // CHECK: attention "cross"(%q) over %[[X]] at %ids {scale = 1.000000e+00 : f64}
  %a, %w = attention "cross"(%q) over %x at %ids {scale = 1.0} : (tensor<?x16x?x64xf32>, !cross, !ids) -> (tensor<?x16x?x64xf32>, tensor<?x16x?x?xf32>)
  // CHECK: %[[B1:.*]] = put_attention_cache %[[X]] into %[[B]] cross
  %b1 = put_attention_cache %x into %b cross : !cross, !both
  %s = get_attention_cache %b1 self : !both -> !full
  %s1 = cache_append %s, %k, %v at %ids : !full, tensor<?x8x?x128xbf16>, tensor<?x8x?x128xf16>, !ids
  // CHECK: %[[B2:.*]] = put_attention_cache %{{.*}} into %[[B1]] self
  %b2 = put_attention_cache %s1 into %b1 self : !full, !both
  // CHECK: put_block_cache %[[B2]] into %cache[5]
  %c = put_block_cache %b2 into %cache[5] : !both, !cache
  // CHECK: cache_advance
  %c1 = cache_advance %c by %ids : !cache, !ids
  output a = %a : tensor<?x16x?x64xf32>, weights = %w : tensor<?x16x?x?xf32>, cache = %c1 : !cache
}

// What an encoder writes, and a bias of relative positions.
// CHECK-LABEL: layer.graph @encode
layer.graph @encode(%ids: !ids, %k: tensor<?x16x?x64xbf16>, %cache: !cache, %table: tensor<32x16xf32>, %rows: tensor<34x8xf32>) -> (tensor<?x16x?x64xbf16>, tensor<?x?x8xf32>, !cache) attributes {input_names = ["ids", "k", "cache", "table", "rows"]} {
  // CHECK: %[[E:.*]] = embedding "e"(%ids, %rows) {offset = 2 : i64}
  %e = embedding "e"(%ids, %rows) {offset = 2 : i64} : (!ids, tensor<34x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: scale "scaled"(%[[E]]) {factor = 8.000000e+00 : f64}
  %scaled = scale "scaled"(%e) {factor = 8.0} : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  // CHECK: attention "biased"(%k, %k, %k) at %ids bias %table <max_distance = 128, bidirectional = unit> {scale = 1.000000e+00 : f64}
  %a = attention "biased"(%k, %k, %k) at %ids bias %table <max_distance = 128, bidirectional = unit> {scale = 1.0} : (tensor<?x16x?x64xbf16>, tensor<?x16x?x64xbf16>, tensor<?x16x?x64xbf16>, !ids, tensor<32x16xf32>) -> tensor<?x16x?x64xbf16>
  %b = get_block_cache %cache[5] : !cache -> !both
  %x = get_attention_cache %b cross : !both -> !cross
  // CHECK: cache_store "cross"(%k, %k, %ids) into %{{.*}} policy<compute = f16>
  %x1 = cache_store "cross"(%k, %k, %ids) into %x policy<compute = f16> : tensor<?x16x?x64xbf16>, tensor<?x16x?x64xbf16>, !ids, !cross
  %b1 = put_attention_cache %x1 into %b cross : !cross, !both
  %c = put_block_cache %b1 into %cache[5] : !both, !cache
  output a = %a : tensor<?x16x?x64xbf16>, scaled = %scaled : tensor<?x?x8xf32>, cache = %c : !cache
}

// An output name that is no identifier is quoted; a graph may have no output.
// CHECK-LABEL: layer.graph @names
// CHECK: output "hidden states" = %x
layer.graph @names(%x: !x) -> (!x) attributes {input_names = ["x"]} {
  output "hidden states" = %x : !x
}
// CHECK-LABEL: layer.graph @nothing() attributes
// CHECK-NEXT: output
layer.graph @nothing() attributes {input_names = []} {
  output
}
