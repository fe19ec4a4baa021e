// RUN: graphc-opt %s --split-input-file --layer-apply-policy="policy=compute=bf16" | FileCheck %s --check-prefix=ALL
// RUN: graphc-opt %s --split-input-file --layer-apply-policy="policy=compute=bf16,output=f32;silu:compute=f32;name:b.second:output=f16" | FileCheck %s --check-prefix=LATER
// RUN: graphc-opt %s --split-input-file --layer-apply-policy="policy=params=f16;*.kernel:params=bf16;name:b.first:params=f32" | FileCheck %s --check-prefix=PARAMS
// RUN: not graphc-opt %s --split-input-file --layer-apply-policy="policy=a-z.*:compute=f16;*.0-1:compute=f32" 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not graphc-opt %s --split-input-file --layer-apply-policy="policy=*.kernel:compute=f16" 2>&1 | FileCheck %s --check-prefix=PARAMETER

// The example of the pass's documentation, with a parameter that two layers
// read and a layer that has a policy already.
// ALL-LABEL: layer.graph @sets_what_the_rule_names
// ALL: silu "ffn.activation"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
// ALL: dense "b.first"({{.*}}) policy<compute = bf16> :
// ALL: dense "b.second"({{.*}}) policy<compute = bf16, output = f32> :
// ALL: optional "extra"(%{{[a-z0-9_]*}}) :

// Rules are taken in order, key by key; the attribute in the IR comes first.
// LATER: silu "ffn.activation"(%x) policy<compute = f32, output = f32>
// LATER: dense "b.first"({{.*}}) policy<compute = bf16, output = f32>
// LATER: dense "b.second"({{.*}}) policy<compute = bf16, output = f16>

// A rule that selects the parameter is recorded on its reader, which splits for
// a layer that a later rule selects.
// PARAMS: %[[FIRST:[a-z0-9._]*]] = param @b.kernel : tensor<8x8xf32>
// PARAMS-NEXT: %[[OWN:[a-z0-9._]*]] = param @b.kernel {storage = bf16} : tensor<8x8xf32>
// PARAMS: silu "ffn.activation"(%x) policy<params = f16>
// PARAMS: dense "b.first"({{.*}}, %[[FIRST]]) policy<params = f32>
// PARAMS: dense "b.second"({{.*}}, %[[OWN]]) policy<params = f16, compute = f16, output = f32>
// PARAMETER: error: policy rule '*.kernel:compute=f16': it selects parameters, whose only key is params
// NONE: error: policy rule 'a-z.*:compute=f16': 'a-z.*' matches nothing
layer.parameter @b.kernel : tensor<8x8xf32>
layer.graph @sets_what_the_rule_names(%x: tensor<?x?x8xf32>) -> (tensor<?x?x8xf32>) attributes {input_names = ["x"]} {
  %w = param @b.kernel : tensor<8x8xf32>
  %y = silu "ffn.activation"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  %a = dense "b.first"(%y, %w) : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %b = dense "b.second"(%a, %w) policy<compute = f16, output = f32> : (tensor<?x?x8xf32>, tensor<8x8xf32>) -> tensor<?x?x8xf32>
  %o = optional "extra"(%b) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
  output y = %o : tensor<?x?x8xf32>
}
