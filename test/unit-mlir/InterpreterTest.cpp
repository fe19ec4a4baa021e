// Graphs as a whole: bounds through fused groups, the stages of the cache, and
// input that does not fit.
#include "CacheGraph.h"
#include "Models.h"
#include "Reference/Comparison.h"

#include <cmath>

using namespace graphc;
using namespace graphc::reference;

static std::string fixture(const std::string &name) { return std::string(GRAPHC_TEST_DIR) + "/models/" + name; }

static Tensor idsOf(std::vector<double> ids) {
  const int64_t count = int64_t(ids.size());
  return Tensor(DType::I32, {1, count}, std::move(ids));
}

//===-- Bounds ------------------------------------------------------------------===//

class Groups : public testing::TestWithParam<std::tuple<const char *, DType>> {
protected:
  void SetUp() override {
    const auto [name, compute] = GetParam();
    model = std::make_unique<Model>(fixture(name));
    ASSERT_TRUE(model->isReady());
    model->setPolicy(compute, DType::F32);
  }
  Tensor ids = idsOf({5, 1, 40, 7, 7, 30, 2});
  std::unique_ptr<Model> model;
};

/// True for layers whose results kernels write to memory: norms, rotary
/// embeddings, activations and the like stay inside a kernel.
static bool writesMemory(mlir::Operation *op) {
  return llvm::isa<layer::DenseOp, layer::AttentionOp, layer::EmbeddingOp, layer::ParamOp>(op) ||
         (llvm::isa<layer::AddOp>(op) && op->getAttrOfType<mlir::StringAttr>("name").getValue().contains("residual"));
}

TEST_P(Groups, everyOrderIsInsideTheBoundsOfItsGroup) {
  std::vector<Tensor> reference;
  Options options{.sessionLength = 32, .bounds = true};
  options.isBoundary = writesMemory;
  options.observe = [&](mlir::Operation *, unsigned, const Tensor &x) { reference.push_back(x); };
  ASSERT_TRUE(model->interpreter(options).run(ids, nullptr, nullptr).ok());
  for (uint64_t seed = 0; seed < 5; ++seed) {
    size_t next = 0;
    Options order{.mode = seed ? Mode::Order : Mode::Dot, .orderSeed = seed, .sessionLength = 32};
    order.observe = [&](mlir::Operation *op, unsigned, const Tensor &x) {
      const Tensor &expected = reference[next++];
      for (int64_t i = 0; i < x.size(); ++i)
        ASSERT_TRUE(agrees(expected, i, x.data[i]))
            << op->getName().getStringRef().str() << ", element " << i << ", seed " << seed << ": " << x.data[i]
            << " and " << expected.centre[i] << " +- " << expected.bound[i];
    };
    order.force = [&](mlir::Operation *op, unsigned) { return writesMemory(op) ? &reference[next - 1] : nullptr; };
    ASSERT_TRUE(model->interpreter(order).run(ids, nullptr, nullptr).ok());
    EXPECT_EQ(next, reference.size());
  }
  // Not vacuous: few elements are uncertain by much. In 16 bits an element that
  // may be rounded either way inside a group moves a whole row of the next sum.
  const double much = std::get<DType>(GetParam()) == DType::F32 ? 1e-4 : 0.05;
  for (const Tensor &x : reference) {
    double largest = 0;
    int64_t wide = 0;
    for (double value : x.data)
      largest = std::fmax(largest, std::fabs(value));
    for (double bound : x.bound)
      wide += !(bound <= much * largest);
    EXPECT_LE(wide * 50, x.size()) << describe(x);
  }
}

