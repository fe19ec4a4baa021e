// Axon's semantics against graphc's, layer by layer, as docs/Policy.md lists the
// differences. Compute is bf16 and output f32, so that every rounding shows.
#include "Reference/Generate.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace graphc;
using namespace graphc::reference;

namespace {

constexpr int64_t kTokens = 24, kWidth = 8;

/// What a layer makes of %x, (1, tokens, 8), in both semantics. The table's
/// values are bf16, so reading them rounds nothing.
struct Outcome {
  std::vector<double> graphc, axon;

  /// True if Axon's result is graphc's, rounded to compute: nothing else differs.
  bool differsByResultOnly() const {
    for (size_t i = 0; i < graphc.size(); ++i)
      if (axon[i] != roundTo(DType::BF16, graphc[i]))
        return false;
    return true;
  }
};

Tensor random(std::vector<int64_t> shape, double seed) {
  Tensor tensor(DType::F32, std::move(shape));
  for (int64_t i = 0; i < tensor.size(); ++i)
    tensor.data[i] = roundTo(DType::BF16, std::sin(seed + double(i * i) * 0.61) * 2);
  return tensor;
}

Outcome outcomeOf(const std::string &layers, const std::string &policy = "compute = bf16, output = f32") {
  std::string body = layers;
  for (size_t at; (at = body.find("POLICY")) != body.npos;)
    body.replace(at, 6, "policy<" + policy + ">");
  const std::string text = R"(!ids = tensor<?x?xi32>
!x = tensor<?x?x8xf32>
!h = tensor<?x2x?x4xf32>
!w = tensor<8xf32>
layer.parameter @table : tensor<24x8xf32>
layer.parameter @kernel : tensor<8x8xf32>
layer.parameter @scale : !w
layer.parameter @bias : !w
layer.graph @main(%input_ids: !ids) -> !x attributes {input_names = ["input_ids"]} {
  %positions = positions %input_ids : (!ids) -> !ids
  %table = param @table : tensor<24x8xf32>
  %kernel = param @kernel : tensor<8x8xf32>
  %scale = param @scale : !w
  %bias = param @bias : !w
  %x = embedding "embedder"(%input_ids, %table) : (!ids, tensor<24x8xf32>) -> !x
)" + body + R"(
  output y = %y : !x
})";
  mlir::MLIRContext context;
  context.loadDialect<layer::LayerDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  EXPECT_TRUE(module) << text;
  TensorParameters parameters({{"table", random({24, kWidth}, 1)}, {"kernel", random({8, 8}, 2)},
                               {"scale", random({8}, 3)}, {"bias", random({8}, 4)}});
  Tensor ids(DType::I32, {1, kTokens});
  for (int64_t t = 0; t < kTokens; ++t)
    ids.data[t] = t;
  Outcome outcome;
  for (Semantics semantics : {Semantics::Graphc, Semantics::Axon}) {
    Options options;
    options.semantics = semantics;
    options.sessionLength = 64;
    auto outputs = Interpreter::create(*module, parameters, options)->run(ids, nullptr, nullptr);
    EXPECT_TRUE(outputs.ok()) << outputs.status();
    (semantics == Semantics::Axon ? outcome.axon : outcome.graphc) = (*outputs->find("y"))[0].data;
  }
  return outcome;
}

} // namespace

TEST(Axon, roundsAResultToComputeBeforeOutput) {
  const Outcome dense = outcomeOf(R"(%y = dense "a"(%x, %kernel) POLICY : (!x, tensor<8x8xf32>) -> !x)");
  EXPECT_TRUE(dense.differsByResultOnly());
  EXPECT_NE(dense.graphc, dense.axon); // graphc's are f32 sums
}

TEST(Axon, agreesForAReaderOfTheSameComputeType) {
  // The reader rounds anyway: once or twice is the same.
  const Outcome chain = outcomeOf(R"(%h = dense "a"(%x, %kernel) POLICY : (!x, tensor<8x8xf32>) -> !x
  %y = relu "b"(%h) POLICY : (!x) -> !x)");
  EXPECT_EQ(chain.graphc, chain.axon);
}

TEST(Axon, differsForAReaderOfAWiderComputeType) {
  const Outcome chain = outcomeOf(R"(%h = dense "a"(%x, %kernel) POLICY : (!x, tensor<8x8xf32>) -> !x
  %y = relu "b"(%h) policy<compute = f32> : (!x) -> !x)");
  EXPECT_NE(chain.graphc, chain.axon);
}

TEST(Axon, agreesWhereOneStepIsAllThereIs) {
  for (const char *layer : {R"(%y = add "a"(%x, %x) POLICY : (!x, !x) -> !x)", R"(%y = multiply "a"(%x, %x) POLICY : (!x, !x) -> !x)",
                            R"(%y = silu "a"(%x) POLICY : (!x) -> !x)",
                            R"(%y = rms_norm "a"(%x, %scale) {epsilon = 1.0e-5} POLICY : (!x, !w) -> !x)"})
    EXPECT_TRUE(outcomeOf(layer).differsByResultOnly()) << layer;
}

TEST(Axon, roundsAProductBeforeItsBias) {
  const Outcome dense = outcomeOf(R"(%y = dense "a"(%x, %kernel, %bias) POLICY : (!x, tensor<8x8xf32>, !w) -> !x)");
  EXPECT_FALSE(dense.differsByResultOnly());
}

TEST(Axon, normalizesLayersInCompute) {
  const Outcome norm = outcomeOf(R"(%y = layer_norm "a"(%x, %scale, %bias) {epsilon = 1.0e-5} POLICY : (!x, !w, !w) -> !x)");
  EXPECT_FALSE(norm.differsByResultOnly());
}

TEST(Axon, roundsRopeTables) {
  const Outcome rope = outcomeOf(R"(%s = split_heads "s"(%x) {heads = 2 : i64} : (!x) -> !h
  %r = rotary_embedding "a"(%s, %positions) <base = 10000.0 : f64, dim = 4> POLICY : (!h, !ids) -> !h
  %y = merge_heads "m"(%r) : (!h) -> !x)");
  EXPECT_FALSE(rope.differsByResultOnly());
}

TEST(Axon, runsSoftmaxInCompute) {
  const Outcome attention = outcomeOf(R"(%s = split_heads "s"(%x) {heads = 2 : i64} : (!x) -> !h
  %a = attention "a"(%s, %s, %s) at %positions {scale = 0.5, causal} POLICY : (!h, !h, !h, !ids) -> !h
  %y = merge_heads "m"(%a) : (!h) -> !x)");
  EXPECT_FALSE(attention.differsByResultOnly());
}

TEST(Axon, agreesBitForBitInF32) {
  const Outcome block = outcomeOf(R"(%n = layer_norm "n"(%x, %scale, %bias) {epsilon = 1.0e-5} POLICY : (!x, !w, !w) -> !x
  %d = dense "d"(%n, %kernel, %bias) POLICY : (!x, tensor<8x8xf32>, !w) -> !x
  %s = split_heads "s"(%d) {heads = 2 : i64} POLICY : (!x) -> !h
  %r = rotary_embedding "r"(%s, %positions) <base = 10000.0 : f64, dim = 4> POLICY : (!h, !ids) -> !h
  %m = merge_heads "m"(%r) POLICY : (!h) -> !x
  %y = silu "a"(%m) POLICY : (!x) -> !x)", "compute = f32, output = f32");
  EXPECT_EQ(block.graphc, block.axon);
}
