// The whole pipeline on one decoder block.
// RUN: graphc-opt %S/../../IR/decoder-block.ir --layer-pipeline="policy=compute=bf16,output=f32 pin-cache=bf16" -o %t.once
// RUN: FileCheck %s --input-file=%t.once
// RUN: graphc-opt %t.once --layer-pipeline="policy=compute=bf16,output=f32 pin-cache=bf16" | diff %t.once -
// RUN: graphc-opt %S/../../IR/decoder-block.ir --layer-pipeline="policy=compute=bf16,output=f32 pin-cache=k=f16,v=auto outputs=logits,hidden_states,attentions" | FileCheck %s --check-prefix=ALL

// All activations are bf16, no cast is left, logits are unrounded f32 sums.
// CHECK: !slot = !layer.attention_cache<2 x 16, full, keys = bf16, values = bf16>
// CHECK: -> (tensor<?x?x256xf32>, !cache) attributes {casts = #layer.casts<explicit>
// CHECK-NOT: cast %
// CHECK: cached_attention "layers.0.self_attention"({{.*}}) in %cache[0] {causal, scale = 2.500000e-01 : f64} policy<compute = bf16, output = f32> : tensor<?x4x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xbf16>, tensor<?x?xi32>, !cache -> tensor<?x4x?x16xbf16>
// CHECK-NOT: cast %
// CHECK: dense "language_modeling_head"({{.*}}) policy<compute = bf16, output = f32> : (tensor<?x?x64xbf16>, tensor<256x64xbf16>) -> tensor<?x?x256xf32>
// CHECK-NOT: cast %
// CHECK: output logits = %{{.*}} : tensor<?x?x256xf32>, cache = %{{.*}} : !cache

// Requested outputs are f32 and wide; the layers go on reading rounded values.
// ALL: !slot = !layer.attention_cache<2 x 16, full, keys = f16, values = bf16>
// ALL: %[[X:.*]] = embedding {{.*}} -> tensor<?x?x64xf32>
// ALL: cast %[[X]] because ["compute=bf16 layers.0.self_attention_norm by materialize-casts+fold-casts", "compute=bf16 layers.0.self_attention.residual by materialize-casts+fold-casts"]
// ALL: cached_attention {{.*}} -> tensor<?x4x?x16xbf16> weights tensor<?x4x?x?xf32>
// ALL: output logits = {{.*}}, hidden_states = {{.*}}, attentions = {{.*}}, cache = {{.*}} : !cache
