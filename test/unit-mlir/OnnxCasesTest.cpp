// The interpreter's ops in f64 mode against the ONNX project's backend cases,
// a definition of the same layers by others. The cases are not part of this
// project: GRAPHC_TEST_DATA names the folder that has them in onnx_cases/.
#include "Reference/Layers.h"
#include "Support/Json.h"
#include "Support/Npy.h"

#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <optional>

using namespace graphc;
using namespace graphc::reference;

static const Arithmetic kF64(Mode::F64);
constexpr Rounding kRounding{DType::F32, DType::F32};

namespace {

class OnnxCase {
public:
  explicit OnnxCase(const std::filesystem::path &folder) : folder(folder) {
    auto parsed = parseJsonFile((folder / "case.json").string());
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    json = *parsed;
  }
  std::string op() const { return *getString(json, "op"); }
  bool hasInput(const std::string &name) const { return std::filesystem::exists(file("input_" + name)); }
  Tensor input(const std::string &name) const { return load("input_" + name); }
  Tensor output(const std::string &name) const { return load("output_" + name); }
  double attribute(const std::string &name, double fallback) const {
    return getOptionalDouble(json["attrs"], name)->value_or(fallback);
  }
  bool hasAttribute(const std::string &name) const { return json["attrs"].contains(name); }

private:
  std::string file(const std::string &name) const { return (folder / (name + ".npy")).string(); }
  Tensor load(const std::string &name) const {
    auto array = readNpy(file(name));
    EXPECT_TRUE(array.ok()) << array.status();
    Tensor tensor(array->dtype, array->shape);
    for (size_t i = 0; i < tensor.data.size(); ++i)
      switch (array->dtype) {
      case DType::F32: tensor.data[i] = array->values<float>()[i]; break;
      case DType::F64: tensor.data[i] = array->values<double>()[i]; break;
      case DType::F16: tensor.data[i] = f16ToFloat(array->values<uint16_t>()[i]); break;
      case DType::I32: tensor.data[i] = array->values<int32_t>()[i]; break;
      case DType::I64: tensor.data[i] = double(array->values<int64_t>()[i]); break;
      default: ADD_FAILURE() << "npy has no " << info(array->dtype).name; break;
      }
    return tensor;
  }

  std::filesystem::path folder;
  nlohmann::json json;
};

} // namespace

static Tensor reshaped(Tensor x, std::vector<int64_t> shape) {
  x.shape = std::move(shape);
  return x;
}

/// (batch, tokens, heads * headDim) becomes (batch, heads, tokens, headDim).
static Tensor withHeads(const Tensor &x, double heads) {
  return x.shape.size() == 4 ? x : splitHeads(kF64, x, int64_t(heads), kRounding);
}

/// Positions first, first + 1, .. for each sequence.
static Tensor positionsFrom(const std::vector<double> &first, int64_t tokens) {
  Tensor positions(DType::I32, {int64_t(first.size()), tokens});
  for (int64_t i = 0; i < positions.size(); ++i)
    positions.data[i] = first[i / tokens] + double(i % tokens);
  return positions;
}

// Each returns nothing if the case asks for what the layer does not have.

static std::optional<Tensor> runAttention(const OnnxCase &test) {
  for (const char *extra : {"attn_mask", "past_key"})
    if (test.hasInput(extra))
      return std::nullopt;
  for (const char *extra : {"softcap", "qk_matmul_output_mode", "score_mod"})
    if (test.hasAttribute(extra))
      return std::nullopt;
  const Tensor query = withHeads(test.input("Q"), test.attribute("q_num_heads", 0));
  const Tensor key = withHeads(test.input("K"), test.attribute("kv_num_heads", 0));
  const Tensor value = withHeads(test.input("V"), test.attribute("kv_num_heads", 0));
  const int64_t batch = query.dim(0), tokens = query.dim(2), rows = key.dim(2);
  std::vector<double> first(batch, 0);
  Tensor keyPositions = positionsFrom(first, rows);
  if (test.hasInput("nonpad_kv_seqlen")) { // the queries are the last of so many rows
    const Tensor lengths = test.input("nonpad_kv_seqlen");
    for (int64_t i = 0; i < keyPositions.size(); ++i)
      if (keyPositions.data[i] >= lengths.data[i / rows])
        keyPositions.data[i] = -1;
    for (int64_t b = 0; b < batch; ++b)
      first[b] = lengths.data[b] - double(tokens);
  }
  AttentionSettings settings;
  settings.scale = test.attribute("scale", 1 / std::sqrt(double(query.dim(3))));
  settings.causal = test.attribute("is_causal", 0) != 0;
  settings.window = int64_t(test.attribute("left_window_size", -1)) + 1;
  Tensor y = attention(kF64, query, key, value, positionsFrom(first, tokens), keyPositions, settings, kRounding).y;
  return test.input("Q").shape.size() == 4 ? y : mergeHeads(kF64, y, kRounding);
}

/// ONNX normalises all dimensions from `axis` on; so do rows of their product.
static std::optional<Tensor> runNorm(const OnnxCase &test) {
  const Tensor x = test.input("X"), scale = test.input("W");
  const int64_t columns = scale.size();
  const Tensor rows = reshaped(x, {x.size() / columns, columns});
  const double epsilon = test.attribute("epsilon", 1e-5);
  if (test.op() == "RMSNormalization")
    return reshaped(rmsNorm(kF64, rows, scale, epsilon, 0, kRounding), x.shape);
  const Tensor bias = test.input("B");
  return reshaped(layerNorm(kF64, rows, scale, &bias, epsilon, kRounding), x.shape);
}

