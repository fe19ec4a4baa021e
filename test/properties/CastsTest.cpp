// Which casts there are: none of a cache (property 2), and exactly those that cannot
// be folded (property 9).
#include "Properties.h"

#include "Compiler/Context.h"
#include "graphc/Compiler.h"
#include "graphc/IR/Kernel.h"

#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <cmath>

using namespace graphc;
using namespace graphc::properties;

//===-- Property 2 ----------------------------------------------------------------===//

/// Casts of what is a whole cache: a leaf of the cache argument, or made from one by
/// an op that carries it. Attention and the lengths read a cache and carry none.
static int64_t castsOfACache(const Module &module) {
  int64_t casts = 0;
  for (layer::GraphOp graph : module.graphs()) {
    llvm::DenseSet<mlir::Value> whole{graph.getInput("cache")};
    for (mlir::Operation &op : graph.getBody().front()) {
      if (llvm::none_of(op.getOperands(), [&](mlir::Value operand) { return whole.contains(operand); }))
        continue;
      casts += mlir::isa<layer::CastOp>(op);
      if (!mlir::isa<layer::AttentionOp, layer::SeedAttentionOp>(op))
        for (mlir::Value result : op.getResults())
          if (layer::isCache(result.getType()) || (layer::isFloatTensor(result.getType()) && !mlir::isa<layer::CachedAttentionOp>(op)))
            whole.insert(result);
    }
  }
  return casts;
}

/// Key and value of an op that stores new rows; empty for others.
static llvm::SmallVector<mlir::Value> rowsOf(mlir::Operation *op) {
  if (auto attention = mlir::dyn_cast<layer::CachedAttentionOp>(op))
    return {attention.getKey(), attention.getValue()};
  if (auto store = mlir::dyn_cast<layer::CacheStoreOp>(op))
    return {store.getKey(), store.getValue()};
  return {};
}

TEST_P(Properties, Property02_NoCastHasACacheOperand) {
  for (const Types &types : everyTypes()) {
    SCOPED_TRACE(describe(types.setting()));
    Module module(model().text);
    ASSERT_TRUE(module.run(types.setting())) << module.diagnostics;
    EXPECT_EQ(castsOfACache(module), 0);
    // New rows are rounded to C and to the pin, each at most once; those of an 8-bit
    // pin are quantised by the op that stores them, and have no cast to the pin.
    const bool isScaled = isEightBit(types.cacheType());
    const DType rowType = isScaled ? types.computeType() : types.cacheType();
    module.module.get().walk([&](mlir::Operation *op) {
      for (mlir::Value rows : rowsOf(op)) {
        if (!isScaled)
          EXPECT_EQ(mlir::getElementTypeOrSelf(rows.getType()), layer::typeOf(&module.context, rowType));
        int64_t casts = 0;
        for (auto cast = rows.getDefiningOp<layer::CastOp>(); cast; cast = cast.getX().getDefiningOp<layer::CastOp>())
          ++casts;
        EXPECT_LE(casts, rowType == types.computeType() ? 1 : 2) << module.text();
      }
    });
    if (HasFailure())
      return;
  }
  // The count sees casts where there are some: seed mode narrows whole caches.
  if (model().hasEncoder())
    return;
  Module seed(model().text);
  ASSERT_TRUE(seed.run({.policy = {"compute=bf16,output=f32"}, .seed = true}));
  EXPECT_GT(castsOfACache(seed), 0);
}

/// Scratch that a thread has on its stack in a function, and in the deepest chain of those it calls.
static int64_t scratchOf(mlir::Operation *function) {
  int64_t own = 0, called = 0;
  function->walk([&](mlir::Operation *op) {
    for (mlir::Value result : op->getResults())
      if (auto memref = mlir::dyn_cast<mlir::MemRefType>(result.getType());
          memref && memref.hasStaticShape() && mlir::hasEffect<mlir::MemoryEffects::Allocate>(op, result))
        own += memref.getNumElements() * memref.getElementTypeBitWidth() / 8;
    if (auto call = mlir::dyn_cast<mlir::CallOpInterface>(op))
      if (mlir::Operation *callee = call.resolveCallable())
        called = std::max(called, scratchOf(callee));
  });
  return own + called;
}

