// Sums are f64 and rounded once to f32, as the interpreter's are; everything else is
// one cast after the other.
#include "AxonModel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace graphc::properties {

//===-- Casts ---------------------------------------------------------------------===//

static double cast(const std::optional<DType> &type, double x) { return type ? roundTo(*type, x) : x; }

static Rows cast(const std::optional<DType> &type, Rows x) {
  for (double &element : x.data)
    element = cast(type, element);
  return x;
}

/// One step of arithmetic in the layer's compute type; f32 where it has none.
static double step(const LayerTypes &kind, double x) { return cast(kind.compute, double(float(x))); }

static Rows result(const LayerTypes &kind, Rows x) {
  for (double &element : x.data)
    element = cast(kind.output, step(kind, element));
  return x;
}

Rows AxonModel::parameter(const LayerTypes &kind, const std::string &name) const {
  const reference::Tensor &tensor = parameters.at(name);
  return cast(kind.compute, cast(kind.params, Rows{tensor.columns(), tensor.data}));
}

//===-- Layers --------------------------------------------------------------------===//

Rows AxonModel::map(std::string_view name, const Rows &x, double (*f)(double)) const {
  const LayerTypes kind = types(name);
  Rows y = cast(kind.compute, x);
  std::ranges::transform(y.data, y.data.begin(), f);
  return result(kind, y);
}

Rows AxonModel::pair(std::string_view name, const Rows &a, const Rows &b, double (*f)(double, double)) const {
  const LayerTypes kind = types(name);
  Rows y = cast(kind.compute, a);
  const Rows other = cast(kind.compute, b);
  std::ranges::transform(y.data, other.data, y.data.begin(), f);
  return result(kind, y);
}

Rows AxonModel::embedding(const std::string &name, std::span<const int32_t> rows) const {
  const LayerTypes kind = types("embedding");
  const Rows table = parameter(kind, name);
  Rows y{table.width, {}};
  for (int32_t row : rows)
    y.data.insert(y.data.end(), table.data.begin() + row * table.width, table.data.begin() + (row + 1) * table.width);
  return result(kind, y);
}

Rows AxonModel::dense(const std::string &path, const Rows &input, int64_t outputs, bool hasBias, bool inputMajor,
                      const std::string &table) const {
  const LayerTypes kind = types("dense");
  const Rows x = cast(kind.compute, input), kernel = parameter(kind, table.empty() ? path + ".kernel" : table);
  const Rows bias = hasBias ? parameter(kind, path + ".bias") : Rows();
  const int64_t inputs = x.width, tokens = int64_t(x.data.size()) / inputs;
  const bool isOneStep = !kind.compute || kind.compute == DType::F32; // the interior's own type
  Rows y{outputs, {}};
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t n = 0; n < outputs; ++n) {
      const double offset = hasBias ? bias.data[n] : 0;
      double sum = isOneStep ? offset : 0;
      for (int64_t k = 0; k < inputs; ++k)
        sum += x.data[t * inputs + k] * kernel.data[inputMajor ? k * outputs + n : n * inputs + k];
      y.data.push_back(isOneStep || !hasBias ? sum : step(kind, sum) + offset);
    }
  return result(kind, y);
}

/// Over `width` elements at a time.
Rows AxonModel::norm(const std::string &path, const Rows &input, const Norm &norm, int64_t width) const {
  const LayerTypes kind = types(norm.isLayerNorm ? "layer_norm" : "rms_norm");
  const auto f32 = [](double x) { return double(float(x)); };
  const auto inside = [&](double x) { return step(kind, x); };
  const Rows x = cast(kind.compute, input), scale = parameter(kind, path + ".scale");
  const bool hasBias = norm.isLayerNorm && norm.hasBias;
  const Rows bias = hasBias ? parameter(kind, path + ".bias") : Rows();
  const double epsilon = float(std::stod(decoder.epsilon));
  Rows y = x;
  for (size_t at = 0; at < x.data.size(); at += size_t(width)) {
    const double *row = x.data.data() + at;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < width; ++i)
      sum += row[i];
    const double mean = norm.isLayerNorm ? inside(sum / double(width)) : 0;
    std::vector<double> centred(row, row + width);
    for (double &v : centred) {
      v = norm.isLayerNorm ? inside(v - mean) : v;
      squares += v * v;
    }
    const double variance = squares / double(width);
    // Bumblebee's rms_norm widens to f32 inside; its layer_norm does not.
    const double r = norm.isLayerNorm ? inside(1 / std::sqrt(inside(inside(variance) + epsilon)))
                                      : f32(1 / std::sqrt(f32(f32(variance) + epsilon)));
    for (int64_t i = 0; i < width; ++i)
      y.data[at + size_t(i)] = !norm.isLayerNorm ? f32(centred[i] * r) * f32(norm.shift + scale.data[i])
                                                 : inside(inside(centred[i] * r) * scale.data[i]) + (hasBias ? bias.data[i] : 0);
  }
  return result(kind, y);
}

