// Llama 1 to 3.2 (transformers' LlamaForCausalLM): pre-norm blocks of grouped
// attention with rotary embeddings and a gated feed-forward network.
#include "Import/Llama.h"

#include <cmath>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;

Llama graphc::importer::readLlama(Config &config, LlamaDefaults defaults) {
  Llama model{};
  model.vocab = config.size("vocab_size");
  model.hidden = config.size("hidden_size");
  model.layers = config.size("num_hidden_layers", std::nullopt, /*most=*/4096);
  model.ffn = config.size("intermediate_size");
  model.maxLength = config.size("max_position_embeddings", defaults.maxLength);
  model.epsilon = config.positive("rms_norm_eps", 1e-6);
  model.activation = readActivation(config, "hidden_act", "silu");
  model.tied = config.flag("tie_word_embeddings", false);

  const int64_t heads = config.size("num_attention_heads", std::nullopt, /*most=*/65536);
  const int64_t kvHeads = config.size("num_key_value_heads", defaults.kvHeads ? defaults.kvHeads : heads);
  if (heads % kvHeads)
    config.error("num_key_value_heads") << "key 'num_key_value_heads' must divide num_attention_heads = " << heads
                                        << ", got " << kvHeads;
  if (!config.value("head_dim") && model.hidden % heads)
    config.error("num_attention_heads") << "key 'num_attention_heads' must divide hidden_size = " << model.hidden
                                        << " where head_dim is absent, got " << heads;
  const int64_t headDim = config.size("head_dim", std::max<int64_t>(model.hidden / heads, 1), /*most=*/65536);
  model.attention = {heads, kvHeads, headDim, std::pow(double(headDim), -0.5)};
  model.rope = readRope(config, headDim, model.maxLength);
  return model;
}

/// Adds block `i` to the residual stream `x` (batch, tokens, hidden).
static Value block(GraphBuilder &g, const Llama &m, int64_t i, Value x) {
  const std::string at = ("layers." + Twine(i)).str(), tensors = g.prefix() + at;
  const auto &[heads, kvHeads, headDim, scale, window] = m.attention;

  Value n = g.rmsNorm(at + ".self_attention_norm", x, tensors + ".input_layernorm", m.epsilon);
  Value q = g.dense(at + ".self_attention.query", n, tensors + ".self_attn.q_proj", heads * headDim, m.attentionBias);
  q = g.splitHeads(at + ".self_attention.query.heads", q, heads);
  q = g.rotary(at + ".self_attention.rotary_query", q, m.rope);
  Value k = g.dense(at + ".self_attention.key", n, tensors + ".self_attn.k_proj", kvHeads * headDim, m.attentionBias);
  k = g.splitHeads(at + ".self_attention.key.heads", k, kvHeads);
  k = g.rotary(at + ".self_attention.rotary_key", k, m.rope);
  Value v = g.dense(at + ".self_attention.value", n, tensors + ".self_attn.v_proj", kvHeads * headDim, m.attentionBias);
  v = g.splitHeads(at + ".self_attention.value.heads", v, kvHeads);
  Value a = g.attention(at + ".self_attention", i, q, k, v);
  a = g.mergeHeads(at + ".self_attention.merge", a);
  a = g.dense(at + ".self_attention.output", a, tensors + ".self_attn.o_proj", m.hidden, m.attentionBias);
  x = g.add(at + ".self_attention.residual", x, a);

  n = g.rmsNorm(at + ".ffn_norm", x, tensors + ".post_attention_layernorm", m.epsilon);
  Value gate = g.dense(at + ".ffn.gate", n, tensors + ".mlp.gate_proj", m.ffn, m.ffnBias);
  Value up = g.dense(at + ".ffn.up", n, tensors + ".mlp.up_proj", m.ffn, m.ffnBias);
  gate = g.activation(at + ".ffn.activation", m.activation, gate);
  Value gated = g.multiply(at + ".ffn.gated", gate, up);
  Value down = g.dense(at + ".ffn.down", gated, tensors + ".mlp.down_proj", m.hidden, m.ffnBias);
  return g.add(at + ".ffn.residual", x, down);
}

LogicalResult graphc::importer::buildLlama(const Llama &m, Config &config, const Family &family, GraphBuilder &g) {
  if (failed(config.finish(family.name, family.harmlessKeys)))
    return failure();
  g.begin({m.vocab, m.hidden, m.maxLength}, SmallVector<AttentionShape>(size_t(m.layers), m.attention));
  Value x = g.embedding("embedder", g.inputIds(), g.prefix() + "embed_tokens", m.vocab, m.hidden);
  for (int64_t i = 0; i < m.layers && !g.hasFailed(); ++i) {
    g.hiddenState(x);
    x = block(g, m, i, x);
  }
  g.hiddenState(x);
  x = g.rmsNorm("output_norm", x, g.prefix() + "norm", m.epsilon);
  Value logits = m.tied ? g.tiedDense("language_modeling_head", x, "embedder")
                        : g.dense("language_modeling_head", x, "lm_head", m.vocab, /*bias=*/false);
  g.finish(x, logits);
  return failure(g.hasFailed());
}

namespace {
LogicalResult build(Config &config, const Family &family, GraphBuilder &g) {
  Llama model = readLlama(config, {.maxLength = 2048, .kvHeads = 0});
  model.attentionBias = config.flag("attention_bias", false);
  model.ffnBias = config.flag("mlp_bias", false);
  // Slices of a product that are summed afterwards: the same f32 sum in another
  // order. Llama 2 13B says 2, and transformers 5 ignores it too.
  config.size("pretraining_tp", 1);
  return buildLlama(model, config, family, g);
}

constexpr llvm::StringLiteral kModelTypes[] = {"llama"};
constexpr llvm::StringLiteral kHarmless[] = {"max_sequence_length"};
} // namespace

constexpr Family graphc::importer::kLlama = llamaFamily("llama", kModelTypes, kHarmless, build);