/// At vector level every access to the cache has the pinned type, nothing copies,
/// casts or re-types its memory, and scratch has a fixed size of at most 256 KiB a thread.
TEST_P(Properties, Property02_AccessesHaveThePinnedTypeInVectorCode) {
  for (const auto &[compute, pin] : {std::pair("bf16", "bf16"), std::pair("f32", "bf16"), std::pair("bf16", "f32"), std::pair("f16", "bf16")}) {
    SCOPED_TRACE(std::string(compute) + " " + pin);
    auto compiled = compileText(model().text, "model", {.policy = policyOf("", compute, "f32"), .pins = {pin}, .stage = Stage::Vector});
    ASSERT_TRUE(compiled.ok()) << compiled.status();
    CompilerContext context;
    auto module = mlir::parseSourceString<mlir::ModuleOp>(compiled->output(), &context);
    ASSERT_TRUE(module);
    const mlir::Type pinned = layer::typeOf(&context, *parseDType(pin));
    int64_t loads = 0, stores = 0, scratch = 0;
    module->walk([&](mlir::Operation *op) {
      for (mlir::Value result : op->getResults())
        if (auto memref = mlir::dyn_cast<mlir::MemRefType>(result.getType());
            memref && mlir::hasEffect<mlir::MemoryEffects::Allocate>(op, result))
          EXPECT_TRUE(memref.hasStaticShape()) << "scratch must not depend on a dimension: " << op->getName().getStringRef().str();
      for (mlir::Value operand : op->getOperands()) {
        auto memref = mlir::dyn_cast<mlir::MemRefType>(operand.getType());
        if (!memref || memref.getMemorySpaceAsInt() == 0)
          continue;
        EXPECT_EQ(memref.getElementType(), pinned);
        const llvm::StringRef name = op->getName().getStringRef();
        if (llvm::is_contained({"vector.load", "vector.maskedload", "memref.load"}, name)) {
          EXPECT_EQ(mlir::getElementTypeOrSelf(op->getResult(0).getType()), pinned);
          ++loads;
        } else if (llvm::is_contained({"vector.store", "vector.maskedstore", "memref.store"}, name)) {
          ++stores;
        } else {
          EXPECT_TRUE(llvm::is_contained({"func.call", "memref.dim", "memref.subview", "memref.prefetch", "memref.reinterpret_cast",
                                          "memref.assume_alignment"}, name))
              << name.str() << " touches the cache";
        }
      }
    });
    EXPECT_GT(loads, 0);
    EXPECT_GT(stores, 0);
    for (auto function : module->getOps<mlir::FunctionOpInterface>())
      scratch = std::max(scratch, scratchOf(function));
    EXPECT_GT(scratch, 0);
    EXPECT_LE(scratch, 256 * 1024);
  }
}

//===-- Property 9 ----------------------------------------------------------------===//

static const std::string kFloats[] = {"f32", "bf16", "f16"};
constexpr int64_t kTableRows = 4096, kTableColumns = 16;

/// A table of `type` with every value of 16 bits, or as many values of f32.
static reference::Tensor everyValue(DType type) {
  reference::Tensor table(type, {kTableRows, kTableColumns});
  for (int64_t i = 0; i < table.size(); ++i) {
    const uint16_t bits = uint16_t(i);
    const double wide = double(int64_t(uint64_t(i) * 0x9e3779b97f4a7c15) >> 11) * std::ldexp(1.0, int(i % 60) - 60);
    table.data[i] = type == DType::BF16 ? bf16ToFloat(bits) : type == DType::F16 ? f16ToFloat(bits) : double(float(wide));
    if (!std::isfinite(table.data[i]))
      table.data[i] = 0;
  }
  return table;
}

/// embedding : from, cast to each of `steps`, then relu in the last type.
static std::string castChain(const std::string &from, const std::vector<std::string> &steps) {
  const auto type = [](const std::string &element) { return "tensor<?x?x16x" + element + ">"; };
  std::string body, current = "%x", element = from;
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string next = "%c" + std::to_string(i);
    if (steps[i] == element)
      continue;
    body += "  " + next + " = cast " + current + " because [\"step\"] : " + type(element) + " to " + type(steps[i]) + "\n";
    current = next, element = steps[i];
  }
  return "layer.parameter @table : tensor<4096x16x" + from + ">\n"
         "layer.graph @main(%ids: tensor<?x?xi32>) -> (" + type(element) + ") attributes {casts = #layer.casts<explicit>, input_names = [\"input_ids\"]} {\n"
         "  %table = param @table : tensor<4096x16x" + from + ">\n"
         "  %x = embedding \"x\"(%ids, %table) : (tensor<?x?xi32>, tensor<4096x16x" + from + ">) -> " + type(from) + "\n" + body +
         "  %y = relu \"y\"(" + current + ") : (" + type(element) + ") -> " + type(element) + "\n"
         "  output y = %y : " + type(element) + "\n}\n";
}

