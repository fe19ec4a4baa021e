// RUN: graphc-opt %s --layer-prune-outputs="outputs=encoder_hidden_state,cross_attentions" | FileCheck %s
// RUN: graphc-opt %s --layer-prune-outputs="outputs=encoder_hidden_state,cross_attentions" | graphc-opt --layer-prune-outputs="outputs=encoder_hidden_state,cross_attentions" | FileCheck %s
// RUN: not graphc-opt %s --layer-prune-outputs="outputs=logits,hidden_state" 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: graphc-opt %s --layer-prune-outputs="outputs=hidden_states" | FileCheck %s --check-prefix=DECODER
// UNKNOWN: error: output 'hidden_state' is not known; the outputs are 'logits', 'encoder_hidden_state', 'cross_attentions', 'decoder_hidden_states'

// Encoder-decoder keys are outputs like any other; a requested one is no longer
// optional, and only what was requested stays.
// CHECK-LABEL: layer.graph @keeps_requested_encoder_outputs
// CHECK-NEXT: %[[E:.*]] = silu "encoder"(%x)
// CHECK-NEXT: %[[C:.*]] = relu "cross"(%[[E]])
// CHECK-NEXT: output encoder_hidden_state = %[[E]] : tensor<?x?x8xf32>, cross_attentions = %[[C]] : tensor<?x?x8xf32>
// Without a prefix the decoder's are meant.
// DECODER: output decoder_hidden_states = %{{.*}} : tensor<?x?x8xf32>
!f = tensor<?x?x8xf32>
layer.graph @keeps_requested_encoder_outputs(%x: !f) -> (!f, !f, !f, !f) attributes {input_names = ["x"]} {
  %e = silu "encoder"(%x) : (!f) -> !f
  %c = relu "cross"(%e) : (!f) -> !f
  %l = gelu "head"(%c) : (!f) -> !f
  %eo = optional "encoder_hidden_state"(%e) : (!f) -> !f
  %co = optional "cross_attentions"(%c) : (!f) -> !f
  %ho = optional "decoder_hidden_states"(%l) : (!f) -> !f
  output logits = %l : !f, encoder_hidden_state = %eo : !f, cross_attentions = %co : !f, decoder_hidden_states = %ho : !f
}
