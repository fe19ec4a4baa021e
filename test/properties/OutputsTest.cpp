// What is fused (property 10), what optional outputs leave behind (property 11), and
// what an absent value takes with it (property 15).
#include "Properties.h"

#include "graphc/Compiler.h"

#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <set>

using namespace graphc;
using namespace graphc::properties;

//===-- Property 10 ---------------------------------------------------------------===//

TEST_P(Properties, Property10_EveryEligibleAttentionFusesUnderEveryPolicy) {
  // Those whose keys and values come from a slot of their own that they append to: not
  // an encoder's, nor those that read a source.
  const int64_t eligible = Module(model().text).count<layer::CacheAppendOp>();
  const int64_t others = Module(model().text).count<layer::AttentionOp>() - eligible;
  ASSERT_GT(eligible, 0);
  ASSERT_EQ(others > 0, model().hasEncoder());
  const auto expectFused = [&](const Setting &setting) {
    Module module(model().text);
    ASSERT_TRUE(module.run(setting)) << module.diagnostics;
    EXPECT_EQ(module.count<layer::CachedAttentionOp>(), eligible) << describe(setting);
    EXPECT_EQ(module.count<layer::AttentionOp>(), others);
    EXPECT_EQ(module.diagnostics, "") << "no miss is reported";
  };
  for (const Types &types : everyTypes())
    expectFused(types.setting());
  // A type of its own for each kind of layer around attention.
  Draw draw(10);
  for (int round = 0; round < 64 && !HasFailure(); ++round) {
    Setting setting;
    setting.semantics = draw.one<std::string>({"graphc", "axon"});
    for (const char *kind : {"attention", "split_heads", "merge_heads", "dense", "add"}) {
      const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
      for (const std::string &rule : policyOf(type(), type(), type()))
        setting.policy.push_back(kind + (":" + rule));
    }
    setting.pins = {draw.one<std::string>({"auto", "f32", "bf16", "f16", "k=f16,v=bf16"})};
    expectFused(setting);
  }
}

/// Fusion stays when the weights are asked for, as one result more.
TEST_P(Properties, Property10_RequestedAttentionsStayFused) {
  Module module(model().text);
  const int64_t attentions = module.count<layer::CacheAppendOp>();
  ASSERT_TRUE(module.run({.policy = {"compute=bf16"}, .outputs = {"logits", "attentions"}}));
  int64_t weights = 0;
  module.module.get().walk([&](layer::CachedAttentionOp op) { weights += bool(op.getWeights()); });
  EXPECT_EQ(weights, attentions);
}

/// An attention that is not eligible is left alone and reported with the reason;
/// the others fuse.
TEST(Fusion, Property10_EachMissIsReportedWithItsReason) {
  Decoder decoder;
  decoder.blocks.resize(2);
  const std::string text = textOf(decoder);
  const auto broken = [&](const std::string &from, const std::string &to, const std::string &reason) {
    std::string changed = text;
    ASSERT_NE(changed.find(from), changed.npos) << from;
    changed.replace(changed.find(from), from.size(), to);
    Module module(changed);
    ASSERT_TRUE(module.isReady());
    EXPECT_TRUE(module.run([](mlir::OpPassManager &manager) { manager.addNestedPass<layer::GraphOp>(layer::createFuseCache()); }));
    EXPECT_EQ(module.count<layer::CachedAttentionOp>(), 1);
    EXPECT_NE(module.diagnostics.find("attention 'layers.0.self_attention' is not fused with its cache: " + reason), std::string::npos)
        << module.diagnostics;
  };
  // Other positions at the attention than at the append.
  broken("over %t0 at %positions", "over %t0 at %input_ids", "its positions are not those of the cache_append");
  // A second attention reads the slot too.
  broken("    %u0 = put", "    %z0 = attention \"second\"(%v4) over %t0 at %positions {scale = 1.0 : f64} : (tensor<?x4x?x8xf32>, !slot0, !ids) -> tensor<?x4x?x8xf32>\n    %u0 = put",
         "another op reads the slot");
}

//===-- Property 11 ---------------------------------------------------------------===//

/// The same decoders, with and without optional outputs.
static std::pair<Decoder, Decoder> pairOf(uint64_t seed) {
  Draw draw(seed);
  Decoder with = drawDecoder(draw, /*forKernels=*/true), without = with;
  without.hasOptionalOutputs = false;
  return {with, without};
}

TEST(OptionalOutputs, Property11_OffMeansTheModuleThatNeverHadThem) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const auto [with, without] = pairOf(seed);
    for (const std::string compute : {"", "f32", "bf16", "f16"})
      for (const std::string output : {"", "f32", "bf16", "f16"}) {
        Setting setting{.policy = policyOf("", compute, output)};
        setting.pins = {"bf16"};
        Module a(textOf(with)), b(textOf(without));
        ASSERT_TRUE(a.run(setting) && b.run(setting)) << a.diagnostics << b.diagnostics;
        ASSERT_EQ(a.text(), b.text()) << "seed " << seed << " " << describe(setting);
      }
  }
}

