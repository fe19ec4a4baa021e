// The writer keeps the values' types beside their names, so that each layer is one
// line; parameters are declared as they are first read.
#include "Decoder.h"

#include "Support/Message.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace graphc::properties {

double Draw::normal() {
  const double u = double(engine() >> 11) * 0x1p-53 + 0x1p-54, v = double(engine() >> 11) * 0x1p-53;
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v);
}

//===-- Drawing -----------------------------------------------------------------===//

static Block drawBlock(Draw &draw, bool forKernels) {
  Block block;
  block.residual = Block::Residual(draw.integer(0, 3));
  block.kvHeads = draw.integer(1, 3);
  block.group = draw.integer(1, 3);
  block.headDim = draw.integer(2, 9);
  block.isOneDense = draw.maybe(30);
  block.hasHeadNorms = !forKernels && draw.maybe(30);
  block.rotaryDim = draw.maybe(70) ? 2 * draw.integer(1, block.headDim / 2) : 0;
  block.ropeBase = draw.one({10.0, 100.0, 10000.0});
  block.isInterleaved = draw.maybe(30);
  block.window = draw.maybe(35) ? draw.integer(1, 6) : 0;
  block.isRing = block.window && draw.maybe();
  block.hasBias = draw.maybe();
  block.isInputMajor = draw.maybe(30);
  block.norm.isLayerNorm = draw.maybe(40);
  block.norm.hasBias = draw.maybe();
  block.norm.shift = draw.maybe(30) ? 1 : 0;
  block.isGated = draw.maybe(60);
  block.activation = draw.one({"silu", "gelu", "gelu_tanh", "relu"});
  block.ffn = draw.integer(3, 24);
  return block;
}

Decoder drawDecoder(Draw &draw, bool forKernels) {
  Decoder decoder;
  decoder.maxLength = 96;
  decoder.vocab = draw.integer(11, 40);
  decoder.hidden = draw.integer(5, 24);
  decoder.hasPositionTable = draw.maybe(30);
  decoder.hasFinalNorm = draw.maybe(80);
  decoder.isTied = draw.maybe(40);
  decoder.hasHeadBias = draw.maybe(30);
  decoder.stored = draw.one({"f32", "bf16", "f16"});
  decoder.blocks.resize(size_t(draw.integer(1, 3)));
  for (Block &block : decoder.blocks)
    block = drawBlock(draw, forKernels);
  return decoder;
}

//===-- Writing -----------------------------------------------------------------===//

namespace {

/// How a parameter's elements are distributed.
struct Declared {
  std::string name;
  std::vector<int64_t> shape;
  double deviation, mean;
};

class Writer {
public:
  explicit Writer(const Decoder &decoder) : decoder(decoder) { write(); }

  std::string text() const;
  const std::vector<Declared> &parameters() const { return declared; }

private:
  struct Value {
    std::string name;
    int64_t heads = 0; ///< 0: (batch, tokens, width); else (batch, heads, tokens, width).
    int64_t width = 0;
  };
  void write();
  void writeBlock(size_t index);
  Value attention(size_t index, Value x);
  Value feedForward(const std::string &at, const Block &block, Value x);
  void finish(Value logits);

  std::string typeOf(const Value &value) const;
  std::string parameter(const std::string &name, std::vector<int64_t> shape, double deviation, double mean);
  /// %n = OP "PATH"(operands) attributes : (types) -> type.
  Value layer(const std::string &op, const std::string &path, const std::vector<std::pair<std::string, std::string>> &operands,
              const std::string &attributes, Value result, const std::string &rope = "");
  Value dense(const std::string &path, Value x, int64_t outputs, bool bias, bool inputMajor, double scale = 1);
  Value norm(const std::string &path, Value x, const Norm &norm);
  Value add(const std::string &path, Value a, Value b) {
    return layer("add", path, {{a.name, typeOf(a)}, {b.name, typeOf(b)}}, "", a);
  }

