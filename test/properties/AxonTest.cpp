// `--policy-semantics=axon`: drawn graphs under drawn policies, run in chunks on a
// cache, give the bits of a small model of Axon that knows neither graphs nor caches.
#include "AxonModel.h"
#include "Properties.h"

#include "Support/Message.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::properties;

namespace {

/// Rules, and what they come to for each kind of layer: later rules win, key by key.
class DrawnPolicy {
public:
  DrawnPolicy(Draw &draw, const std::string &text) {
    add(draw, "");
    for (const char *kind : {"embedding", "dense", "add", "multiply", "rms_norm", "layer_norm", "rotary_embedding",
                             "split_heads", "merge_heads", "slice", "silu", "gelu", "gelu_tanh", "relu"})
      if (text.find(concat(" = ", kind, " \"")) != text.npos && draw.maybe(40))
        add(draw, kind);
    add(draw, "attention", draw.one<std::string>({"bf16", "f16"}));
  }

  LayerTypes of(std::string_view kind) const {
    const auto own = kinds.find(std::string(kind));
    LayerTypes types = kinds.at("");
    if (own != kinds.end()) {
      types.params = own->second.params ? own->second.params : types.params;
      types.compute = own->second.compute ? own->second.compute : types.compute;
      types.output = own->second.output ? own->second.output : types.output;
    }
    return types;
  }

  std::vector<std::string> rules;

private:
  void add(Draw &draw, const std::string &kind, std::string compute = "any") {
    const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
    const std::string params = type(), output = type();
    if (compute == "any")
      compute = type();
    for (const std::string &rule : policyOf(params, compute, output))
      rules.push_back(kind.empty() ? rule : concat("op:", kind, ":", rule));
    const auto dtype = [](const std::string &name) { return name.empty() ? std::nullopt : std::optional(*parseDType(name)); };
    kinds[kind] = {dtype(params), dtype(compute), dtype(output)};
  }

  std::map<std::string, LayerTypes> kinds; ///< "": of all.
};

/// Calls of one sequence without padding: prompts, then single tokens.
std::vector<Call> drawSequence(Draw &draw, int64_t vocab, std::vector<int32_t> &ids) {
  std::vector<Call> calls;
  for (int64_t chunk = draw.integer(1, 3) + 2; chunk > 0; --chunk) {
    const int64_t tokens = chunk > 2 ? draw.integer(1, 4) : 1;
    Call call{reference::Tensor(DType::I32, {1, tokens}), reference::Tensor(DType::I32, {1, tokens})};
    for (int64_t t = 0; t < tokens; ++t) {
      ids.push_back(int32_t(draw.integer(0, vocab - 1)));
      call.ids.data[t] = ids.back();
      call.mask.data[t] = 1;
    }
    calls.push_back(std::move(call));
  }
  return calls;
}

/// Elements of the calls' `name`, one after the other, that are not those of `rows`;
/// -1 if one is not finite.
int64_t differencesFrom(const Rows &rows, const Results &results, const std::string &name, size_t member = 0) {
  size_t at = 0;
  int64_t count = 0;
  for (const reference::Outputs &outputs : results.calls) {
    const std::vector<reference::Tensor> *values = outputs.find(name);
    if (!values || values->size() <= member)
      return ADD_FAILURE() << "no output " << name, 0;
    for (double x : (*values)[member].data) {
      if (!std::isfinite(x) || !std::isfinite(rows.data[at]))
        return -1;
      count += x != rows.data[at++];
    }
  }
  EXPECT_EQ(at, rows.data.size());
  return count;
}

} // namespace

TEST(Axon, RoundsWhereAnIndependentModelOfItDoes) {
  int64_t graphs = 0, distinguished = 0, infinite = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Draw draw(seed);
    const Decoder decoder = drawDecoder(draw, /*forKernels=*/false);
    const auto parameters = parametersOf(decoder, seed);
    const CheckpointFolder weights(parameters);
    const std::string text = textOf(decoder);
    const DrawnPolicy policy(draw, text);
    std::vector<int32_t> ids;
    const std::vector<Call> calls = drawSequence(draw, decoder.vocab, ids);
    SCOPED_TRACE(concat("seed ", seed, ", policy ", join(policy.rules, ";"), "\n", text));

    const auto interpreted = [&](const std::string &semantics) {
      Module module(text);
      EXPECT_TRUE(module.run({.policy = policy.rules, .outputs = {"logits", "hidden_states"}, .semantics = semantics})) << module.diagnostics;
      return interpret(module, weights.path(), calls,
                       {.semantics = semantics == "axon" ? reference::Semantics::Axon : reference::Semantics::Graphc});
    };
    const Results axon = interpreted("axon");
    ASSERT_FALSE(HasFailure());
    const AxonModel::Outputs expected = AxonModel(decoder, parameters, [&](std::string_view kind) { return policy.of(kind); }).run(ids);
    ++graphs;
    for (size_t state = 0; state < expected.states.size(); ++state)
      ASSERT_LE(differencesFrom(expected.states[state], axon, "hidden_states", state), 0) << "hidden state " << state;
    const int64_t different = differencesFrom(expected.logits, axon, "logits");
    ASSERT_LE(different, 0);
    infinite += different < 0;
    distinguished += differencesFrom(expected.logits, interpreted("graphc"), "logits") > 0;
  }
  EXPECT_LE(infinite * 10, graphs) << "most draws must be finite to compare anything";
  EXPECT_GE(distinguished * 10, graphs * 8) << "graphc's own semantics must show under most policies";
}
