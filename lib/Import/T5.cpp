// T5 (transformers' T5ForConditionalGeneration; 1.0, 1.1 and FLAN): pre-norm
// blocks without biases. Positions enter only as a bias of the self attentions'
// scores, whose table the first block owns. The scores are not scaled.
#include "Import/Family.h"
#include "Support/Message.h"
#include "Support/RelativeBias.h"

#include <cmath>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;

namespace {
struct T5 {
  int64_t vocab, hidden, headDim, ffn, encoderLayers, decoderLayers, heads, buckets, maxDistance, maxLength;
  double epsilon;
  Activation activation;
  bool isGated, tied, scalesLogits;

  AttentionShape attention() const { return {heads, heads, headDim, /*scale=*/1.0}; }
  RelativeTable table(const std::string &stack) const {
    return {stack + ".block.0.layer.0.SelfAttention.relative_attention_bias", buckets, maxDistance,
            /*bidirectional=*/stack == "encoder"};
  }
};

/// "relu", or "gated-gelu" and the like; 'gated-gelu' means the tanh form.
void readFeedForward(Config &config, T5 &model) {
  const std::string projection = config.text("feed_forward_proj", "relu");
  StringRef name = projection;
  model.isGated = name.consume_front("gated-");
  const std::optional<Activation> activation = parseActivation(model.isGated && name == "gelu" ? "gelu_new" : name);
  if (!activation)
    config.error("feed_forward_proj") << "key 'feed_forward_proj' must be an activation or 'gated-' and one, got '"
                                      << projection << "'";
  model.activation = activation.value_or(Activation::Relu);
  // Written by transformers from the key above; they may not say otherwise.
  if (config.flag("is_gated_act", model.isGated) != model.isGated)
    config.error("is_gated_act") << "key 'is_gated_act' must agree with feed_forward_proj = '" << projection << "'";
  if (config.value("dense_act_fn") && readActivation(config, "dense_act_fn", "relu") != model.activation)
    config.error("dense_act_fn") << "key 'dense_act_fn' must agree with feed_forward_proj = '" << projection << "'";
}

T5 read(Config &config) {
  T5 model{};
  model.vocab = config.size("vocab_size");
  model.hidden = config.size("d_model");
  model.headDim = config.size("d_kv", 64, /*most=*/65536);
  model.ffn = config.size("d_ff");
  model.encoderLayers = config.size("num_layers", std::nullopt, /*most=*/4096);
  model.decoderLayers = config.size("num_decoder_layers", model.encoderLayers, /*most=*/4096);
  model.heads = config.size("num_heads", std::nullopt, /*most=*/65536);
  model.buckets = config.size("relative_attention_num_buckets", 32, /*most=*/4096);
  model.maxDistance = config.size("relative_attention_max_distance", 128, /*most=*/4096);
  model.maxLength = config.size("n_positions", 512); // what the model was trained with; no limit
  model.epsilon = config.positive("layer_norm_epsilon", 1e-6);
  readFeedForward(config, model);
  for (bool bidirectional : {true, false})
    if (!RelativeBuckets{model.buckets, model.maxDistance, bidirectional}.areValid()) {
      config.error("relative_attention_num_buckets")
          << "key 'relative_attention_num_buckets' must be even, at least 4, and leave fewer exact buckets than "
          << "relative_attention_max_distance = " << model.maxDistance << ", got " << model.buckets;
      break;
    }
  // transformers 4 has one key for both; 5 ties whatever no tensor contradicts
  // and says in another key whether logits are scaled.
  model.tied = config.flag("tie_word_embeddings", true);
  model.scalesLogits = config.flag("scale_decoder_outputs", model.tied);
  return model;
}

/// Query rows of `n` under `at`.
Value heads(GraphBuilder &g, const T5 &m, const Twine &name, Value n, const Twine &tensor) {
  const std::string path = name.str();
  return g.splitHeads(path + ".heads", g.dense(path, n, tensor, m.heads * m.headDim, /*bias=*/false), m.heads);
}

/// x plus the output projection of an attention's result `a`.
Value addAttention(GraphBuilder &g, const T5 &m, const std::string &at, const std::string &tensors, Value x, Value a) {
  a = g.mergeHeads(at + ".merge", a);
  return g.add(at + ".residual", x, g.dense(at + ".output", a, tensors + ".o", m.hidden, /*bias=*/false));
}

Value feedForward(GraphBuilder &g, const T5 &m, const std::string &at, const std::string &tensors, Value x) {
  const std::string dense = tensors + ".DenseReluDense.";
  Value n = g.rmsNorm(at + ".ffn_norm", x, tensors + ".layer_norm", m.epsilon), inner;
  if (m.isGated) {
    Value gate = g.dense(at + ".ffn.gate", n, dense + "wi_0", m.ffn, /*bias=*/false);
    Value up = g.dense(at + ".ffn.up", n, dense + "wi_1", m.ffn, /*bias=*/false);
    inner = g.multiply(at + ".ffn.gated", g.activation(at + ".ffn.activation", m.activation, gate), up);
  } else {
    inner = g.activation(at + ".ffn.activation", m.activation,
                         g.dense(at + ".ffn.intermediate", n, dense + "wi", m.ffn, /*bias=*/false));
  }
  return g.add(at + ".ffn.residual", x, g.dense(at + ".ffn.output", inner, dense + "wo", m.hidden, /*bias=*/false));
}

/// One block of a stack. Of the decoder: with its slots.
Value block(GraphBuilder &g, const T5 &m, const std::string &stack, int64_t i, Value x) {
  const std::string at = concat(stack, ".layers.", i), tensors = concat(stack, ".block.", i, ".layer.");
  const std::string self = at + ".self_attention", selfTensors = tensors + "0.SelfAttention";
  const bool decodes = stack == "decoder";

  Value n = g.rmsNorm(self + "_norm", x, tensors + "0.layer_norm", m.epsilon);
  Value q = heads(g, m, self + ".query", n, selfTensors + ".q");
  Value k = heads(g, m, self + ".key", n, selfTensors + ".k");
  Value v = heads(g, m, self + ".value", n, selfTensors + ".v");
  const RelativeTable table = m.table(stack);
  Value a = decodes ? g.attention(self, i, q, k, v, &table)
                    : g.encoderAttention(self, m.attention(), q, k, v, &table);
  x = addAttention(g, m, self, selfTensors, x, a);
  if (decodes) {
    const std::string cross = at + ".cross_attention", crossTensors = tensors + "1.EncDecAttention";
    n = g.rmsNorm(cross + "_norm", x, tensors + "1.layer_norm", m.epsilon);
    a = g.crossAttention(cross, i, heads(g, m, cross + ".query", n, crossTensors + ".q"));
    x = addAttention(g, m, cross, crossTensors, x, a);
  }
  return feedForward(g, m, at, tensors + (decodes ? "2" : "1"), x);
}

/// All blocks of a stack, from the tokens to the final norm.
Value stackOf(GraphBuilder &g, const T5 &m, const std::string &stack, int64_t layers) {
  Value x = g.embedding(stack + ".embedder", g.inputIds(), "shared", m.vocab, m.hidden);
  for (int64_t i = 0; i < layers && !g.hasFailed(); ++i) {
    g.hiddenState(x);
    x = block(g, m, stack, i, x);
  }
  g.hiddenState(x);
  return g.rmsNorm(stack + ".output_norm", x, stack + ".final_layer_norm", m.epsilon);
}

LogicalResult build(Config &config, const Family &family, GraphBuilder &g) {
  const T5 m = read(config);
  if (failed(config.finish(family.name, family.harmlessKeys)))
    return failure();
  const ModelInfo info{m.vocab, m.hidden, m.maxLength};
  const SmallVector<AttentionShape> slots(size_t(m.decoderLayers), m.attention()); // self and cross alike

  g.begin(info, slots, slots, GraphRole::Encoder);
  Value states = stackOf(g, m, "encoder", m.encoderLayers);
  for (int64_t i = 0; i < m.decoderLayers && !g.hasFailed(); ++i) {
    const std::string at = concat("decoder.layers.", i, ".cross_attention");
    const std::string tensors = concat("decoder.block.", i, ".layer.1.EncDecAttention");
    Value k = heads(g, m, at + ".key", states, tensors + ".k"), v = heads(g, m, at + ".value", states, tensors + ".v");
    g.storeCross(at, i, k, v);
  }
  g.finish(states);
  if (g.hasFailed())
    return failure();

  g.begin(info, slots, slots, GraphRole::Decoder);
  Value x = stackOf(g, m, "decoder", m.decoderLayers);
  Value read = m.scalesLogits ? g.scale("decoder.logits_scale", x, std::pow(double(m.hidden), -0.5)) : x;
  const bool ownHead = g.hasTensor("lm_head.weight", /*otherwise=*/!m.tied) && !(m.tied && m.scalesLogits);
  Value logits = g.dense("language_modeling_head", read, ownHead ? "lm_head" : "shared", m.vocab, /*bias=*/false);
  g.finish(x, logits);
  return failure(g.hasFailed());
}

constexpr llvm::StringLiteral kModelTypes[] = {"t5"};
constexpr llvm::StringLiteral kHarmless[] = {"classifier_dropout", "dropout_rate", "initializer_factor"};
constexpr llvm::StringLiteral kPrefixes[] = {""};
// Copies of the shared embedding; the head of a tied model may be stored twice;
// old checkpoints of cross attentions carry a table that nothing reads.
constexpr llvm::StringLiteral kUnused[] = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                                           "lm_head.weight", "EncDecAttention.relative_attention_bias.weight"};
} // namespace

constexpr Family graphc::importer::kT5{
    .name = "t5",
    .modelTypes = kModelTypes,
    .harmlessKeys = kHarmless,
    .prefixes = kPrefixes,
    .probe = "shared.weight",
    .unusedTensors = kUnused,
    .bosTokenId = 0,
    .eosTokenId = 1,
    .decoderStartTokenId = 0,
    .build = build,
};