  const Decoder &decoder;
  std::vector<Declared> declared;
  std::string declarations, body;
  std::vector<std::string> results; ///< The graph's result types.
  std::vector<Value> states, weights;
  Value stream; ///< The residual stream.
  int64_t values = 0;
};

std::string tensorType(const std::vector<int64_t> &shape, std::string_view element) {
  return concat("tensor<", join(shape, "x"), "x", element, ">");
}

std::string Writer::typeOf(const Value &value) const {
  return value.heads ? concat("tensor<?x", value.heads, "x?x", value.width, "xf32>") : concat("tensor<?x?x", value.width, "xf32>");
}

std::string Writer::parameter(const std::string &name, std::vector<int64_t> shape, double deviation, double mean) {
  const std::string type = tensorType(shape, decoder.stored), value = concat("%p", declared.size());
  declarations += concat("  layer.parameter @", name, " : ", type, "\n");
  body += concat("    ", value, " = param @", name, " : ", type, "\n");
  declared.push_back({name, std::move(shape), deviation, mean});
  return value;
}

Writer::Value Writer::layer(const std::string &op, const std::string &path,
                            const std::vector<std::pair<std::string, std::string>> &operands, const std::string &attributes,
                            Value result, const std::string &rope) {
  std::vector<std::string> names, types;
  for (const auto &[name, type] : operands)
    names.push_back(name), types.push_back(type);
  result.name = concat("%v", values++);
  body += concat("    ", result.name, " = ", op, " \"", path, "\"(", join(names), ") ", rope, attributes, " : (", join(types),
                 ") -> ", typeOf(result), "\n");
  return result;
}

Writer::Value Writer::dense(const std::string &path, Value x, int64_t outputs, bool bias, bool inputMajor, double scale) {
  const std::vector<int64_t> shape = inputMajor ? std::vector{x.width, outputs} : std::vector{outputs, x.width};
  std::vector<std::pair<std::string, std::string>> operands{
      {x.name, typeOf(x)},
      {parameter(path + ".kernel", shape, scale / std::sqrt(double(x.width)), 0), tensorType(shape, decoder.stored)}};
  if (bias)
    operands.emplace_back(parameter(path + ".bias", {outputs}, 0.2 * scale, 0), tensorType({outputs}, decoder.stored));
  return layer("dense", path, operands, inputMajor ? "{input_major}" : "", {"", 0, outputs});
}

Writer::Value Writer::norm(const std::string &path, Value x, const Norm &norm) {
  const std::string vector = tensorType({x.width}, decoder.stored);
  std::vector<std::pair<std::string, std::string>> operands{
      {x.name, typeOf(x)}, {parameter(path + ".scale", {x.width}, 0.2, norm.isLayerNorm ? 1 : 1 - norm.shift), vector}};
  if (norm.isLayerNorm && norm.hasBias)
    operands.emplace_back(parameter(path + ".bias", {x.width}, 0.2, 0), vector);
  const std::string shift = norm.isLayerNorm || norm.shift == 0 ? "" : ", shift = 1.0 : f64";
  return layer(norm.isLayerNorm ? "layer_norm" : "rms_norm", path, operands, concat("{epsilon = ", decoder.epsilon, " : f64", shift, "}"), x);
}

Writer::Value Writer::attention(size_t index, Value x) {
  const Block &block = decoder.blocks[index];
  const std::string at = concat("layers.", index, ".self_attention"), slot = concat("!slot", index), part = concat("!block", index);
  const int64_t heads = block.kvHeads * block.group, d = block.headDim;
  // Query, key, value: which, heads, scale of the weights.
  const std::tuple<const char *, int64_t, double> rows[] = {
      {"query", heads, 1.5}, {"key", block.kvHeads, 1.5}, {"value", block.kvHeads, decoder.valueScale}};
  Value all;
  if (block.isOneDense)
    all = dense(at + ".query_key_value", x, (heads + 2 * block.kvHeads) * d, block.hasBias, block.isInputMajor, decoder.valueScale);
  std::vector<Value> made;
  int64_t offset = 0;
  for (const auto &[which, count, scale] : rows) {
    const std::string path = concat(at, ".", which);
    Value row = block.isOneDense ? layer("slice", path, {{all.name, typeOf(all)}},
                                         concat("{offset = ", offset, " : i64, size = ", count * d, " : i64}"), {"", 0, count * d})
                                 : dense(path, x, count * d, block.hasBias, block.isInputMajor, scale);
    offset += count * d;
    row = layer("split_heads", path + ".heads", {{row.name, typeOf(row)}}, concat("{heads = ", count, " : i64}"), {"", count, d});
    const bool isValue = std::string_view(which) == "value";
    if (block.hasHeadNorms && !isValue)
      row = norm(path + "_norm", row, Norm());
    if (block.rotaryDim && !isValue)
      row = layer("rotary_embedding", concat(at, ".rotary_", which), {{row.name, typeOf(row)}, {"%positions", "!ids"}}, "", row,
                  concat("<base = ", block.ropeBase, ".0 : f64, dim = ", block.rotaryDim,
                         block.isInterleaved ? ", interleaved = unit" : "", "> "));
    made.push_back(row);
  }
  const Value &query = made[0], &key = made[1], &value = made[2];
  const std::string state = concat("%cache", index);
  body += concat("    %b", index, " = get_block_cache ", state, "[", index, "] : !cache -> ", part, "\n");
  body += concat("    %s", index, " = get_attention_cache %b", index, " self : ", part, " -> ", slot, "\n");
  body += concat("    %t", index, " = cache_append %s", index, ", ", key.name, ", ", value.name, " at %positions : ", slot, ", ",
                 typeOf(key), ", ", typeOf(value), ", !ids\n");
  Value result{concat("%a", index), heads, d};
  const std::string weight = concat("tensor<?x", heads, "x?x?xf32>");
  const std::string window = block.window ? concat(", window = ", block.window, " : i64") : "";
  body += concat("    ", result.name, decoder.hasOptionalOutputs ? concat(", %w", index) : "", " = attention \"", at, "\"(", query.name,
                 ") over %t", index, " at %positions {scale = ", 1 / std::sqrt(double(d)), " : f64, causal", window, "} : (",
                 typeOf(query), ", ", slot, ", !ids) -> ",
                 decoder.hasOptionalOutputs ? concat("(", typeOf(result), ", ", weight, ")") : typeOf(result), "\n");
  body += concat("    %u", index, " = put_attention_cache %t", index, " into %b", index, " self : ", slot, ", ", part, "\n");
  body += concat("    %cache", index + 1, " = put_block_cache %u", index, " into ", state, "[", index, "] : ", part, ", !cache\n");
  result = layer("merge_heads", at + ".merge", {{result.name, typeOf(result)}}, "", {"", 0, heads * d});
  return dense(at + ".output", result, decoder.hidden, block.hasBias, block.isInputMajor);
}

Writer::Value Writer::feedForward(const std::string &at, const Block &block, Value x) {
  Value up = dense(at + ".up", x, block.ffn, block.hasBias, block.isInputMajor);
  Value gate = block.isGated ? dense(at + ".gate", x, block.ffn, block.hasBias, block.isInputMajor) : up;
  Value active = layer(block.activation, at + ".activation", {{gate.name, typeOf(gate)}}, "", gate);
  if (block.isGated)
    active = layer("multiply", at + ".gated", {{active.name, typeOf(active)}, {up.name, typeOf(up)}}, "", active);
  return dense(at + ".down", active, decoder.hidden, block.hasBias, block.isInputMajor);
}

void Writer::writeBlock(size_t index) {
  const Block &block = decoder.blocks[index];
  const std::string at = concat("layers.", index), self = at + ".self_attention", ffn = at + ".ffn";
  using Residual = Block::Residual;
  if (block.residual == Residual::Parallel) {
    Value n = norm(at + ".norm", stream, block.norm);
    Value a = attention(index, n), f = feedForward(ffn, block, n);
    stream = add(ffn + ".residual", add(self + ".residual", stream, a), f);
    return;
  }
  const bool before = block.residual != Residual::Post, after = block.residual == Residual::Sandwich;
  for (const bool isAttention : {true, false}) {
    const std::string &path = isAttention ? self : ffn;
    Value x = before ? norm(path + "_norm", stream, block.norm) : stream;
    Value y = isAttention ? attention(index, x) : feedForward(path, block, x);
    if (after)
      y = norm(path + "_post_norm", y, block.norm);
    stream = add(path + ".residual", stream, y);
    if (!before)
      stream = norm(path + "_norm", stream, block.norm);
  }
}

void Writer::write() {
  const std::vector<int64_t> table{decoder.vocab, decoder.hidden};
  const std::string embedder = parameter("embedder.kernel", table, 1, 0);
  stream = layer("embedding", "embedder", {{"%input_ids", "!ids"}, {embedder, tensorType(table, decoder.stored)}}, "",
                 {"", 0, decoder.hidden});
  if (decoder.hasPositionTable) {
    const std::vector<int64_t> places{decoder.maxLength, decoder.hidden};
    const std::string kernel = parameter("position_embedder.kernel", places, 0.5, 0);
    Value position = layer("embedding", "position_embedder", {{"%positions", "!ids"}, {kernel, tensorType(places, decoder.stored)}},
                           "", stream);
    stream = add("embedder.sum", stream, position);
  }
  for (size_t index = 0; index < decoder.blocks.size(); ++index) {
    states.push_back(stream);
    weights.push_back({concat("%w", index), decoder.blocks[index].kvHeads * decoder.blocks[index].group, 0});
    writeBlock(index);
  }
  Value hidden = decoder.hasFinalNorm ? norm("output_norm", stream, decoder.blocks.back().norm) : stream;
  states.push_back(hidden);
  Value logits = decoder.isTied ? layer("dense", "language_modeling_head",
                                        {{hidden.name, typeOf(hidden)}, {embedder, tensorType(table, decoder.stored)}}, "",
                                        {"", 0, decoder.vocab})
                                : dense("language_modeling_head", hidden, decoder.vocab, decoder.hasHeadBias, false);
  finish(logits);
}

void Writer::finish(Value logits) {
  body += concat("    %cache = cache_advance %cache", decoder.blocks.size(), " by %positions : !cache, !ids\n");
  std::string outputs = concat("logits = ", logits.name, " : ", typeOf(logits));
  results.push_back(typeOf(logits));
  if (decoder.hasOptionalOutputs)
    for (const auto &[name, members] : {std::pair("hidden_states", &states), std::pair("attentions", &weights)}) {
      std::vector<std::string> names, types;
      for (const Value &value : *members) {
        names.push_back(value.name);
        types.push_back(members == &weights ? concat("tensor<?x", value.heads, "x?x?xf32>") : typeOf(value));
      }
      const std::string type = concat("!layer.container<", join(types), ">");
      body += concat("    %", name, "_all = container \"", name, "\"(", join(names), ") : (", join(types), ") -> ", type, "\n");
      body += concat("    %", name, " = optional \"", name, "\"(%", name, "_all) : (", type, ") -> ", type, "\n");
      outputs += concat(", ", name, " = %", name, " : ", type);
      results.push_back(type);
    }
  results.push_back("!cache");
  body += concat("    output ", outputs, ", cache = %cache : !cache\n");
}

std::string Writer::text() const {
  std::string types, blocks;
  for (size_t i = 0; i < decoder.blocks.size(); ++i) {
    const Block &block = decoder.blocks[i];
    types += concat("!slot", i, " = !layer.attention_cache<", block.kvHeads, " x ", block.headDim, ", ",
                    block.isRing ? concat("window ", block.window) : "full", ", keys = auto, values = auto>\n");
    types += concat("!block", i, " = !layer.block_cache<self = !slot", i, ">\n");
    blocks += concat(i ? ", " : "", "!block", i);
  }
  return concat(types, "!cache = !layer.cache<", blocks, ">\n!ids = tensor<?x?xi32>\n",
                "module attributes {layer.model = {family = \"drawn\", vocab_size = ", decoder.vocab,
                " : i64, hidden_size = ", decoder.hidden, " : i64, num_layers = ", decoder.blocks.size(),
                " : i64, max_length = ", decoder.maxLength, " : i64, bos_token_ids = array<i64>, eos_token_ids = array<i64>",
                decoder.hasPositionTable ? concat(", position_limit = ", decoder.maxLength, " : i64") : "", "}} {\n", declarations,
                "  layer.graph @main(%input_ids: !ids, %attention_mask: !ids, %cache0: !cache) -> (", join(results),
                ") attributes {input_names = [\"input_ids\", \"attention_mask\", \"cache\"]} {\n",
                "    %lengths = cache_offset %cache0 : !cache -> tensor<?xi32>\n",
                "    %positions = positions %lengths for %input_ids mask %attention_mask : (tensor<?xi32>, !ids, !ids) -> !ids\n",
                body, "  }\n}\n");
}

} // namespace

