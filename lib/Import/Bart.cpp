// BART (transformers' BartForConditionalGeneration): post-norm blocks with a bias
// in every dense layer, learned positions that begin at row 2 of their table, a
// norm after the embeddings, and a bias on the logits.
#include "Import/Family.h"
#include "Support/Message.h"

#include <cmath>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;

namespace {
/// Encoder or decoder.
struct Stack {
  std::string name;
  int64_t layers, ffn;
  AttentionShape attention;
};

struct Bart {
  int64_t vocab, hidden, maxLength;
  Stack encoder, decoder;
  Activation activation;
  bool tied, scalesEmbedding;
};

/// transformers' torch default; BART's config has no key for it.
constexpr double kEpsilon = 1e-5;
/// Rows of the position table before position 0.
constexpr int64_t kPositionOffset = 2;

Stack readStack(Config &config, const std::string &name, int64_t hidden) {
  Stack stack{name, config.size(name + "_layers", 12, /*most=*/4096), config.size(name + "_ffn_dim", 4096), {}};
  const std::string key = name + "_attention_heads";
  int64_t heads = config.size(key, 16, /*most=*/65536);
  if (hidden % heads) {
    config.error(key) << "key '" << key << "' must divide d_model = " << hidden << ", got " << heads;
    heads = 1;
  }
  stack.attention = {heads, heads, hidden / heads, std::pow(double(hidden / heads), -0.5)};
  return stack;
}

Bart read(Config &config) {
  Bart model{};
  model.vocab = config.size("vocab_size", 50265);
  model.hidden = config.size("d_model", 1024);
  model.maxLength = config.size("max_position_embeddings", 1024);
  model.encoder = readStack(config, "encoder", model.hidden);
  model.decoder = readStack(config, "decoder", model.hidden);
  model.activation = readActivation(config, "activation_function", "gelu");
  model.scalesEmbedding = config.flag("scale_embedding", false);
  model.tied = config.flag("tie_word_embeddings", true);
  // Keys of the first checkpoints, whose other values are other models.
  config.demand("normalize_before", false, "norms come after the residual sum");
  config.demand("normalize_embedding", true, "the embeddings are normalized");
  config.demand("add_final_layer_norm", false, "the last block ends with a norm");
  config.demand("static_position_embeddings", false, "positions are learned");
  config.demand("extra_pos_embeddings", kPositionOffset, "positions begin at row 2 of their table");
  return model;
}

Value dense(GraphBuilder &g, const Twine &name, Value x, const Twine &tensor, int64_t outputs) {
  return g.dense(name, x, tensor, outputs, /*bias=*/true);
}

/// A projection of `x`, split into the heads of `shape`.
Value heads(GraphBuilder &g, const AttentionShape &shape, const std::string &name, Value x, const std::string &tensor) {
  return g.splitHeads(name + ".heads", dense(g, name, x, tensor, shape.heads * shape.headDim), shape.heads);
}

/// norm(x + output(a)), of an attention's result `a`.
Value addAttention(GraphBuilder &g, const std::string &at, const std::string &tensors, Value x, Value a) {
  const int64_t hidden = cast<RankedTensorType>(x.getType()).getShape().back();
  a = dense(g, at + ".output", g.mergeHeads(at + ".merge", a), tensors + ".out_proj", hidden);
  return g.layerNorm(at + "_norm", g.add(at + ".residual", x, a), tensors + "_layer_norm", kEpsilon);
}

/// One block of a stack. Of the decoder: with its slots.
Value block(GraphBuilder &g, const Bart &m, const Stack &stack, int64_t i, Value x) {
  const std::string at = concat(stack.name, ".layers.", i), tensors = g.prefix() + at;
  const std::string self = at + ".self_attention", selfTensors = tensors + ".self_attn";
  const AttentionShape &shape = stack.attention;
  const bool decodes = stack.name == "decoder";

  Value q = heads(g, shape, self + ".query", x, selfTensors + ".q_proj");
  Value k = heads(g, shape, self + ".key", x, selfTensors + ".k_proj");
  Value v = heads(g, shape, self + ".value", x, selfTensors + ".v_proj");
  Value a = decodes ? g.attention(self, i, q, k, v) : g.encoderAttention(self, shape, q, k, v);
  x = addAttention(g, self, selfTensors, x, a);
  if (decodes) {
    const std::string cross = at + ".cross_attention", crossTensors = tensors + ".encoder_attn";
    a = g.crossAttention(cross, i, heads(g, shape, cross + ".query", x, crossTensors + ".q_proj"));
    x = addAttention(g, cross, crossTensors, x, a);
  }
  Value inner = g.activation(at + ".ffn.activation", m.activation,
                             dense(g, at + ".ffn.intermediate", x, tensors + ".fc1", stack.ffn));
  inner = dense(g, at + ".ffn.output", inner, tensors + ".fc2", m.hidden);
  return g.layerNorm(at + ".ffn_norm", g.add(at + ".ffn.residual", x, inner), tensors + ".final_layer_norm", kEpsilon);
}

/// All blocks of a stack, from the tokens on.
Value stackOf(GraphBuilder &g, const Bart &m, const Stack &stack) {
  const std::string tensors = g.prefix() + stack.name;
  Value words = g.embedding(stack.name + ".embedder", g.inputIds(), g.prefix() + "shared", m.vocab, m.hidden);
  if (m.scalesEmbedding)
    words = g.scale(stack.name + ".embedder.scale", words, std::sqrt(double(m.hidden)));
  Value places = g.embedding(stack.name + ".position_embedder", g.positions(), tensors + ".embed_positions",
                             m.maxLength + kPositionOffset, m.hidden, kPositionOffset);
  Value x = g.layerNorm(stack.name + ".embedder.norm", g.add(stack.name + ".embedder.sum", words, places),
                        tensors + ".layernorm_embedding", kEpsilon);
  for (int64_t i = 0; i < stack.layers && !g.hasFailed(); ++i) {
    g.hiddenState(x);
    x = block(g, m, stack, i, x);
  }
  g.hiddenState(x);
  return x;
}

LogicalResult build(Config &config, const Family &family, GraphBuilder &g) {
  const Bart m = read(config);
  if (failed(config.finish(family.name, family.harmlessKeys)))
    return failure();
  const ModelInfo info{m.vocab, m.hidden, m.maxLength, /*positionsAreBounded=*/true};
  const SmallVector<AttentionShape> slots(size_t(m.decoder.layers), m.decoder.attention);

  g.begin(info, slots, slots, GraphRole::Encoder);
  Value states = stackOf(g, m, m.encoder);
  for (int64_t i = 0; i < m.decoder.layers && !g.hasFailed(); ++i) {
    const std::string at = concat("decoder.layers.", i, ".cross_attention");
    const std::string tensors = concat(g.prefix(), "decoder.layers.", i, ".encoder_attn");
    Value k = heads(g, m.decoder.attention, at + ".key", states, tensors + ".k_proj");
    Value v = heads(g, m.decoder.attention, at + ".value", states, tensors + ".v_proj");
    g.storeCross(at, i, k, v);
  }
  g.finish(states);
  if (g.hasFailed())
    return failure();

  g.begin(info, slots, slots, GraphRole::Decoder);
  Value x = stackOf(g, m, m.decoder);
  const std::string head = m.tied ? g.prefix() + "shared" : std::string("lm_head");
  // Zero where the checkpoint leaves it out.
  Value logits = g.hasTensor("final_logits_bias", /*otherwise=*/true)
                     ? g.denseWithBias("language_modeling_head", x, head, "final_logits_bias", m.vocab)
                     : g.dense("language_modeling_head", x, head, m.vocab, /*bias=*/false);
  g.finish(x, logits);
  return failure(g.hasFailed());
}

constexpr llvm::StringLiteral kModelTypes[] = {"bart"};
// num_hidden_layers repeats encoder_layers.
constexpr llvm::StringLiteral kHarmless[] = {
    "activation_dropout", "add_bias_logits", "classif_dropout", "classifier_dropout", "decoder_layerdrop", "dropout",
    "encoder_layerdrop", "gradient_checkpointing", "init_std", "num_hidden_layers", "num_labels", "save_step"};
constexpr llvm::StringLiteral kPrefixes[] = {"model.", ""};
// Copies of the shared embedding; the head of a tied model may be stored twice.
constexpr llvm::StringLiteral kUnused[] = {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                                           "lm_head.weight"};
} // namespace

constexpr Family graphc::importer::kBart{
    .name = "bart",
    .modelTypes = kModelTypes,
    .harmlessKeys = kHarmless,
    .prefixes = kPrefixes,
    .probe = "shared.weight",
    .unusedTensors = kUnused,
    .bosTokenId = 0,
    .eosTokenId = 2,
    .decoderStartTokenId = 2,
    .build = build,
};