static std::vector<double> evaluate(const Module &module, const reference::Tensor &table) {
  reference::TensorParameters parameters({{"table", table}});
  auto interpreter = reference::Interpreter::create(*module.module, parameters);
  EXPECT_TRUE(interpreter.ok()) << interpreter.status();
  reference::Tensor ids(DType::I32, {1, kTableRows});
  for (int64_t i = 0; i < kTableRows; ++i)
    ids.data[i] = double(i);
  auto outputs = interpreter->run(ids, nullptr, nullptr);
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  return outputs->find("y")->front().data;
}

/// Every chain of up to three casts, on every value of 16 bits: the folded module
/// gives the same bits, and folds all that may be folded.
TEST(Folds, Property09_CastsFoldExactlyWhereThatIsExact) {
  for (const std::string &from : kFloats) {
    const reference::Tensor table = everyValue(*parseDType(from));
    for (const std::string &a : kFloats)
      for (const std::string &b : kFloats)
        for (const std::string &c : kFloats) {
          SCOPED_TRACE(from + " to " + a + " to " + b + " to " + c);
          Module plain(castChain(from, {a, b, c})), folded(castChain(from, {a, b, c}));
          ASSERT_TRUE(plain.isReady() && folded.isReady());
          ASSERT_TRUE(folded.run([](mlir::OpPassManager &manager) { manager.addNestedPass<layer::GraphOp>(layer::createFoldCasts()); }));
          EXPECT_EQ(evaluate(plain, table), evaluate(folded, table)) << folded.text();
          // Each step through a type that holds what the value is by then is no rounding.
          DType held = *parseDType(from);
          int64_t roundings = 0;
          for (const std::string &step : {a, b, c})
            if (const DType type = *parseDType(step); !holds(type, held))
              held = type, ++roundings;
          // The last type may be wider than the value: one cast to widen it for relu;
          // the embedding, which only moves, makes the first rounding itself.
          const int64_t casts = folded.count<layer::CastOp>(), widening = *parseDType(c) != held;
          EXPECT_LE(casts, std::max<int64_t>(roundings - 1, 0) + widening + (roundings && from != "f32")) << folded.text();
        }
  }
}

/// narrow(widen x) is x; f16 and bf16 never stand for one another.
TEST(Folds, Property09_NarrowOfWidenIsDroppedAndHalvesNeverMix) {
  const auto castsLeft = [](const std::string &from, const std::vector<std::string> &steps) {
    Module module(castChain(from, steps));
    EXPECT_TRUE(module.run([](mlir::OpPassManager &manager) { manager.addNestedPass<layer::GraphOp>(layer::createFoldCasts()); }));
    return module.count<layer::CastOp>();
  };
  for (const std::string narrow : {"bf16", "f16"}) {
    EXPECT_EQ(castsLeft(narrow, {"f32", narrow}), 0);
    const std::string other = narrow == "bf16" ? "f16" : "bf16";
    EXPECT_GT(castsLeft(narrow, {"f32", other, "f32", narrow}), 0);
    EXPECT_GT(castsLeft("f32", {narrow, "f32", other}), 0);
  }
}

/// On whole models: folding changes no bit, under any policy and pin.
TEST_P(Properties, Property09_FoldingChangesNoBit) {
  Draw draw(9);
  const std::vector<Call> calls = fixedCalls();
  const auto type = [&] { return draw.one<std::string>({"", "f32", "bf16", "f16"}); };
  for (int round = 0; round < 24; ++round) {
    Setting setting{.policy = policyOf(type(), type(), type())};
    for (const char *kind : {"dense", "attention", "add", "split_heads"})
      for (const std::string &rule : policyOf("", type(), type()))
        setting.policy.push_back(kind + (":" + rule));
    setting.pins = {draw.one<std::string>({"f32", "bf16", "f16", "k=bf16,v=f16"})};
    SCOPED_TRACE(describe(setting));
    const auto build = [&](mlir::OpPassManager &manager, bool fold) {
      manager.addPass(layer::createApplyPolicy({llvm::join(setting.policy, ";")}));
      manager.addNestedPass<layer::GraphOp>(layer::createMaterializeCasts());
      manager.addPass(layer::createPinCache({setting.pins[0]}));
      if (fold)
        manager.addNestedPass<layer::GraphOp>(layer::createFoldCasts());
    };
    Module plain(model().text), folded(model().text);
    ASSERT_TRUE(plain.run([&](mlir::OpPassManager &manager) { build(manager, false); })) << plain.diagnostics;
    ASSERT_TRUE(folded.run([&](mlir::OpPassManager &manager) { build(manager, true); })) << folded.diagnostics;
    EXPECT_LE(folded.count<layer::CastOp>(), plain.count<layer::CastOp>());
    ASSERT_EQ(differences(interpret(plain, model().folder, calls), interpret(folded, model().folder, calls), calls), 0);
  }
}