std::string textOf(const Decoder &decoder) { return Writer(decoder).text(); }

std::map<std::string, reference::Tensor> parametersOf(const Decoder &decoder, uint64_t seed) {
  const Writer writer(decoder);
  Draw draw(seed);
  const DType dtype = *parseDType(decoder.stored);
  std::map<std::string, reference::Tensor> result;
  for (const Declared &parameter : writer.parameters()) {
    reference::Tensor tensor(dtype, parameter.shape);
    for (double &x : tensor.data)
      x = roundTo(dtype, float(parameter.mean + parameter.deviation * draw.normal()));
    result.emplace(parameter.name, std::move(tensor));
  }
  return result;
}

CheckpointFolder::CheckpointFolder(const std::map<std::string, reference::Tensor> &parameters) {
  std::string pattern = (std::filesystem::temp_directory_path() / "graphc-properties-XXXXXX").string();
  folder = ::mkdtemp(pattern.data());
  std::string header, data;
  for (const auto &[name, tensor] : parameters) {
    const size_t begin = data.size();
    data.resize(begin + tensor.data.size() * byteSize(tensor.dtype));
    for (size_t i = 0; i < tensor.data.size(); ++i)
      storeElement(tensor.dtype, data.data() + begin + i * byteSize(tensor.dtype), float(tensor.data[i]));
    header += concat(header.empty() ? "{" : ", ", "\"", name, "\": {\"dtype\": \"", info(tensor.dtype).safetensors, "\", \"shape\": [",
                     join(tensor.shape), "], \"data_offsets\": [", begin, ", ", data.size(), "]}");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream file(folder + "/model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char *>(&size), sizeof size) << header << data;
}

CheckpointFolder::~CheckpointFolder() { std::filesystem::remove_all(folder); }

} // namespace graphc::properties
