// The differential oracle, property 6: a cache pinned to the compute type equals the
// seed's, where the policy casts the cache as an ordinary tensor, bit by bit, under
// the conditions of docs/Numerics.md T9; and each condition matters. Graphs are drawn
// from the grammar of Decoder.h, runs are ragged batches in several chunks, with turns
// back to earlier tokens.
#include "Properties.h"

#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

using namespace graphc;
using namespace graphc::properties;

/// Seconds that a random test may take: GRAPHC_PROPERTY_SECONDS, else `usual`.
static double timeBox(double usual) {
  const char *text = std::getenv("GRAPHC_PROPERTY_SECONDS");
  return text ? std::atof(text) : usual;
}

namespace {

/// Policies under which T9's conditions hold: any types for the other layers; for an
/// attention a C that both types of every node that carries the cache hold.
struct Agreement {
  std::vector<std::string> policy, pins;
  std::vector<std::string> carriers; ///< Rules of seed mode alone.
  std::string semantics;
  std::vector<std::string> outputs = {"logits", "hidden_states"};
};

Agreement drawAgreement(Draw &draw, const Decoder &decoder) {
  const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
  Agreement result;
  result.policy = policyOf(type(), type(), type());
  for (const char *kind : {"dense", "add", "embedding", "split_heads", "merge_heads"})
    if (draw.maybe(40))
      for (const std::string &rule : policyOf(type(), type(), type()))
        result.policy.push_back(kind + (":" + rule));
  // One C for all attentions, with outputs that hold it; or carriers that hold
  // everything, and a C for each attention.
  const bool isOne = draw.maybe();
  const std::string one = draw.one<std::string>({"f32", "bf16", "f16"});
  for (size_t i = 0; i < decoder.blocks.size(); ++i) {
    const std::string compute = isOne ? one : draw.one<std::string>({"f32", "bf16", "f16"});
    const std::string output = draw.one<std::string>({compute, "f32"});
    result.policy.push_back(concat("name:layers.", i, ".self_attention:compute=", compute, ",output=", output));
    result.pins.push_back(concat("layers.", i, ".self_attention:", compute));
  }
  result.semantics = draw.one<std::string>({"graphc", "axon"});
  // What carries the cache, in seed mode alone; the first rule has reached it too.
  const std::string carriers = isOne ? concat(":compute=", one, ",output=", draw.one<std::string>({one, "f32"})) : ":compute=f32,output=f32";
  result.carriers = {"cache.*" + carriers, "seed_update" + carriers};
  if (std::ranges::any_of(decoder.blocks, [](const Block &block) { return block.group > 1; }))
    result.carriers.push_back("repeat_heads" + carriers);
  return result;
}

Setting pinnedSetting(const Agreement &agreement) {
  return {.policy = agreement.policy, .pins = agreement.pins, .outputs = agreement.outputs, .semantics = agreement.semantics};
}

Setting seedSetting(const Agreement &agreement) {
  Setting setting = pinnedSetting(agreement);
  setting.pins.clear();
  setting.seed = true;
  setting.policy.insert(setting.policy.end(), agreement.carriers.begin(), agreement.carriers.end());
  return setting;
}

bool isFinite(const Results &results) {
  for (const reference::Outputs &outputs : results.calls)
    for (const auto &[name, tensors] : outputs.values)
      for (const reference::Tensor &tensor : tensors)
        if (!std::ranges::all_of(tensor.data, [](double x) { return std::isfinite(x); }))
          return false;
  return true;
}

/// Runs both modes; -1 if a value was not finite.
int64_t seedDifferences(const Subject &model, const Setting &pinned, const Setting &seed, const std::vector<Call> &calls,
                        const reference::Options &options = {}) {
  Module a(model.text), b(model.text);
  EXPECT_TRUE(a.run(pinned)) << a.diagnostics << describe(pinned);
  EXPECT_TRUE(b.run(seed)) << b.diagnostics << describe(seed);
  if (testing::Test::HasFailure())
    return -1;
  const Results x = interpret(a, model.folder, calls, options), y = interpret(b, model.folder, calls, options);
  return isFinite(x) && isFinite(y) ? differences(x, y, calls) : -1;
}

} // namespace