/// cos and sin in f32 (docs/Numerics.md, section 4), then rounded to compute.
Rows AxonModel::rotate(const Block &block, const Rows &input) const {
  const LayerTypes kind = types("rotary_embedding");
  const Rows x = cast(kind.compute, input);
  const int64_t d = block.headDim, half = block.rotaryDim / 2;
  Rows y = x;
  for (size_t head = 0; head * d < x.data.size(); ++head) {
    const double *row = x.data.data() + head * d;
    const float position = float(int64_t(head) / (x.width / d));
    for (int64_t pair = 0; pair < half; ++pair) {
      const float exponent = float(2 * pair) / float(block.rotaryDim), power = float(std::pow(double(float(block.ropeBase)), double(exponent)));
      const float angle = position * (1 / power);
      const double cos = step(kind, std::cos(double(angle))), sin = step(kind, std::sin(double(angle)));
      const int64_t i = block.isInterleaved ? 2 * pair : pair, j = block.isInterleaved ? i + 1 : i + half;
      y.data[head * d + i] = row[i] * cos - row[j] * sin;
      y.data[head * d + j] = row[j] * cos + row[i] * sin;
    }
  }
  return result(kind, y);
}

/// Scores, exponentials, their sum and quotients in compute. What is masked is left out.
Rows AxonModel::attend(const Block &block, const Rows &q, const Rows &k, const Rows &v) const {
  const LayerTypes kind = types("attention");
  const auto inside = [&](double x) { return step(kind, x); };
  const Rows query = cast(kind.compute, q), key = cast(kind.compute, k), value = cast(kind.compute, v);
  const int64_t d = block.headDim, tokens = int64_t(q.data.size()) / q.width;
  const double scale = float(1 / std::sqrt(double(d)));
  Rows y{query.width, std::vector<double>(query.data.size())};
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t head = 0; head < query.width / d; ++head) {
      const int64_t at = t * query.width + head * d, side = head / block.group * d;
      const int64_t first = block.window ? std::max<int64_t>(0, t - block.window + 1) : 0;
      std::vector<double> p;
      for (int64_t j = first; j <= t; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < d; ++i)
          sum += query.data[at + i] * key.data[j * key.width + side + i];
        p.push_back(inside(inside(sum) * scale));
      }
      const double greatest = std::ranges::max(p);
      double total = 0;
      for (double &x : p)
        total += x = inside(std::exp(inside(x - greatest)));
      for (double &x : p)
        x = inside(x / inside(total));
      for (int64_t i = 0; i < d; ++i)
        for (int64_t j = first; j <= t; ++j)
          y.data[at + i] += p[j - first] * value.data[j * value.width + side + i];
    }
  return result(kind, y);
}

//===-- The decoder ---------------------------------------------------------------===//

static double identity(double x) { return x; }
static double sum(double a, double b) { return a + b; }
static double product(double a, double b) { return a * b; }

static double (*functionOf(std::string_view activation))(double) {
  if (activation == "silu")
    return [](double x) { return x / (1 + std::exp(-x)); };
  if (activation == "gelu")
    return [](double x) { return x / 2 * (1 + std::erf(x * (std::numbers::sqrt2 / 2))); };
  if (activation == "gelu_tanh")
    return [](double x) { return x / 2 * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))); };
  return [](double x) { return std::max(x, 0.0); };
}

