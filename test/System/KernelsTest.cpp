// Compiled kernels against the interpreter, one at a time: after each kernel of
// a real step its results are compared with the derived interval (docs/
// Numerics.md T1, T4) and then replaced by the reference's, so that no error
// travels. Policy x pin over {f32, bf16, f16}^3, a prompt and a decode step; and
// seed mode, where each cast of a whole cache tensor is a kernel as well.
#include "Fixture.h"
#include "Reference/Comparison.h"
#include "Reference/Interpreter.h"
#include "Runtime/Trace.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cstring>
#include <map>
#include <set>

using namespace graphc;
using namespace graphc::system_test;

namespace {

double readElement(DType dtype, const void *memory, int64_t i) {
  return loadElement(dtype, static_cast<const char *>(memory) + i * byteSize(dtype));
}

void writeElement(DType dtype, void *memory, int64_t i, double value) {
  storeElement(dtype, static_cast<char *>(memory) + i * byteSize(dtype), float(value));
}

/// Where element `i` of a (1, tokens, width) or (1, heads, tokens, headDim)
/// tensor stands in the (tokens, width) rows of `binding`. The leaves of seed
/// mode, (1, maxLen, heads, headDim), are rows already.
int64_t placeOf(const Binding &binding, const std::vector<int64_t> &shape, int64_t i) {
  if (shape.size() != 4 || binding.dims[0] == Dim::of("cache_rows"))
    return i;
  const int64_t d = i % shape[3], t = i / shape[3] % shape[2], h = i / shape[3] / shape[2];
  return (t * shape[1] + h) * shape[3] + d;
}

/// The same of weights (1, heads, tokens, keys) in (tokens, heads, capacity).
int64_t weightPlaceOf(const std::vector<int64_t> &shape, int64_t capacity, int64_t i) {
  const int64_t j = i % shape[3], t = i / shape[3] % shape[2], h = i / shape[3] / shape[2];
  return (t * shape[1] + h) * capacity + j;
}

/// What traces call a result of `op`.
std::string nameOf(mlir::Operation *op, unsigned result) {
  if (auto cast = mlir::dyn_cast<layer::CastOp>(op)) {
    auto source = mlir::dyn_cast<mlir::OpResult>(cast.getX());
    std::string name = source ? nameOf(source.getOwner(), source.getResultNumber()) : "";
    llvm::raw_string_ostream(name) << " as " << mlir::getElementTypeOrSelf(cast.getY().getType());
    return name;
  }
  auto named = mlir::dyn_cast<layer::NamedLayer>(op);
  std::string name = named ? named.getLayerName().str() : mlir::isa<layer::UnpackOp>(op) ? "cache" : "";
  if (result > 0)
    name += mlir::isa<layer::CachedAttentionOp>(op) ? " weights" : "#" + std::to_string(result);
  return name;
}

class KernelByKernel {
public:
  KernelByKernel(const std::string &fixture, CompileOptions options) : golden(readGolden(fixture)) {
    options.stage = Stage::Layer;
    const std::string text = compileFixture(fixture, options).output();
    options.stage = Stage::Object;
    options.trace = true;
    compiled = compileFixture(fixture, options);
    context.loadDialect<layer::LayerDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    checkpoint.emplace(*Checkpoint::open(folderOf(fixture)));
    parameters.emplace(*checkpoint);
    session = openSession(openModel(*compiled, fixture), {.capacity = golden.sessionLength, .logitRows = 64});
    for (const TracedKernel &kernel : compiled->program().kernels)
      for (const TracedKernel::Value &value : kernel.outputs)
        traced.insert(value.name);
  }

  void run() {
    reference::Options options;
    options.bounds = true;
    options.sessionLength = golden.sessionLength;
    options.isBoundary = [&](mlir::Operation *op) { return traced.contains(nameOf(op, 0)); };
    options.observe = [&](mlir::Operation *op, unsigned result, const reference::Tensor &tensor) {
      values[nameOf(op, result)] = tensor;
    };
    auto interpreter = reference::Interpreter::create(*module, *parameters, options);
    ASSERT_TRUE(interpreter.ok()) << interpreter.status();
    auto cache = interpreter->createCache(1, golden.sessionLength);
    ASSERT_TRUE(cache.ok()) << cache.status();
    const absl::Status hooked = TraceAccess::set(*session, [&](const CallView &call, int64_t k) { compareKernel(call, k); });
    ASSERT_TRUE(hooked.ok()) << hooked;
    step(*interpreter, *cache, golden.prompts[0]);
    step(*interpreter, *cache, {golden.greedy[0][0]});
    EXPECT_GT(kernels, 0);
    for (const std::string &name : traced)
      EXPECT_TRUE(compared.contains(name)) << name << " was never compared";
  }

private:
  void step(reference::Interpreter &interpreter, reference::CacheState &cache, const Ids &ids) {
    values.clear();
    const reference::Tensor input(DType::I32, {1, int64_t(ids.size())}, std::vector<double>(ids.begin(), ids.end()));
    auto outputs = interpreter.run(input, nullptr, &cache);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    logitsOf(*session, 0, ids);
    compareCache(cache);
  }