TEST_P(Groups, theWholeModelAsOneGroupCoversEveryOrder) {
  // Intervals of a whole model are wide; they must cover all the same.
  std::vector<Tensor> reference;
  Options options{.sessionLength = 32, .bounds = true};
  options.isBoundary = [](mlir::Operation *) { return false; };
  options.observe = [&](mlir::Operation *, unsigned, const Tensor &x) { reference.push_back(x); };
  ASSERT_TRUE(model->interpreter(options).run(ids, nullptr, nullptr).ok());
  for (uint64_t seed = 0; seed < 4; ++seed) {
    size_t next = 0;
    Options order{.mode = seed ? Mode::Order : Mode::Dot, .orderSeed = seed, .sessionLength = 32};
    order.observe = [&](mlir::Operation *op, unsigned, const Tensor &x) {
      const Tensor &expected = reference[next++];
      for (int64_t i = 0; i < x.size(); ++i)
        ASSERT_TRUE(expected.bound.empty() || !(expected.bound[i] < 1e6) || agrees(expected, i, x.data[i]))
            << op->getName().getStringRef().str() << ", element " << i << ", seed " << seed << ": " << x.data[i]
            << " and " << expected.centre[i] << " +- " << expected.bound[i];
    };
    ASSERT_TRUE(model->interpreter(order).run(ids, nullptr, nullptr).ok());
    EXPECT_EQ(next, reference.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Bounds, Groups,
                         testing::Combine(testing::Values("llama/mha", "llama/yarn", "gpt2/gelu_new", "gpt2/gelu_inverse_layer"),
                                          testing::Values(DType::F32, DType::BF16, DType::F16)));

//===-- Stages of the cache -------------------------------------------------------===//

/// The outputs of a prompt and of two more tokens behind it.
static std::vector<Tensor> promptAndTwo(const std::string &text, CacheState *end = nullptr) {
  Text graph(text);
  EXPECT_TRUE(graph.module);
  Interpreter interpreter = graph.interpreter();
  CacheState cache = *interpreter.createCache(1, 9);
  std::vector<Tensor> results;
  for (const Tensor &ids : {idsOf({3, 9, 1, 12, 0}), idsOf({7}), idsOf({15})}) {
    const auto outputs = interpreter.run(ids, nullptr, &cache);
    EXPECT_TRUE(outputs.ok()) << outputs.status();
    results.push_back(outputs->find("logits")->front());
  }
  if (end)
    *end = cache;
  return results;
}

static void expectEqual(const std::vector<Tensor> &a, const std::vector<Tensor> &b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(a[i].data, b[i].data) << "result " << i;
}

TEST(Stages, fusedAttentionMeansTheSame) {
  for (const std::string pin : {"auto", "f32", "bf16", "f16"})
    for (const std::string policy : {"", "policy<compute = bf16, output = f32>", "policy<compute = f16>"}) {
      SCOPED_TRACE(pin + " " + policy);
      expectEqual(promptAndTwo(attentionGraph(pin, pin, with(kApart, policy))),
                  promptAndTwo(attentionGraph(pin, pin, with(kFused, policy))));
    }
}

TEST(Stages, anUnpinnedCacheIsPinnedToTheComputeType) {
  for (const std::string type : {"f32", "bf16", "f16"}) {
    const std::string policy = "policy<compute = " + type + ">";
    CacheState automatic, pinned;
    expectEqual(promptAndTwo(attentionGraph("auto", "auto", with(kFused, policy)), &automatic),
                promptAndTwo(attentionGraph(type, type, with(kFused, policy)), &pinned));
    EXPECT_EQ(automatic.blocks[0].self.keys.rows.dtype, pinned.blocks[0].self.keys.rows.dtype);
  }
}

TEST(Stages, newRowsAreReadInTheirStoredForm) {
  // A narrow pin shows in the very call that writes the row.
  const std::string policy = "policy<compute = f32>";
  const std::vector<Tensor> wide = promptAndTwo(attentionGraph("f32", "f32", with(kFused, policy)));
  const std::vector<Tensor> narrow = promptAndTwo(attentionGraph("f32", "bf16", with(kFused, policy)));
  for (size_t i = 0; i < wide.size(); ++i)
    EXPECT_NE(wide[i].data, narrow[i].data);
}

TEST(Stages, explicitCastsMeanWhatThePolicyAsked) {
  const std::string body = R"(
  %qb = cast %q : !q to tensor<?x2x?x4xbf16>
  %kb = cast %k : !k to tensor<?x1x?x4xbf16>
  %vb = cast %v : !k to tensor<?x1x?x4xbf16>
  %vf = cast %vb : tensor<?x1x?x4xbf16> to tensor<?x1x?x4xf16>
  %ab, %c = cached_attention "a"(%qb, %kb, %vf, %positions) in %cache[0] {scale = 0.5, causal}
    : tensor<?x2x?x4xbf16>, tensor<?x1x?x4xbf16>, tensor<?x1x?x4xf16>, !ids, !cache -> tensor<?x2x?x4xbf16>
  %a = cast %ab : tensor<?x2x?x4xbf16> to !q)";
  CacheState asked, done;
  expectEqual(promptAndTwo(attentionGraph("bf16", "f16", with(kFused, "policy<compute = bf16>")), &asked),
              promptAndTwo(attentionGraph("bf16", "f16", body, ", casts = #layer.casts<explicit>"), &done));
  const auto rows = [](const CacheState &cache) { return cache.blocks[0].self.values.rows; };
  EXPECT_EQ(rows(asked).dtype, DType::F16);
  for (int64_t i = 0; i < rows(asked).size(); ++i) // rows 7 and 8 of 9 were never written: NaN
    EXPECT_TRUE(rows(asked).data[i] == rows(done).data[i] || i >= 7 * 4) << i;
}

TEST(Stages, anAbsentCacheIsTheNewRowsAlone) {
  std::string text = attentionGraph("auto", "auto", with(kApart, ""));
  const std::vector<Tensor> cached = promptAndTwo(text);
  for (const char *type : {"!slot = ", "!block = ", "!cache = "}) {
    const size_t begin = text.find(type) + std::string(type).size();
    text.replace(begin, text.find('\n', begin) - begin, "!layer.none");
  }
  Text graph(text);
  ASSERT_TRUE(graph.module);
  Interpreter interpreter = graph.interpreter();
  const auto outputs = interpreter.run(idsOf({3, 9, 1, 12, 0}), nullptr, nullptr);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  EXPECT_EQ(outputs->find("logits")->front().data, cached[0].data);
}

TEST(Stages, paddingChangesNothingButItsOwnRows) {
  Text graph(attentionGraph("bf16", "bf16", with(kFused, "policy<compute = bf16>")));
  Interpreter interpreter = graph.interpreter();
  const auto alone = interpreter.run(idsOf({3, 9, 1}), nullptr, nullptr);
  const Tensor ids(DType::I32, {2, 5}, {0, 3, 0, 9, 1, 5, 5, 5, 5, 5}), mask(DType::I32, {2, 5}, {0, 1, 0, 1, 1, 1, 1, 1, 1, 1});
  const auto padded = interpreter.run(ids, &mask, nullptr);
  ASSERT_TRUE(alone.ok() && padded.ok()) << padded.status();
  const std::vector<double> &a = alone->find("logits")->front().data, &p = padded->find("logits")->front().data;
  const int64_t places[] = {1, 3, 4};
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t i = 0; i < 8; ++i)
      EXPECT_EQ(a[t * 8 + i], p[places[t] * 8 + i]);
}

