// What types the cache, the outputs and the bookkeeping have, for every policy and
// pin: properties 1, 3, 4 and 5.
#include "Properties.h"

#include "Compiler/Context.h"
#include "Support/Program.h"
#include "graphc/Compiler.h"
#include "graphc/IR/Kernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <set>

using namespace graphc;
using namespace graphc::properties;

/// Every slot in the type of `value` holds keys and values of these types.
static void expectSlots(mlir::Value value, mlir::Type keys, mlir::Type values, int64_t &slots) {
  const auto check = [&](layer::AttentionCacheType slot) {
    if (!slot)
      return;
    ++slots;
    EXPECT_EQ(slot.getKeys(), keys);
    EXPECT_EQ(slot.getValues(), values);
  };
  if (auto whole = mlir::dyn_cast<layer::CacheType>(value.getType()))
    for (layer::BlockCacheType block : whole.getBlocks())
      check(block.getSelf()), check(block.getCross());
  if (auto block = mlir::dyn_cast<layer::BlockCacheType>(value.getType()))
    check(block.getSelf()), check(block.getCross());
  check(mlir::dyn_cast<layer::AttentionCacheType>(value.getType()));
}

/// All versions of the cache: the argument, every update, the output.
static int64_t expectEverySlot(const Module &module, mlir::Type keys, mlir::Type values) {
  int64_t slots = 0;
  for (layer::GraphOp graph : module.graphs()) {
    for (mlir::Value argument : graph.getBody().getArguments())
      expectSlots(argument, keys, values, slots);
    for (mlir::Operation &op : graph.getBody().front())
      for (mlir::Value result : op.getResults())
        expectSlots(result, keys, values, slots);
  }
  return slots;
}

TEST_P(Properties, Property01_CacheKeepsItsDType) {
  for (const Types &types : everyTypes()) {
    SCOPED_TRACE(describe(types.setting()));
    Module module(model().text);
    ASSERT_TRUE(module.run(types.setting())) << module.diagnostics;
    const mlir::Type type = layer::typeOf(&module.context, types.cacheType());
    EXPECT_GE(expectEverySlot(module, type, type), 3 * module.count<layer::CachedAttentionOp>());
    if (HasFailure())
      return;
  }
  // Keys and values apart, and one layer apart, reach exactly those.
  for (const std::string keys : {"f32", "bf16", "f16"})
    for (const std::string values : {"f32", "bf16", "f16"}) {
      Module module(model().text);
      ASSERT_TRUE(module.run({.policy = {"compute=bf16,output=f32"}, .pins = {"f32", "k=" + keys + ",v=" + values}}));
      EXPECT_GT(expectEverySlot(module, layer::typeOf(&module.context, *parseDType(keys)),
                                layer::typeOf(&module.context, *parseDType(values))), 0);
      Module one(model().text);
      ASSERT_TRUE(one.run({.pins = {"bf16", "*layers.0.self_attention:k=" + keys + ",v=" + values}}));
      const auto blocks = mlir::cast<layer::CacheType>(one.graph().getInput("cache").getType()).getBlocks();
      EXPECT_EQ(blocks[0].getSelf().getKeys(), layer::typeOf(&one.context, *parseDType(keys)));
      EXPECT_EQ(blocks[0].getSelf().getValues(), layer::typeOf(&one.context, *parseDType(values)));
      const auto isBf16 = [](layer::AttentionCacheType slot) { return slot.getKeys().isBF16() && slot.getValues().isBF16(); };
      for (layer::BlockCacheType other : blocks.drop_front())
        EXPECT_TRUE(isBf16(other.getSelf()));
      for (layer::BlockCacheType block : blocks)
        EXPECT_TRUE(!block.getCross() || isBf16(block.getCross()));
    }
}

/// The compiled program agrees: memory of the cache has the pinned type, and scales
/// of 8-bit rows are f32.
TEST_P(Properties, Property01_CacheMemoryHasThePinnedDType) {
  for (const std::string compute : {"", "f32", "bf16", "f16"})
    for (const std::string pin : {"", "f32", "bf16", "f16", "int8", "f8E4M3FN", "f8E5M2"}) {
      const Types types{"", compute, "f32", pin};
      const Setting setting = types.setting();
      CompileOptions options{.policy = setting.policy, .pins = setting.pins, .stage = Stage::Kernel};
      auto compiled = compileText(model().text, "model", options);
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      int64_t sides = 0, scales = 0;
      for (const Binding &binding : compiled->program().bindings)
        if (binding.kind == Binding::Kind::Cache) {
          ++(binding.isScales() ? scales : sides);
          EXPECT_EQ(binding.dtype, binding.isScales() ? DType::F32 : types.cacheType()) << describe(setting);
        }
      EXPECT_EQ(scales, isEightBit(types.cacheType()) ? sides : 0);
      EXPECT_EQ(sides % 2, 0);
      EXPECT_GT(sides, 0);
    }
}