  void compareKernel(const CallView &call, int64_t k) {
    ++kernels;
    std::map<std::string, std::vector<double>> results; // of this kernel, as it wrote them
    for (const TracedKernel::Value &value : call.program.kernels[k].outputs) {
      auto found = values.find(value.name);
      ASSERT_TRUE(found != values.end()) << "no reference for " << value.name;
      const reference::Tensor &tensor = found->second;
      const Binding &binding = call.program.bindings[value.binding];
      const DType dtype = binding.dtype;
      ASSERT_EQ(dtype, tensor.dtype) << value.name;
      void *memory = call.pointers[value.binding];
      const bool isWeights = value.name.ends_with(" weights");
      auto place = [&](int64_t i) {
        return isWeights ? weightPlaceOf(tensor.shape, golden.sessionLength, i) : placeOf(binding, tensor.shape, i);
      };
      std::vector<double> actual(tensor.data.size());
      for (size_t i = 0; i < actual.size(); ++i)
        actual[i] = readElement(dtype, memory, place(i));
      compareValue(value.name, tensor, actual, results);
      results[value.name] = actual;
      for (size_t i = 0; i < actual.size(); ++i)
        writeElement(dtype, memory, place(i), tensor.data[i]);
      for (int64_t row = 0; isWeights && row < tensor.rows(); ++row) // no other key has a weight
        for (int64_t j = tensor.columns(); j < golden.sessionLength; ++j)
          ASSERT_EQ(readElement(dtype, memory, row * golden.sessionLength + j), 0) << value.name << " row " << row;
      compared.insert(value.name);
    }
  }

  /// Against the interval; or, for a cast of another result of the same kernel,
  /// against that result: it may differ from the reference within its own bound,
  /// and then its cast must differ with it.
  static void compareValue(const std::string &name, const reference::Tensor &tensor, const std::vector<double> &actual,
                           const std::map<std::string, std::vector<double>> &results) {
    const size_t as = name.rfind(" as ");
    if (const auto source = results.find(name.substr(0, as)); as != name.npos && source != results.end()) {
      for (size_t i = 0; i < actual.size(); ++i)
        ASSERT_EQ(actual[i], roundTo(tensor.dtype, source->second[i])) << name << " element " << i;
      return;
    }
    const reference::Agreement agreement = reference::compare(tensor, actual);
    EXPECT_TRUE(agreement.holds(tensor.dtype))
        << name << ": " << agreement.outside << " of " << agreement.count << " outside, "
          << agreement.different << " different, worst " << agreement.worst << " bounds, first at " << agreement.first
          << (agreement.first >= 0 ? ": got " + std::to_string(actual[agreement.first]) + ", reference " +
                                         std::to_string(tensor.data[agreement.first])
                                   : "");
  }

  /// Rows were written from the reference's own rows: they must be its bits.
  void compareCache(const reference::CacheState &cache) {
    const CallView call = TraceAccess::lastCall(*session);
    for (size_t i = 0; i < call.program.bindings.size(); ++i) {
      const Binding &binding = call.program.bindings[i];
      if (binding.kind == Binding::Kind::Carry && binding.name == "before") { // of the next call
        const reference::Tensor &carried = cache.seed[binding.carry];
        for (size_t at = 0; at < carried.data.size(); ++at)
          ASSERT_EQ(readElement(binding.dtype, call.pointers[i], int64_t(at)), carried.data[at])
              << "carry " << binding.carry << " element " << at;
      }
      if (binding.kind != Binding::Kind::Cache)
        continue;
      const reference::CacheSlot &slot = cache.blocks[binding.block].self;
      const reference::CacheRows &side = binding.isOfKeys() ? slot.keys : slot.values;
      const reference::Tensor &rows = binding.isScales() ? side.scales : side.rows;
      const int64_t capacity = rows.dim(2), width = binding.isScales() ? 1 : rows.dim(3);
      for (int64_t h = 0; h < rows.dim(1); ++h)
        for (int64_t t = 0; t < cache.lengths[0]; ++t)
          for (int64_t d = 0; d < width; ++d) {
            const int64_t at = (h * capacity + t) * width + d;
            ASSERT_EQ(readElement(binding.dtype, call.pointers[i], at), rows.data[at])
                << binding.name << " of block " << binding.block << " head " << h << " row " << t;
          }
    }
  }

