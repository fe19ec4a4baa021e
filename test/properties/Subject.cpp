// Parsing, running and comparing.
#include "Subject.h"

#include "Import/Import.h"
#include "Support/Message.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <algorithm>
#include <cmath>

namespace graphc::properties {

using namespace reference;

static constexpr int64_t kRows = 16; // of a cache

//===-- Subjects ------------------------------------------------------------------===//

static std::string printed(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text;
}

static Subject imported(const std::string &name) {
  const std::string folder = std::string(GRAPHC_TEST_DIR) + "/models/" + name;
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<layer::LayerDialect>();
  auto module = importModel(context, folder);
  EXPECT_TRUE(module) << name;
  return {name, module ? printed(*module) : "", folder};
}

/// Three blocks: a ring, a window in a full slot, and no window; odd sizes.
static Decoder windowed() {
  Decoder decoder;
  decoder.hidden = 15;
  decoder.blocks.resize(3);
  decoder.blocks[0].window = 3;
  decoder.blocks[0].isRing = true;
  decoder.blocks[0].headDim = 6;
  decoder.blocks[0].rotaryDim = 4;
  decoder.blocks[1].window = 5;
  decoder.blocks[1].norm.isLayerNorm = decoder.blocks[1].norm.hasBias = true;
  decoder.blocks[1].residual = Block::Residual::Parallel;
  decoder.blocks[2].residual = Block::Residual::Sandwich;
  return decoder;
}

/// No rope: positions from a table; post-norm; one dense for q, k and v.
static Decoder unrotated() {
  Decoder decoder;
  decoder.hasPositionTable = decoder.isTied = true;
  decoder.stored = "bf16";
  decoder.blocks.resize(2);
  for (Block &block : decoder.blocks) {
    block.rotaryDim = 0;
    block.isOneDense = block.hasBias = block.isInputMajor = true;
    block.isGated = false;
    block.activation = "gelu";
    block.residual = Block::Residual::Post;
    block.kvHeads = 3;
    block.group = 1;
    block.headDim = 5;
  }
  return decoder;
}

Subject subjectOf(const Decoder &decoder, const CheckpointFolder &weights) { return {"drawn", textOf(decoder), weights.path()}; }

const std::vector<Subject> &subjects() {
  static const CheckpointFolder windows(parametersOf(windowed(), 1)), table(parametersOf(unrotated(), 2));
  static const std::vector<Subject> all = [] {
    std::vector<Subject> list;
    for (const char *name : {"llama/mqa_bias_one_layer", "llama/linear", "mistral/window", "gpt2/gelu_inverse_layer"})
      list.push_back(imported(name));
    list.push_back(subjectOf(windowed(), windows));
    list.back().name = "windows";
    list.push_back(subjectOf(unrotated(), table));
    list.back().name = "unrotated";
    for (const char *name : {"t5/relu", "bart/relu"})
      list.push_back(imported(name));
    return list;
  }();
  return all;
}

const Subject &subject(std::string_view name) {
  return *std::ranges::find(subjects(), name, &Subject::name);
}

//===-- Settings ------------------------------------------------------------------===//

std::vector<std::string> policyOf(const std::string &params, const std::string &compute, const std::string &output) {
  std::string rule;
  for (const auto &[key, type] : {std::pair("params", params), std::pair("compute", compute), std::pair("output", output)})
    if (!type.empty())
      rule += concat(rule.empty() ? "" : ",", key, "=", type);
  return rule.empty() ? std::vector<std::string>() : std::vector{rule};
}

std::string describe(const Setting &setting) {
  return concat("policy ", join(setting.policy, ";"), " pins ", join(setting.pins, ";"), " outputs ", join(setting.outputs, ","),
                " ", setting.semantics, setting.seed ? " seed" : "");
}

Setting Types::setting() const {
  Setting result;
  result.policy = policyOf(params, compute, output);
  if (!pin.empty())
    result.pins = {pin};
  return result;
}

std::vector<Types> everyTypes() {
  std::vector<Types> all;
  const std::string types[] = {"", "f32", "bf16", "f16"};
  const std::string pins[] = {"", "f32", "bf16", "f16", "int8", "f8E4M3FN", "f8E5M2"};
  for (const std::string &params : types)
    for (const std::string &compute : types)
      for (const std::string &output : types)
        for (const std::string &pin : pins)
          if (params.empty() || pin.empty() || !isEightBit(*parseDType(pin)))
            all.push_back({params, compute, output, pin});
  return all;
}

//===-- Modules -------------------------------------------------------------------===//

static mlir::MLIRContext &sharedContext() {
  static mlir::MLIRContext *const context = [] {
    auto *made = new mlir::MLIRContext(mlir::MLIRContext::Threading::DISABLED);
    made->loadDialect<layer::LayerDialect>();
    return made;
  }();
  return *context;
}

Module::Module(const std::string &text) : context(sharedContext()) {
  const auto handler = collect();
  static std::string last;
  static mlir::OwningOpRef<mlir::ModuleOp> parsed;
  if (!parsed || last != text) {
    parsed = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    last = text;
  }
  EXPECT_TRUE(parsed) << diagnostics << text;
  if (parsed)
    module = parsed->clone();
}

mlir::ScopedDiagnosticHandler Module::collect() {
  return {&context, [this](mlir::Diagnostic &diagnostic) {
            llvm::raw_string_ostream(diagnostics) << diagnostic << "\n";
            return mlir::success();
          }};
}

bool Module::run(const Setting &setting) {
  return run([&](mlir::OpPassManager &manager) { layer::buildLayerPipeline(manager, setting); });
}

bool Module::run(llvm::function_ref<void(mlir::OpPassManager &)> build) {
  if (!module)
    return false;
  const auto handler = collect();
  mlir::PassManager manager(&context);
  build(manager);
  return mlir::succeeded(manager.run(*module));
}

std::string Module::text() const { return printed(*module); }

//===-- Runs ----------------------------------------------------------------------===//

std::vector<Call> drawCalls(Draw &draw, int64_t vocab) {
  std::vector<Call> calls;
  const int64_t batch = draw.integer(1, 3), chunks = draw.integer(1, 3);
  std::vector<int32_t> lengths(static_cast<size_t>(batch));
  for (int64_t chunk = 0; chunk < chunks + 2; ++chunk) {
    const bool isPrompt = chunk < chunks;
    const int64_t tokens = isPrompt ? draw.integer(1, 4) : 1;
    Call call{Tensor(DType::I32, {batch, tokens}), Tensor(DType::I32, {batch, tokens})};
    for (int64_t i = 0; i < batch * tokens; ++i) {
      call.mask.data[i] = !isPrompt || draw.maybe(75);
      call.ids.data[i] = call.mask.data[i] != 0 ? double(draw.integer(0, vocab - 1)) : 0;
    }
    for (int64_t b = 0; chunk == 0 && b < batch; ++b) // no sequence starts empty
      call.mask.data[(b + 1) * tokens - 1] = 1;
    if (chunk > 0 && draw.maybe(30)) {
      for (int32_t &length : lengths)
        length = int32_t(draw.integer(0, length));
      call.rewound = lengths;
    }
    for (int64_t i = 0; i < batch * tokens; ++i)
      lengths[size_t(i / tokens)] += call.mask.data[i] != 0;
    calls.push_back(std::move(call));
  }
  return calls;
}

std::vector<Call> fixedCalls() {
  return {{Tensor(DType::I32, {2, 5}, {5, 1, 10, 7, 7, 0, 0, 10, 2, 9}), Tensor(DType::I32, {2, 5}, {1, 1, 1, 1, 1, 0, 0, 1, 1, 1})},
          {Tensor(DType::I32, {2, 3}, {3, 4, 0, 8, 6, 2}), Tensor(DType::I32, {2, 3}, {1, 1, 0, 1, 1, 1})},
          {Tensor(DType::I32, {2, 1}, {10, 3}), Tensor(DType::I32, {2, 1}, {1, 1})},
          {Tensor(DType::I32, {2, 1}, {2, 9}), Tensor(DType::I32, {2, 1}, {1, 1})}};
}

/// Seed mode has a mask of its rows instead of lengths: what is behind is masked.
static void rewind(CacheState &cache, const std::vector<int32_t> &lengths) {
  cache.lengths = lengths;
  if (cache.seed.empty())
    return;
  Tensor &mask = cache.seed.back(); // (batch, capacity)
  for (int64_t b = 0; b < mask.dim(0); ++b)
    for (int64_t i = 0, visible = 0; i < mask.dim(1); ++i)
      if (double &row = mask.data[b * mask.dim(1) + i]; row != 0 && visible++ >= lengths[size_t(b)])
        row = 0;
}

Results interpret(const Module &module, const std::string &folder, const std::vector<Call> &calls, Options options) {
  Results results;
  auto checkpoint = Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  CheckpointParameters parameters(*checkpoint);
  options.sessionLength = 2 * kRows;
  const auto run = [&](Interpreter &interpreter, const Call &call, CacheState *cache) {
    auto outputs = interpreter.run(call.ids, &call.mask, cache);
    EXPECT_TRUE(outputs.ok()) << outputs.status();
    return outputs.ok() ? *std::move(outputs) : Outputs();
  };
  auto interpreter = Interpreter::create(*module.module, parameters, options, layer::kMainGraph.str());
  EXPECT_TRUE(interpreter.ok()) << interpreter.status();
  auto cache = interpreter->createCache(calls[0].ids.dim(0), kRows);
  const bool hasCache = cache.ok();
  if (hasCache)
    results.cache = *std::move(cache);
  if (module.module.get().lookupSymbol(layer::kEncodeGraph)) {
    auto encoder = Interpreter::create(*module.module, parameters, options, layer::kEncodeGraph.str());
    EXPECT_TRUE(encoder.ok()) << encoder.status();
    results.source = run(*encoder, calls[0], &results.cache);
  }
  for (const Call &call : calls) {
    if (!call.rewound.empty())
      rewind(results.cache, call.rewound);
    results.calls.push_back(run(*interpreter, call, hasCache ? &results.cache : nullptr));
  }
  return results;
}

/// With an encoder, of the decoder.
static const std::vector<Tensor> *outputOf(const Outputs &outputs, const std::string &name) {
  const std::vector<Tensor> *own = outputs.find(name);
  return own ? own : outputs.find("decoder_" + name);
}

int64_t differences(const Results &a, const Results &b, const std::vector<Call> &calls, const std::vector<std::string> &names) {
  int64_t count = 0;
  for (size_t step = 0; step < calls.size(); ++step)
    for (const std::string &name : names) {
      const std::vector<Tensor> *left = outputOf(a.calls[step], name), *right = outputOf(b.calls[step], name);
      if (!left || !right || left->size() != right->size()) {
        ADD_FAILURE() << "no output " << name << " to compare";
        return -1;
      }
      for (size_t i = 0; i < left->size(); ++i) { // (batch, tokens, width)
        const Tensor &x = (*left)[i], &y = (*right)[i];
        EXPECT_EQ(x.shape, y.shape);
        for (int64_t e = 0; e < x.size(); ++e)
          count += calls[step].mask.data[e / x.columns()] != 0 && !(x.data[e] == y.data[e]) &&
                   !(std::isnan(x.data[e]) && std::isnan(y.data[e]));
      }
    }
  return count;
}

} // namespace graphc::properties