//===-- Input that does not fit -------------------------------------------------===//

static std::string messageOf(const absl::Status &status) { return std::string(status.message()); }

TEST(Misfits, areErrorsAndWriteNothing) {
  Text graph(attentionGraph("bf16", "bf16", with(kFused, "")));
  Interpreter interpreter = graph.interpreter();
  CacheState cache = *interpreter.createCache(1, 3);
  ASSERT_TRUE(interpreter.run(idsOf({1, 2}), nullptr, &cache).ok());
  const auto full = interpreter.run(idsOf({1, 2}), nullptr, &cache);
  EXPECT_EQ(messageOf(full.status()), "sequence 0 needs 4 cache rows, the session was declared with 3");
  EXPECT_EQ(cache.lengths, std::vector<int32_t>{2});
  EXPECT_TRUE(std::isnan(cache.blocks[0].self.keys.rows.data[2 * 4]));
  EXPECT_EQ(messageOf(interpreter.run(idsOf({16}), nullptr, &cache).status()),
            "layer.embedding 'embedder': id 16 is beyond the table of 16 rows");
  const Tensor two(DType::I32, {2, 1}, {1, 1});
  EXPECT_EQ(messageOf(interpreter.run(two, nullptr, &cache).status()), "cache holds 1 sequences, got ids of 2");
  EXPECT_FALSE(interpreter.run(two, &cache.blocks[0].self.keys.rows, nullptr).ok());
  EXPECT_FALSE(interpreter.run(Tensor(DType::I32, {1, 0}), nullptr, nullptr).ok());
  EXPECT_FALSE(interpreter.createCache(1, 0).ok());
  EXPECT_FALSE(interpreter.createCache(int64_t(1) << 40, int64_t(1) << 40).ok());
}