TEST(OptionalOutputs, Property11_OffMeansTheObjectThatNeverHadThem) {
  const auto [with, without] = pairOf(3);
  const CompileOptions options{.policy = {"compute=bf16,output=f32"}, .pins = {"bf16"}, .optimize = 1};
  auto a = compileText(textOf(with), "model", options), b = compileText(textOf(without), "model", options);
  ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
  EXPECT_EQ(a->output(), b->output());
}

TEST_P(Properties, Property11_WhatIsRequestedIsNeverPruned) {
  for (const std::vector<std::string> &outputs : std::vector<std::vector<std::string>>{
           {"hidden_states"}, {"attentions"}, {"logits"}, {"attentions", "logits"}, {"hidden_states", "attentions", "logits"}}) {
    Module module(model().text);
    ASSERT_TRUE(module.run({.policy = {"compute=bf16,output=f32"}, .outputs = outputs}));
    std::set<std::string> kept, expected(outputs.begin(), outputs.end());
    for (mlir::Attribute attribute : module.graph().getOutput().getNames()) {
      llvm::StringRef name = mlir::cast<mlir::StringAttr>(attribute).getValue();
      name.consume_front("decoder_"); // with an encoder
      kept.insert(name.str());
    }
    expected.insert("cache"); // it always stays
    EXPECT_EQ(kept, expected);
    EXPECT_EQ(module.count<layer::OptionalOp>(), 0);
  }
  Module none(model().text);
  EXPECT_FALSE(none.run({.outputs = {"logit"}}));
  EXPECT_NE(none.diagnostics.find("logit"), std::string::npos);
}

//===-- Property 15 ---------------------------------------------------------------===//

/// True if a type of the cache or `none` is anywhere in the module.
static bool mentionsCacheOrNone(const Module &module) {
  const auto of = [](mlir::Type type) { return layer::isCache(type) || mlir::isa<layer::NoneType>(type); };
  bool found = llvm::any_of(module.graph().getArgumentTypes(), of) || llvm::any_of(module.graph().getResultTypes(), of);
  module.module.get().walk([&](mlir::Operation *op) {
    found |= mlir::isa<layer::CacheOp>(op) || llvm::any_of(op->getOperandTypes(), of) || llvm::any_of(op->getResultTypes(), of);
  });
  return found;
}

TEST_P(DecoderProperties, Property15_NoneStaysNone) {
  std::vector<Call> prompt = fixedCalls();
  prompt.resize(1);
  for (const std::string compute : {"", "f32", "bf16", "f16"}) {
    const Setting cached{.policy = policyOf("", compute, "f32"), .outputs = {"logits", "hidden_states"}};
    Setting absent = cached;
    absent.absent = {"cache"};
    Module with(model().text), without(model().text);
    ASSERT_TRUE(with.run(cached) && without.run(absent)) << with.diagnostics << without.diagnostics;
    EXPECT_FALSE(mentionsCacheOrNone(without)) << without.text();
    EXPECT_TRUE(mentionsCacheOrNone(with));
    // Attention over the new rows is attention over a cache that has no others.
    EXPECT_EQ(differences(interpret(with, model().folder, prompt), interpret(without, model().folder, prompt), prompt), 0);

    // Without a mask every token is visible.
    absent.absent = {"attention_mask"};
    Module unmasked(model().text);
    ASSERT_TRUE(unmasked.run(absent));
    EXPECT_FALSE(unmasked.graph().getInput("attention_mask"));
    std::vector<Call> visible = prompt;
    std::ranges::fill(visible[0].mask.data, 1);
    Results a = interpret(with, model().folder, visible), b;
    auto checkpoint = *Checkpoint::open(model().folder);
    reference::CheckpointParameters parameters(checkpoint);
    auto interpreter = *reference::Interpreter::create(*unmasked.module, parameters, {.sessionLength = 32});
    auto outputs = interpreter.run(visible[0].ids, nullptr, nullptr);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    b.calls.push_back(*std::move(outputs));
    EXPECT_EQ(differences(a, b, visible), 0);
  }
}

/// What nothing else can stand for may not be absent.
TEST_P(DecoderProperties, Property15_NoneAtTheRootIsAnError) {
  Module module(model().text);
  EXPECT_FALSE(module.run({.absent = {"input_ids"}}));
  EXPECT_NE(module.diagnostics, "");
}

static std::string subjectName(const testing::TestParamInfo<std::string> &info) {
  std::string name = info.param;
  std::ranges::replace(name, '/', '_');
  return name;
}

static const auto decoders =
    testing::Values("llama/mqa_bias_one_layer", "llama/linear", "mistral/window", "gpt2/gelu_inverse_layer", "windows", "unrotated");
INSTANTIATE_TEST_SUITE_P(All, DecoderProperties, decoders, subjectName);
INSTANTIATE_TEST_SUITE_P(All, Properties, decoders, subjectName);
INSTANTIATE_TEST_SUITE_P(EncoderDecoders, Properties, testing::Values("t5/relu", "bart/relu"), subjectName);