static mlir::Type elementOf(mlir::Type type) {
  if (auto container = mlir::dyn_cast<layer::ContainerType>(type)) {
    for (mlir::Type leaf : container.getTypes())
      EXPECT_EQ(elementOf(leaf), elementOf(container.getTypes().front()));
    return elementOf(container.getTypes().front());
  }
  return mlir::getElementTypeOrSelf(type);
}

TEST_P(Properties, Property03_OutputTypeIsIndependentOfThePin) {
  for (const Types &types : everyTypes()) {
    SCOPED_TRACE(describe(types.setting()));
    Setting setting = types.setting();
    setting.outputs = {"logits", "hidden_states"};
    if (model().hasEncoder())
      setting.outputs.push_back("encoder_hidden_states");
    Module module(model().text);
    ASSERT_TRUE(module.run(setting)) << module.diagnostics;
    // rd_O; absent O: rd_C; neither: as the graph says, f32.
    const std::string &name = types.output.empty() ? types.compute : types.output;
    const mlir::Type expected = layer::typeOf(&module.context, name.empty() ? DType::F32 : *parseDType(name));
    size_t checked = 0;
    for (layer::GraphOp graph : module.graphs()) {
      layer::OutputOp output = graph.getOutput();
      for (auto [value, key] : llvm::zip(output.getValues(), output.getNames()))
        if (!layer::isCache(value.getType())) {
          EXPECT_EQ(elementOf(value.getType()), expected) << mlir::cast<mlir::StringAttr>(key).getValue().str();
          ++checked;
        }
    }
    ASSERT_EQ(checked, setting.outputs.size());
    if (HasFailure())
      return;
  }
}

/// Requesting an output changes the bits of no other one, nor of the cache.
TEST_P(Properties, Property03_ARequestedOutputChangesNoOther) {
  const std::vector<Call> calls = fixedCalls();
  for (const std::string compute : {"f32", "bf16", "f16"})
    for (const std::string output : {"", "f32", "bf16", "f16"}) {
      const auto run = [&](std::vector<std::string> outputs) {
        Module module(model().text);
        EXPECT_TRUE(module.run({.policy = policyOf("", compute, output), .pins = {"bf16"}, .outputs = std::move(outputs)}));
        return interpret(module, model().folder, calls);
      };
      const Results alone = run({}), states = run({"logits", "hidden_states"}),
                    all = run({"logits", "hidden_states", "attentions"});
      EXPECT_EQ(differences(alone, states, calls, {"logits"}), 0) << compute << " " << output;
      EXPECT_EQ(differences(states, all, calls), 0) << compute << " " << output;
      for (size_t block = 0; block < alone.cache.blocks.size(); ++block)
        for (const auto side : {&reference::CacheSlot::keys, &reference::CacheSlot::values}) {
          const reference::Tensor &a = (alone.cache.blocks[block].self.*side).rows, &b = (all.cache.blocks[block].self.*side).rows;
          EXPECT_TRUE(std::ranges::equal(a.data, b.data, [](double x, double y) { return x == y || (x != x && y != y); }));
        }
    }
}