static std::optional<Tensor> runRotary(const OnnxCase &test) {
  const Tensor given = test.input("input"), x = withHeads(given, test.attribute("num_heads", 0));
  const Tensor cos = test.input("cos_cache"), sin = test.input("sin_cache");
  const int64_t batch = x.dim(0), tokens = x.dim(2), half = cos.columns();
  RopeTables tables{cos.rows(), 2 * half, test.attribute("interleaved", 0) != 0, {}, {}};
  tables.cos.assign(cos.data.begin(), cos.data.end());
  tables.sin.assign(sin.data.begin(), sin.data.end());
  Tensor positions;
  if (test.hasInput("position_ids")) {
    positions = test.input("position_ids");
  } else { // tables have a row for every token of every sequence
    std::vector<double> first;
    for (int64_t b = 0; b < batch; ++b)
      first.push_back(double(b * tokens));
    positions = positionsFrom(first, tokens);
  }
  const Tensor y = rotaryEmbedding(kF64, x, positions, tables, kRounding);
  return given.shape.size() == 4 ? y : mergeHeads(kF64, y, kRounding);
}

static std::optional<Tensor> runDense(const OnnxCase &test) {
  const Tensor a = test.input("a"), b = test.input("b");
  if (b.shape.size() != 2 || test.hasAttribute("alpha") || test.hasAttribute("beta"))
    return std::nullopt;
  if (!test.hasInput("c"))
    return dense(kF64, a, b, nullptr, /*inputMajor=*/true, kRounding);
  const Tensor given = test.input("c");
  Tensor bias(DType::F32, {b.dim(1)}); // ONNX stretches one element
  for (int64_t i = 0; i < bias.size(); ++i)
    bias.data[i] = given.data[given.size() == 1 ? 0 : i];
  return dense(kF64, a, b, &bias, /*inputMajor=*/true, kRounding);
}

static std::optional<Tensor> runSigmoid(const OnnxCase &test) {
  const Tensor x = test.input("x");
  Tensor y = activate(kF64, Activation::Silu, x, kRounding);
  for (int64_t i = 0; i < y.size(); ++i) // silu(x) = x * sigmoid(x)
    y.data[i] = x.data[i] == 0 ? 0.5 : y.data[i] / x.data[i];
  return y;
}

static std::optional<Tensor> runCast(const OnnxCase &test) {
  const Tensor expected = test.output("output");
  return cast(Arithmetic(), test.input("input"), {DType::F32, expected.dtype});
}

static std::optional<Tensor> runGelu(const OnnxCase &test) {
  if (test.hasAttribute("approximate"))
    return std::nullopt;
  return activate(kF64, Activation::Gelu, test.input("x"), kRounding);
}

TEST(OnnxCases, agreeWithTheInterpreter) {
  const char *data = std::getenv("GRAPHC_TEST_DATA");
  const std::filesystem::path folder = std::filesystem::path(data ? data : "") / "onnx_cases";
  if (!data || !std::filesystem::is_directory(folder))
    GTEST_SKIP() << "GRAPHC_TEST_DATA has no onnx_cases";
  struct Row {
    std::optional<Tensor> (*run)(const OnnxCase &);
    const char *output;
    int covered = 0;
  };
  std::map<std::string, Row> ops = {
      {"Attention", {runAttention, "Y"}},     {"FlexAttention", {runAttention, "Y"}},
      {"RMSNormalization", {runNorm, "Y"}},   {"LayerNormalization", {runNorm, "Y"}},
      {"RotaryEmbedding", {runRotary, "output"}}, {"MatMul", {runDense, "c"}},
      {"Gemm", {runDense, "y"}},              {"Sigmoid", {runSigmoid, "y"}},
      {"Gelu", {runGelu, "y"}},               {"Cast", {runCast, "output"}},
  };
  for (const auto &entry : std::filesystem::directory_iterator(folder)) {
    const OnnxCase test(entry.path());
    const auto row = ops.find(test.op());
    if (row == ops.end())
      continue;
    const std::optional<Tensor> got = row->second.run(test);
    if (!got)
      continue;
    const Tensor expected = test.output(row->second.output);
    ASSERT_EQ(got->shape, expected.shape) << entry.path();
    // The cases were made in their own type, mostly f32.
    const double tolerance = expected.dtype == DType::F16 ? 0x1p-10 : 3e-6;
    for (int64_t i = 0; i < got->size(); ++i) {
      if (std::isnan(expected.data[i]) || std::isinf(expected.data[i])) {
        ASSERT_TRUE(got->data[i] == expected.data[i] || (std::isnan(got->data[i]) && std::isnan(expected.data[i])))
            << entry.path() << ", element " << i;
        continue;
      }
      ASSERT_NEAR(got->data[i], expected.data[i], tolerance * (1 + std::fabs(expected.data[i])))
          << entry.path() << ", element " << i;
    }
    ++row->second.covered;
  }
  for (const auto &[op, row] : ops)
    EXPECT_GT(row.covered, 0) << op;
  EXPECT_GE(ops["Attention"].covered, 14);
  EXPECT_GE(ops["LayerNormalization"].covered, 10);
}