TEST(SeedOracle, Property06_PinnedEqualsSeedOnRandomGraphs) {
  const auto start = std::chrono::steady_clock::now();
  const std::chrono::duration<double> box(timeBox(4));
  int64_t compared = 0, infinite = 0;
  for (uint64_t seed = 1; seed <= 20 || std::chrono::steady_clock::now() - start < box; ++seed) {
    Draw draw(seed);
    const Decoder decoder = drawDecoder(draw, /*forKernels=*/false);
    const CheckpointFolder weights(parametersOf(decoder, seed));
    const Subject model = subjectOf(decoder, weights);
    Agreement agreement = drawAgreement(draw, decoder);
    if (draw.maybe())
      agreement.outputs.push_back("attentions"); // which change no other output
    const std::vector<Call> calls = drawCalls(draw, decoder.vocab);
    reference::Options options; // sums as the definition has them, or f32 in an order drawn
    options.semantics = agreement.semantics == "axon" ? reference::Semantics::Axon : reference::Semantics::Graphc;
    options.mode = draw.maybe() ? reference::Mode::PolicyExact : reference::Mode::Order;
    options.orderSeed = seed;
    const int64_t different = seedDifferences(model, pinnedSetting(agreement), seedSetting(agreement), calls, options);
    infinite += different < 0;
    ++compared;
    ASSERT_LE(different, 0) << different << " elements differ; seed " << seed << ", " << describe(seedSetting(agreement)) << ", pins "
                            << join(agreement.pins, ";") << "\n" << model.text;
    ASSERT_FALSE(HasFailure()) << "seed " << seed << "\n" << model.text;
  }
  RecordProperty("graphs", int(compared));
  EXPECT_LE(infinite * 10, compared) << "most draws must be finite to compare anything";
}

TEST_P(DecoderProperties, Property06_PinnedEqualsSeed) {
  for (const auto &[compute, output] : {std::pair("f32", "f32"), std::pair("bf16", "f32"), std::pair("bf16", "bf16"),
                                        std::pair("f16", "f32"), std::pair("f16", "f16")})
    for (const std::string semantics : {"graphc", "axon"}) {
      Setting pinned{.policy = policyOf("", compute, output), .pins = {compute}, .outputs = {"logits", "hidden_states"}, .semantics = semantics};
      Setting seed = pinned;
      seed.pins.clear();
      seed.seed = true;
      reference::Options options;
      options.semantics = semantics == "axon" ? reference::Semantics::Axon : reference::Semantics::Graphc;
      EXPECT_EQ(seedDifferences(model(), pinned, seed, fixedCalls(), options), 0) << describe(seed);
    }
}

//===-- Negative tests: each condition matters ---------------------------------------===//

static Setting seedOf(std::vector<std::string> policy) {
  return {.policy = std::move(policy), .outputs = {"logits", "hidden_states"}, .seed = true};
}
static Setting pinnedOf(std::vector<std::string> policy, std::string pin) {
  return {.policy = std::move(policy), .pins = {std::move(pin)}, .outputs = {"logits", "hidden_states"}};
}

/// (a), (b): a pin narrower than C.
TEST_P(DecoderProperties, Property06_DiffersWithAPinNarrowerThanTheComputeType) {
  for (const char *pin : {"bf16", "f16"})
    EXPECT_GT(seedDifferences(model(), pinnedOf({"compute=f32"}, pin), seedOf({"compute=f32"}), fixedCalls()), 0) << pin;
  EXPECT_GT(seedDifferences(model(), pinnedOf({"compute=f16,output=f32"}, "bf16"), seedOf({"compute=f16,output=f32"}), fixedCalls()), 0);
}

/// (b): one bf16 node that carries the cache of an f32 model.
TEST_P(DecoderProperties, Property06_DiffersWithOneNarrowCarrier) {
  for (const char *node : {"cache.0.put", "cache.0.get"})
    EXPECT_GT(seedDifferences(model(), pinnedOf({"compute=f32"}, "f32"), seedOf({"compute=f32", std::string(node) + ":compute=bf16"}), fixedCalls()), 0)
        << node;
}

/// (b): carriers of f16 in a bf16 model show in the rows that f16 cannot hold, and in
/// no other: those below 2^-17 and those above 65504.
TEST(SeedOracle, Property06_DiffersWithF16CarriersWhereF16CannotHoldTheRows) {
  const auto differencesAt = [](double scale) {
    Decoder decoder;
    decoder.blocks.resize(1);
    decoder.blocks[0].residual = Block::Residual::Sandwich; // the norm brings the size of values back
    decoder.valueScale = scale;
    decoder.epsilon = "1.0e-20"; // or it would drown small values
    const CheckpointFolder weights(parametersOf(decoder, 6));
    Module pinned(textOf(decoder)), seed(textOf(decoder));
    EXPECT_TRUE(pinned.run(pinnedOf({"compute=bf16,output=f32"}, "bf16")));
    EXPECT_TRUE(seed.run(seedOf({"compute=bf16,output=f32", "cache.*:output=f16"})));
    return differences(interpret(pinned, weights.path(), fixedCalls()), interpret(seed, weights.path(), fixedCalls()), fixedCalls());
  };
  EXPECT_EQ(differencesAt(1), 0);
  EXPECT_GT(differencesAt(0x1p-22), 0);
  EXPECT_GT(differencesAt(0x1p20), 0);
}
