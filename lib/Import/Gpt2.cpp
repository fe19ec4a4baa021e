// GPT-2 (transformers' GPT2LMHeadModel): pre-norm blocks with learned positions,
// one fused projection for query, key and value, and kernels stored (K, N).
#include "Import/Family.h"

#include <cmath>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;

namespace {
struct Gpt2 {
  int64_t vocab, hidden, layers, heads, ffn, maxLength;
  double epsilon;
  Activation activation;
  bool tied;
  SmallVector<AttentionShape> attention; ///< One a block.
};

Gpt2 read(Config &config) {
  Gpt2 model{};
  model.vocab = config.size("vocab_size");
  model.hidden = config.size("n_embd", std::nullopt, /*most=*/1 << 28); // 4 * hidden is a size too
  model.layers = config.size("n_layer", std::nullopt, /*most=*/4096);
  model.heads = config.size("n_head");
  model.ffn = config.size("n_inner", 4 * model.hidden);
  model.maxLength = config.size("n_positions", 1024);
  model.epsilon = config.positive("layer_norm_epsilon", 1e-5);
  model.activation = readActivation(config, "activation_function", "gelu_new");
  model.tied = config.flag("tie_word_embeddings", true);
  config.demand("add_cross_attention", false, "an encoder's states are no input of this graph");
  // Attention always upcasts to f32 here, and scaling the scores instead of the
  // keys is the same product in f32.
  config.flag("reorder_and_upcast_attn", false);

  if (model.hidden % model.heads) {
    config.error("n_head") << "key 'n_head' must divide n_embd = " << model.hidden << ", got " << model.heads;
    model.heads = 1;
  }
  const int64_t headDim = model.hidden / model.heads;
  const bool scaled = config.flag("scale_attn_weights", true);
  const bool byLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
  for (int64_t i = 0; i < model.layers; ++i) {
    const double scale = (scaled ? std::pow(double(headDim), -0.5) : 1.0) / (byLayer ? double(i + 1) : 1.0);
    model.attention.push_back({model.heads, model.heads, headDim, scale});
  }
  return model;
}

/// A Conv1D of transformers: a dense layer with its kernel (K, N), and a bias.
Value conv(GraphBuilder &g, const Twine &name, Value x, const Twine &tensor, int64_t outputs) {
  return g.dense(name, x, tensor, outputs, /*bias=*/true, /*inputMajor=*/true);
}

/// Adds block `i` to the residual stream `x` (batch, tokens, hidden).
Value block(GraphBuilder &g, const Gpt2 &m, int64_t i, Value x) {
  const std::string at = ("layers." + Twine(i)).str(), tensors = (g.prefix() + "h." + Twine(i)).str();

  Value n = g.layerNorm(at + ".self_attention_norm", x, tensors + ".ln_1", m.epsilon);
  Value qkv = conv(g, at + ".self_attention.query_key_value", n, tensors + ".attn.c_attn", 3 * m.hidden);
  Value parts[3];
  for (auto [part, name] : {std::pair(0, "query"), {1, "key"}, {2, "value"}}) {
    const std::string path = at + ".self_attention." + name;
    parts[part] = g.slice(path, qkv, part * m.hidden, m.hidden);
    parts[part] = g.splitHeads(path + ".heads", parts[part], m.heads);
  }
  Value a = g.attention(at + ".self_attention", i, parts[0], parts[1], parts[2]);
  a = g.mergeHeads(at + ".self_attention.merge", a);
  a = conv(g, at + ".self_attention.output", a, tensors + ".attn.c_proj", m.hidden);
  x = g.add(at + ".self_attention.residual", x, a);

  n = g.layerNorm(at + ".ffn_norm", x, tensors + ".ln_2", m.epsilon);
  Value inner = conv(g, at + ".ffn.intermediate", n, tensors + ".mlp.c_fc", m.ffn);
  inner = g.activation(at + ".ffn.activation", m.activation, inner);
  inner = conv(g, at + ".ffn.output", inner, tensors + ".mlp.c_proj", m.hidden);
  return g.add(at + ".ffn.residual", x, inner);
}

LogicalResult build(Config &config, const Family &family, GraphBuilder &g) {
  const Gpt2 m = read(config);
  if (failed(config.finish(family.name, family.harmlessKeys)))
    return failure();
  g.begin({m.vocab, m.hidden, m.maxLength, /*positionsAreBounded=*/true}, m.attention);
  Value words = g.embedding("embedder", g.inputIds(), g.prefix() + "wte", m.vocab, m.hidden);
  Value places = g.embedding("position_embedder", g.positions(), g.prefix() + "wpe", m.maxLength, m.hidden);
  Value x = g.add("embedder.sum", words, places);
  for (int64_t i = 0; i < m.layers && !g.hasFailed(); ++i) {
    g.hiddenState(x);
    x = block(g, m, i, x);
  }
  g.hiddenState(x);
  x = g.layerNorm("output_norm", x, g.prefix() + "ln_f", m.epsilon);
  Value logits = m.tied ? g.tiedDense("language_modeling_head", x, "embedder")
                        : g.dense("language_modeling_head", x, "lm_head", m.vocab, /*bias=*/false);
  g.finish(x, logits);
  return failure(g.hasFailed());
}

constexpr llvm::StringLiteral kModelTypes[] = {"gpt2"};
constexpr llvm::StringLiteral kHarmless[] = {
    "attn_pdrop", "embd_pdrop", "n_ctx", "resid_pdrop", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj"};
constexpr llvm::StringLiteral kPrefixes[] = {"transformer.", ""};
// Old files store the causal mask; the head of a tied model may be stored twice.
constexpr llvm::StringLiteral kUnused[] = {".attn.bias", ".attn.masked_bias", "lm_head.weight"};
} // namespace

constexpr Family graphc::importer::kGpt2{
    .name = "gpt2",
    .modelTypes = kModelTypes,
    .harmlessKeys = kHarmless,
    .prefixes = kPrefixes,
    .probe = "wte.weight",
    .unusedTensors = kUnused,
    .bosTokenId = 50256,
    .eosTokenId = 50256,
    .build = build,
};
