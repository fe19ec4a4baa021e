// A pin that is not the compute type, in both directions: property 14.
#include "Properties.h"

#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::properties;

/// Rows as they were handed to the cache of block 0 in the first call, before any
/// rounding at the cache: keys and values.
static std::array<reference::Tensor, 2> rowsOfFirstCall(const Module &module, const std::string &folder, const std::vector<Call> &calls) {
  std::array<reference::Tensor, 2> rows;
  mlir::Value sides[2];
  module.module.get().walk([&](layer::CacheAppendOp op) {
    if (!sides[0])
      sides[0] = op.getKey(), sides[1] = op.getValue();
  });
  reference::Options options;
  options.observe = [&](mlir::Operation *op, unsigned result, const reference::Tensor &tensor) {
    for (int side : {0, 1})
      if (op->getResult(result) == sides[side])
        rows[side] = tensor;
  };
  interpret(module, folder, {calls[0]}, options);
  return rows;
}

TEST_P(Properties, Property14_RowsAreRoundedToComputeThenToThePin) {
  const std::vector<Call> calls = fixedCalls();
  for (const std::string compute : {"f32", "bf16", "f16"})
    for (const std::string pin : {"f32", "bf16", "f16"}) {
      SCOPED_TRACE("compute " + compute + " pin " + pin);
      // All layers but attention in f32: rows reach the cache unrounded.
      const std::string policy = "attention:compute=" + compute;
      Module requested(model().text), compiled(model().text);
      ASSERT_TRUE(requested.run([&](mlir::OpPassManager &manager) { manager.addPass(layer::createApplyPolicy({policy})); }));
      ASSERT_TRUE(compiled.run({.policy = {policy}, .pins = {pin}})) << compiled.diagnostics;
      const auto rows = rowsOfFirstCall(requested, model().folder, calls);
      const reference::CacheSlot slot = interpret(compiled, model().folder, {calls[0]}).cache.blocks[0].self;
      int64_t compared = 0;
      for (int side : {0, 1}) {
        const reference::Tensor &stored = (side ? slot.values : slot.keys).rows; // (batch, kvHeads, capacity, headDim)
        const int64_t heads = stored.dim(1), tokens = rows[side].dim(2), width = stored.dim(3);
        for (int64_t b = 0; b < stored.dim(0); ++b)
          for (int64_t t = 0, row = 0; t < tokens; ++t) {
            if (calls[0].mask.data[b * tokens + t] == 0)
              continue;
            for (int64_t h = 0; h < heads; ++h)
              for (int64_t d = 0; d < width; ++d, ++compared) {
                const double made = rows[side].data[((b * heads + h) * tokens + t) * width + d];
                ASSERT_EQ(stored.data[((b * heads + h) * stored.dim(2) + row) * width + d],
                          roundTo(*parseDType(pin), roundTo(*parseDType(compute), made)));
              }
            ++row;
          }
      }
      EXPECT_GT(compared, 0);
    }
}

/// A pin that holds C changes no bit; a narrower one does.
TEST_P(Properties, Property14_AWiderPinChangesNothingANarrowerOneDoes) {
  const std::vector<Call> calls = fixedCalls();
  for (const std::string compute : {"f32", "bf16", "f16"}) {
    const auto run = [&](const std::string &pin) {
      Module module(model().text);
      EXPECT_TRUE(module.run({.policy = {"compute=" + compute + ",output=f32"}, .pins = {pin}, .outputs = {"logits", "hidden_states"}}));
      return interpret(module, model().folder, calls);
    };
    const Results same = run(compute);
    for (const std::string pin : {"f32", "bf16", "f16"}) {
      SCOPED_TRACE("compute " + compute + " pin " + pin);
      if (holds(*parseDType(pin), *parseDType(compute)))
        EXPECT_EQ(differences(run(pin), same, calls), 0);
      else if (compute == "f32") // rows of every size
        EXPECT_GT(differences(run(pin), same, calls), 0);
    }
  }
}

/// A decoder with values of f16's limit and beyond.
static Decoder largeValues() {
  Decoder decoder;
  decoder.blocks.resize(2);
  decoder.valueScale = 40000;
  return decoder;
}

TEST(Pins, Property14_AnF16PinOverflowsToInfinity) {
  const CheckpointFolder weights(parametersOf(largeValues(), 5));
  const Subject model = subjectOf(largeValues(), weights);
  const auto infinities = [&](const std::string &pin) {
    Module module(model.text);
    EXPECT_TRUE(module.run({.policy = {"compute=bf16,output=f32"}, .pins = {pin}}));
    const Results results = interpret(module, model.folder, {fixedCalls()[0]});
    return std::ranges::count_if(results.cache.blocks[0].self.values.rows.data, [](double x) { return std::isinf(x); });
  };
  EXPECT_GT(infinities("f16"), 0);
  EXPECT_GT(infinities("k=bf16,v=f16"), 0);
  EXPECT_EQ(infinities("bf16"), 0);
  EXPECT_EQ(infinities("k=f16,v=f32"), 0);
}