TEST(Misfits, parametersMustHaveTheDeclaredType) {
  Text graph(attentionGraph("bf16", "bf16", with(kFused, "")));
  TensorParameters missing({}), narrow({{"table", Tensor(DType::BF16, {16, 8})}});
  EXPECT_EQ(messageOf(Interpreter::create(*graph.module, missing)->run(idsOf({1}), nullptr, nullptr).status()),
            "there is no tensor 'table'");
  EXPECT_EQ(messageOf(Interpreter::create(*graph.module, narrow)->run(idsOf({1}), nullptr, nullptr).status()),
            "tensor 'table' must be tensor<16x8xf32>, got bf16 (16, 8)");
}

TEST(Generate, stopsWithAStopTokenAndAsksForChoices) {
  Text graph(attentionGraph("f32", "f32", with(kFused, "")));
  Interpreter interpreter = graph.interpreter();
  int calls = 0; // the second sequence stops at once, the first goes on
  GenerateOptions options{.newTokens = 3, .stopTokens = {5}};
  options.choose = [&](size_t sequence, std::span<const double> logits) -> absl::StatusOr<int32_t> {
    EXPECT_EQ(logits.size(), 8u);
    ++calls;
    return sequence ? 5 : 2;
  };
  const auto result = generate(interpreter, {{1, 2}, {3}}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->tokens, (std::vector<std::vector<int32_t>>{{2, 2, 2}, {5}}));
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(result->cache.lengths, (std::vector<int32_t>{4, 1}));
  options.onToken = [](size_t, int32_t) { return false; };
  EXPECT_EQ(generate(interpreter, {{1, 2}, {3}}, options)->tokens, (std::vector<std::vector<int32_t>>{{2}, {}}));
}

TEST(Misfits, generateRefusesWhatItCannotDecide) {
  Text graph(attentionGraph("f32", "f32", with(kFused, "")));
  Interpreter interpreter = graph.interpreter();
  EXPECT_EQ(messageOf(generate(interpreter, {}, {}).status()), "there is no prompt");
  EXPECT_FALSE(generate(interpreter, {{1}, {}}, {}).ok());
  EXPECT_FALSE(generate(interpreter, {{-1}}, {}).ok());
  EXPECT_FALSE(generate(interpreter, {{1}}, {.keep = {"hidden_states"}}).ok());
  EXPECT_EQ(*argmax(std::vector<double>{1, 3, 3}), 1);
  EXPECT_FALSE(argmax(std::vector<double>{1, NAN, 3}).ok());
}

TEST(Misfits, boundsNeedTheirMode) {
  Text graph(attentionGraph("f32", "f32", with(kFused, "")));
  EXPECT_FALSE(Interpreter::create(*graph.module, *graph.parameters, {.mode = Mode::F64, .bounds = true}).ok());
  EXPECT_FALSE(Interpreter::create(*graph.module, *graph.parameters, {}, "other").ok());
}
