// Random graphs, random policies and random pins, compiled: every kernel of real
// steps against the interpreter (docs/Numerics.md T1, T4). Prompts come in chunks and
// are rewound, rings turn, and some caches are seed mode's. A failure prints its seed
// and module; GRAPHC_PROPERTY_SECONDS and GRAPHC_PROPERTY_SEED ask for longer runs and
// for one graph.
#include "Properties.h"

#include "Support/Message.h"
#include "System/KernelByKernel.h"

#include "llvm/Support/ErrorHandling.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace graphc;
using namespace graphc::properties;

namespace {

/// The graph that is being compiled, for an error of LLVM that ends the process.
std::string current;
void sayWhich(void *, const char *reason, bool) { std::fprintf(stderr, "%s\n%s\n", reason, current.c_str()); }

CompileOptions drawOptions(Draw &draw) {
  const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
  CompileOptions options;
  options.policy = policyOf(type(), type(), type());
  for (const char *kind : {"dense", "attention", "add", "embedding", "split_heads", "merge_heads"})
    if (draw.maybe(30))
      for (const std::string &rule : policyOf(type(), type(), type()))
        options.policy.push_back(kind + (":" + rule));
  options.pins = {draw.one<std::string>({"auto", "f32", "bf16", "f16", "k=bf16,v=f16", "k=f16,v=f32", "int8", "k=f8E4M3FN,v=f8E5M2"})};
  options.outputs = {"logits"};
  for (const char *output : {"hidden_states", "attentions"})
    if (draw.maybe(40))
      options.outputs.push_back(output);
  options.optimize = 1;
  if (draw.maybe(15)) { // attention is another kind there, without weights, and nothing is pinned
    options.cacheMode = "seed";
    options.pins.clear();
    std::erase(options.outputs, "attentions");
    std::erase_if(options.policy, [](const std::string &rule) { return rule.starts_with("attention:"); });
  }
  return options;
}

/// Rings have 64 rows, for windows of at most 6 and calls of at most 59 tokens.
constexpr int64_t kSessionLength = 96, kChunk = 59;

/// Prompts in one to three chunks, the first at times so long that rings turn, and a
/// token; then again from an earlier token on.
void drawSteps(Draw &draw, int64_t vocab, bool isSeed, system_test::KernelByKernel &kernels) {
  const auto step = [&](int64_t tokens) {
    std::vector<int32_t> ids(static_cast<size_t>(tokens));
    for (int32_t &id : ids)
      id = int32_t(draw.integer(0, vocab - 1));
    kernels.step(ids);
  };
  if (draw.maybe(25))
    step(kChunk);
  for (int64_t chunks = draw.integer(1, 3); chunks > 0; --chunks)
    step(draw.integer(1, 5));
  step(1);
  if (kernels.rewind(isSeed ? 0 : draw.integer(0, kernels.length())))
    step(draw.integer(1, 5));
  step(1);
  kernels.finish();
}

/// One graph, its options and its steps.
void compareOne(uint64_t seed) {
  Draw draw(seed);
  const Decoder decoder = drawDecoder(draw, /*forKernels=*/true);
  const CheckpointFolder weights(parametersOf(decoder, seed));
  const std::string text = textOf(decoder);
  CompileOptions options = drawOptions(draw);
  current = concat("seed ", seed, ", policy ", join(options.policy, ";"), ", pins ", join(options.pins, ";"), "\n", text);
  SCOPED_TRACE(current);
  options.stage = Stage::Layer;
  auto layers = compileText(text, "drawn", options);
  ASSERT_TRUE(layers.ok()) << layers.status();
  options.stage = Stage::Object;
  options.trace = true;
  auto compiled = compileText(text, "drawn", options);
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  system_test::KernelByKernel kernels(layers->output(), *compiled, weights.path(), kSessionLength, kChunk);
  drawSteps(draw, decoder.vocab, options.cacheMode == "seed", kernels);
}

} // namespace

TEST(RandomKernels, CompiledEqualsInterpretedWithinItsBounds) {
  const llvm::ScopedFatalErrorHandler handler(sayWhich);
  if (const char *seed = std::getenv("GRAPHC_PROPERTY_SEED"))
    return compareOne(std::strtoull(seed, nullptr, 10));
  const char *seconds = std::getenv("GRAPHC_PROPERTY_SECONDS");
  const std::chrono::duration<double> box(seconds ? std::atof(seconds) : 8);
  const auto start = std::chrono::steady_clock::now();
  int compared = 0;
  for (uint64_t seed = 1; !HasFailure() && (seed <= 3 || std::chrono::steady_clock::now() - start < box); ++seed, ++compared)
    compareOne(seed);
  RecordProperty("graphs", compared);
}