TEST_P(Properties, Property04_OffsetAndMaskAreNeverCast) {
  for (const bool seed : {false, true})
    for (const Types &types : everyTypes()) {
      if (seed && (!types.pin.empty() || model().hasEncoder()))
        continue; // there is no cache type to pin, and no seed mode of cross slots
      Setting setting = types.setting();
      setting.seed = seed;
      SCOPED_TRACE(describe(setting));
      Module before(model().text), module(model().text);
      ASSERT_TRUE(module.run(setting)) << module.diagnostics;
      int64_t integers = 0;
      module.module.get().walk([&](mlir::Operation *op) {
        for (mlir::Value result : op->getResults())
          if (auto tensor = mlir::dyn_cast<mlir::RankedTensorType>(result.getType()); tensor && tensor.getElementType().isInteger()) {
            EXPECT_TRUE(tensor.getElementType().isInteger(32));
            EXPECT_FALSE(mlir::isa<layer::CastOp>(op));
            ++integers;
          }
        if (auto positions = mlir::dyn_cast<layer::PositionsOp>(op))
          for (mlir::Value operand : positions->getOperands())
            EXPECT_TRUE(mlir::getElementTypeOrSelf(operand.getType()).isInteger(32));
      });
      EXPECT_GE(integers, 2); // offset and positions, at the least
      for (layer::GraphOp graph : module.graphs())
        for (const char *name : {"input_ids", "attention_mask"})
          EXPECT_TRUE(mlir::getElementTypeOrSelf(graph.getInput(name).getType()).isInteger(32));
      if (seed) { // the container's offset and mask, in and out
        layer::OutputOp output = module.graph().getOutput();
        for (mlir::Type type : {module.graph().getInput("cache").getType(), output.getValues().back().getType()}) {
          const auto leaves = mlir::cast<layer::ContainerType>(type).getTypes();
          for (mlir::Type leaf : leaves.take_back(2))
            EXPECT_TRUE(mlir::getElementTypeOrSelf(leaf).isInteger(32));
        }
      }
      if (HasFailure())
        return;
    }
}

/// The types of memory that a phase's function takes in the spaces of caches.
static std::vector<mlir::Type> cacheArguments(mlir::func::FuncOp function) {
  std::vector<mlir::Type> types;
  for (mlir::Type type : function.getArgumentTypes())
    if (auto memref = mlir::dyn_cast<mlir::MemRefType>(type); memref && memref.getMemorySpace())
      types.push_back(type);
  return types;
}

TEST_P(Properties, Property05_LoopCarryIsAFixedPoint) {
  for (const Types &types : everyTypes()) {
    SCOPED_TRACE(describe(types.setting()));
    Module module(model().text);
    ASSERT_TRUE(module.run(types.setting())) << module.diagnostics;
    for (layer::GraphOp graph : module.graphs()) {
      layer::OutputOp output = graph.getOutput();
      EXPECT_EQ(graph.getInput("cache").getType(), output.getValues().back().getType());
      EXPECT_EQ(graph.getInput("cache").getType(), module.graph().getInput("cache").getType());
    }
    if (HasFailure())
      return;
  }
  for (const std::string compute : {"f32", "bf16", "f16"})
    for (const std::string pin : {"f32", "bf16", "f16"}) {
      SCOPED_TRACE(compute + " " + pin);
      const Types types{"", compute, "f32", pin};
      const Setting setting = types.setting();
      auto compiled = compileText(model().text, "model", {.policy = setting.policy, .pins = setting.pins, .stage = Stage::Kernel});
      ASSERT_TRUE(compiled.ok()) << compiled.status();
      CompilerContext context;
      auto kernels = mlir::parseSourceString<mlir::ModuleOp>(compiled->output(), &context);
      ASSERT_TRUE(kernels);
      auto prefill = kernels->lookupSymbol<mlir::func::FuncOp>(kPrefillSymbol), decode = kernels->lookupSymbol<mlir::func::FuncOp>(kDecodeSymbol);
      ASSERT_TRUE(prefill && decode);
      // A call returns nothing: what it is given is what it leaves behind, for one
      // token and for more.
      EXPECT_EQ(cacheArguments(prefill), cacheArguments(decode));
      EXPECT_FALSE(cacheArguments(prefill).empty());
      EXPECT_EQ(prefill.getNumResults() + decode.getNumResults(), 0u);
      for (mlir::Type type : cacheArguments(prefill))
        EXPECT_EQ(mlir::cast<mlir::MemRefType>(type).getElementType(), layer::typeOf(&context, types.cacheType()));
      // And the interpreter's rows keep their type through prompts of 1 and of more tokens.
      Module module(model().text);
      ASSERT_TRUE(module.run(setting));
      for (const bool isOne : {true, false}) {
        std::vector<Call> calls = fixedCalls();
        if (isOne)
          calls.erase(calls.begin(), calls.begin() + 2);
        const Results results = interpret(module, model().folder, calls);
        for (const reference::CacheBlock &block : results.cache.blocks)
          for (const reference::CacheSlot *slot : {&block.self, block.cross ? &*block.cross : &block.self}) {
            EXPECT_EQ(slot->keys.rows.dtype, types.cacheType());
            EXPECT_EQ(slot->values.rows.dtype, types.cacheType());
          }
      }
      if (HasFailure())
        return;
    }
}