Rows AxonModel::attention(size_t index, const Rows &x) const {
  const Block &block = decoder.blocks[index];
  const std::string at = "layers." + std::to_string(index) + ".self_attention";
  const int64_t d = block.headDim, heads = block.kvHeads * block.group;
  Rows all, made[3];
  if (block.isOneDense)
    all = dense(at + ".query_key_value", x, (heads + 2 * block.kvHeads) * d, block.hasBias, block.isInputMajor);
  const char *const names[] = {".query", ".key", ".value"};
  for (int64_t which = 0, offset = 0; which < 3; ++which) {
    const int64_t width = (which ? block.kvHeads : heads) * d;
    Rows row;
    if (block.isOneDense) {
      row.width = width;
      for (size_t t = 0; t < all.data.size(); t += size_t(all.width))
        row.data.insert(row.data.end(), all.data.begin() + int64_t(t) + offset, all.data.begin() + int64_t(t) + offset + width);
      row = map("slice", row, identity);
    } else {
      row = dense(at + names[which], x, width, block.hasBias, block.isInputMajor);
    }
    offset += width;
    row = map("split_heads", row, identity);
    if (block.hasHeadNorms && which < 2)
      row = norm(at + names[which] + "_norm", row, Norm(), d);
    made[which] = block.rotaryDim && which < 2 ? rotate(block, row) : row;
  }
  const Rows y = map("merge_heads", attend(block, made[0], made[1], made[2]), identity);
  return dense(at + ".output", y, decoder.hidden, block.hasBias, block.isInputMajor);
}

Rows AxonModel::feedForward(const std::string &at, const Block &block, const Rows &x) const {
  const Rows up = dense(at + ".up", x, block.ffn, block.hasBias, block.isInputMajor);
  Rows active = map(block.activation, block.isGated ? dense(at + ".gate", x, block.ffn, block.hasBias, block.isInputMajor) : up,
                    functionOf(block.activation));
  if (block.isGated)
    active = pair("multiply", active, up, product);
  return dense(at + ".down", active, decoder.hidden, block.hasBias, block.isInputMajor);
}

Rows AxonModel::block(size_t index, Rows stream) const {
  const Block &block = decoder.blocks[index];
  const std::string at = "layers." + std::to_string(index), ffn = at + ".ffn";
  using Residual = Block::Residual;
  if (block.residual == Residual::Parallel) {
    const Rows n = norm(at + ".norm", stream, block.norm, decoder.hidden);
    return pair("add", pair("add", stream, attention(index, n), sum), feedForward(ffn, block, n), sum);
  }
  for (const std::string &path : {at + ".self_attention", ffn}) {
    const Rows x = block.residual == Residual::Post ? stream : norm(path + "_norm", stream, block.norm, decoder.hidden);
    Rows y = path == ffn ? feedForward(ffn, block, x) : attention(index, x);
    if (block.residual == Residual::Sandwich)
      y = norm(path + "_post_norm", y, block.norm, decoder.hidden);
    stream = pair("add", stream, y, sum);
    if (block.residual == Residual::Post)
      stream = norm(path + "_norm", stream, block.norm, decoder.hidden);
  }
  return stream;
}

AxonModel::Outputs AxonModel::run(std::span<const int32_t> ids) const {
  Outputs outputs;
  Rows stream = embedding("embedder.kernel", ids);
  if (decoder.hasPositionTable) {
    std::vector<int32_t> positions(ids.size());
    for (size_t t = 0; t < ids.size(); ++t)
      positions[t] = int32_t(t);
    stream = pair("add", stream, embedding("position_embedder.kernel", positions), sum);
  }
  for (size_t index = 0; index < decoder.blocks.size(); ++index) {
    outputs.states.push_back(stream);
    stream = block(index, stream);
  }
  if (decoder.hasFinalNorm)
    stream = norm("output_norm", stream, decoder.blocks.back().norm, decoder.hidden);
  outputs.states.push_back(stream);
  outputs.logits = dense("language_modeling_head", stream, decoder.vocab, decoder.hasHeadBias && !decoder.isTied, false,
                         decoder.isTied ? "embedder.kernel" : "");
  return outputs;
}

} // namespace graphc::properties