  Golden golden;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<CompiledModel> compiled;
  std::optional<Checkpoint> checkpoint;
  std::optional<reference::CheckpointParameters> parameters;
  std::unique_ptr<Session> session;
  std::set<std::string> traced, compared;
  std::map<std::string, reference::Tensor> values;
  int64_t kernels = 0;
};

using Combination = std::tuple<std::string, std::string, std::string, std::string>;
class Kernels : public testing::TestWithParam<Combination> {};

} // namespace

TEST_P(Kernels, everyResultIsWithinItsBound) {
  const auto &[fixture, compute, output, pin] = GetParam();
  CompileOptions options;
  options.policy = {"compute=" + compute + ",output=" + output};
  options.pins = {pin};
  options.outputs = {"logits", "hidden_states", "attentions"};
  KernelByKernel(fixture, options).run();
}

TEST(KernelsOfEightBitParameters, everyResultIsWithinItsBound) {
  for (const auto &[fixture, dtype] : {std::pair("llama/mha", "f8E4M3FN"), std::pair("gpt2/gelu_new", "f8E5M2")}) {
    SCOPED_TRACE(std::string(fixture) + " " + dtype);
    CompileOptions options;
    options.policy = {"compute=bf16,output=f32", std::string("*.kernel:params=") + dtype};
    KernelByKernel(fixture, options).run();
  }
}

static std::string combinationName(const testing::TestParamInfo<Combination> &info) {
  const auto &[fixture, compute, output, pin] = info.param;
  return testName({fixture + "_" + compute + "_" + output + "_" + pin, 0});
}

INSTANTIATE_TEST_SUITE_P(PolicyTimesPin, Kernels,
                         testing::Combine(testing::Values("llama/mha", "gpt2/gelu_new"),
                                          testing::Values("f32", "bf16", "f16"), testing::Values("f32", "bf16", "f16"),
                                          testing::Values("f32", "bf16", "f16")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitPins, Kernels,
                         testing::Combine(testing::Values("llama/mha"), testing::Values("f32", "bf16", "f16"),
                                          testing::Values("f32"), testing::Values("int8", "f8E4M3FN", "f8E5M2")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitPinsOfGpt2, Kernels,
                         testing::Combine(testing::Values("gpt2/gelu_new"), testing::Values("bf16"), testing::Values("f16"),
                                          testing::Values("int8", "f8E4M3FN", "f8E5M2")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(EightBitSides, Kernels,
                         testing::Combine(testing::Values("mistral/window"), testing::Values("bf16"), testing::Values("f32"),
                                          testing::Values("int8", "k=int8,v=f16", "k=bf16,v=f8E4M3FN")),
                         combinationName);
INSTANTIATE_TEST_SUITE_P(Fixtures, Kernels,
                         testing::Combine(testing::ValuesIn(kFixtures), testing::Values("bf16"), testing::Values("f32"),
                                          testing::Values("bf16")),
                         combinationName);

/// Fixture, compute, output: the policies under which leaves are cast in every
/// node, in none, and between two types of 16 bits.
using SeedCombination = std::tuple<std::string, std::string, std::string>;
class SeedKernels : public testing::TestWithParam<SeedCombination> {};

TEST_P(SeedKernels, everyResultIsWithinItsBound) {
  const auto &[fixture, compute, output] = GetParam();
  CompileOptions options;
  options.policy = {"compute=" + compute + ",output=" + output};
  options.cacheMode = "seed";
  KernelByKernel(fixture, options).run();
}

static std::string seedCombinationName(const testing::TestParamInfo<SeedCombination> &info) {
  const auto &[fixture, compute, output] = info.param;
  return testName({fixture, 0}) + "_" + compute + "_" + output;
}

INSTANTIATE_TEST_SUITE_P(All, SeedKernels,
                         testing::Values(SeedCombination("llama/mha", "f32", "f32"), SeedCombination("llama/mha", "f16", "bf16"),
                                         SeedCombination("llama/mqa_bias_one_layer", "bf16", "f32"),
                                         SeedCombination("gpt2/gelu_new", "bf16", "bf16")),
                         seedCombinationName);
