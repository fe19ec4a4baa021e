// Runs both sides in step and compares what each kernel wrote.
#include "KernelByKernel.h"

#include "Compiler/TracedRows.h"
#include "Fixture.h"
#include "Reference/Comparison.h"
#include "Support/Program.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"

#include "mlir/Parser/Parser.h"

#include <algorithm>

namespace graphc::system_test {

struct KernelByKernel::Models {
  explicit Models(CompiledModel compiled) : compiled(std::move(compiled)) {}

  CompiledModel compiled;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<Checkpoint> checkpoint;
  std::optional<reference::CheckpointParameters> parameters;
  std::optional<reference::Interpreter> interpreter, encoder;
  reference::CacheState cache;
  std::unique_ptr<Session> session;
};

KernelByKernel::KernelByKernel(const std::string &layers, CompiledModel compiled, const std::string &folder,
                               int64_t sessionLength, int64_t chunk, int64_t sourceLength)
    : models(std::make_unique<Models>(std::move(compiled))) {
  for (const TracedKernel &kernel : models->compiled.program().kernels)
    for (const TracedKernel::Value &value : kernel.outputs)
      traced.insert(value.name);

  models->context.loadDialect<layer::LayerDialect>();
  models->module = mlir::parseSourceString<mlir::ModuleOp>(layers, &models->context);
  models->checkpoint.emplace(*Checkpoint::open(folder));
  models->parameters.emplace(*models->checkpoint);
  reference::Options reference;
  reference.bounds = true;
  reference.sessionLength = sessionLength;
  reference.isBoundary = [this](mlir::Operation *op) {
    return op->getNumResults() && traced.contains(traceName(op->getResult(0)));
  };
  reference.observe = [this](mlir::Operation *op, unsigned result, const reference::Tensor &tensor) {
    values[traceName(op->getResult(result))] = tensor;
  };
  models->module->walk([this](layer::ScaleOp op) {
    if (auto source = mlir::dyn_cast<mlir::OpResult>(op.getX()))
      scales[op.getLayerName().str()] = {traceName(source), float(op.getFactor().convertToDouble())};
  });
  const bool hasEncoder = models->compiled.program().hasEncoder();
  const auto interpreterOf = [&](const std::string &graph) {
    return *reference::Interpreter::create(*models->module, *models->parameters, reference, graph);
  };
  models->interpreter.emplace(interpreterOf(hasEncoder ? layer::kMainGraph.str() : ""));
  if (hasEncoder)
    models->encoder.emplace(interpreterOf(layer::kEncodeGraph.str()));
  models->cache = *models->interpreter->createCache(1, sessionLength, sourceLength);

  auto model = Model::open(*models->compiled.executable(), folder);
  EXPECT_TRUE(model.ok()) << model.status();
  models->session = openSession(*model, {.capacity = sessionLength, .sourceCapacity = sourceLength, .chunk = chunk, .logitRows = chunk});
  const absl::Status hooked =
      TraceAccess::set(*models->session, [this](const CallView &call, int64_t k) { compareKernel(call, k); });
  EXPECT_TRUE(hooked.ok()) << hooked;
}

KernelByKernel::~KernelByKernel() = default;

static reference::Tensor tensorOf(const std::vector<int32_t> &ids) {
  return {DType::I32, {1, int64_t(ids.size())}, std::vector<double>(ids.begin(), ids.end())};
}

void KernelByKernel::encode(const std::vector<int32_t> &ids) {
  values.clear();
  ASSERT_TRUE(models->encoder);
  const auto outputs = models->encoder->run(tensorOf(ids), nullptr, &models->cache);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  system_test::encode(*models->session, 0, ids);
  compareCache();
}

void KernelByKernel::step(const std::vector<int32_t> &ids) {
  values.clear();
  const reference::Tensor input = tensorOf(ids);
  auto outputs = models->interpreter->run(input, nullptr, &models->cache);
  ASSERT_TRUE(outputs.ok()) << outputs.status();
  logitsOf(*models->session, 0, ids);
  reached = std::max(reached, length());
  compareCache();
}

int64_t KernelByKernel::length() const { return models->cache.lengths[0]; }

bool KernelByKernel::rewind(int64_t length) {
  const absl::Status status = models->session->rewind(0, length);
  if (status.code() == absl::StatusCode::kOutOfRange)
    return false;
  EXPECT_TRUE(status.ok()) << status;
  models->cache.lengths[0] = int32_t(length);
  if (length == 0) { // in seed mode the cache knows its length as well
    models->cache = *models->interpreter->createCache(1, models->cache.capacity);
    reached = 0;
  }
  return true;
}

void KernelByKernel::finish() {
  EXPECT_GT(kernels, 0);
  for (const std::string &name : traced)
    EXPECT_TRUE(compared.contains(name)) << name << " was never compared";
}

/// Against the interval; or, for a cast or a multiple of another result of the same
/// kernel, against that result: it may differ from the reference within its own
/// bound, and then what is made of it must differ with it.
void KernelByKernel::compareValue(const std::string &name, const reference::Tensor &tensor, const std::vector<double> &actual,
                                  const std::map<std::string, std::vector<double>> &results) const {
  if (const auto scale = scales.find(name); scale != scales.end())
    if (const auto source = results.find(scale->second.first); source != results.end()) {
      for (size_t i = 0; i < actual.size(); ++i)
        ASSERT_EQ(actual[i], roundTo(tensor.dtype, double(float(source->second[i]) * scale->second.second))) << name << " element " << i;
      return;
    }
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

void KernelByKernel::compareKernel(const CallView &call, int64_t k) {
  ++kernels;
  std::map<std::string, std::vector<double>> results; // of this kernel, as it wrote them
  for (const TracedKernel::Value &value : call.program.kernels[k].outputs) {
    auto found = values.find(value.name);
    ASSERT_TRUE(found != values.end()) << "no reference for " << value.name;
    const reference::Tensor &tensor = found->second;
    const TracedRows rows(call, value.binding);
    ASSERT_EQ(rows.dtype(), tensor.dtype) << value.name;
    const std::vector<double> actual = rows.read(tensor.shape);
    compareValue(value.name, tensor, actual, results);
    results[value.name] = actual;
    rows.write(tensor.shape, tensor.data);
    EXPECT_EQ(rows.beyond(tensor.shape), 0) << value.name << ": no other key has a weight";
    compared.insert(value.name);
  }
}

/// Rows were written from the reference's own rows: they must be its bits.
void KernelByKernel::compareCache() {
  const reference::CacheState &cache = models->cache;
  const CallView call = TraceAccess::lastCall(*models->session);
  for (size_t i = 0; i < call.program.bindings.size(); ++i) {
    const Binding &binding = call.program.bindings[i];
    if (binding.kind == Binding::Kind::Carry && binding.name == "before") { // of the next call
      const reference::Tensor &carried = cache.seed[binding.carry];
      for (size_t at = 0; at < carried.data.size(); ++at)
        ASSERT_EQ(loadElement(binding.dtype, static_cast<char *>(call.pointers[i]) + at * byteSize(binding.dtype)), carried.data[at])
            << "carry " << binding.carry << " element " << at;
    }
    if (binding.kind != Binding::Kind::Cache)
      continue;
    const reference::CacheSlot &slot = binding.isOfCross() ? *cache.blocks[binding.block].cross : cache.blocks[binding.block].self;
    const reference::CacheRows &side = binding.isOfKeys() ? slot.keys : slot.values;
    const reference::Tensor &rows = binding.isScales() ? side.scales : side.rows;
    const int64_t capacity = rows.dim(2), width = binding.isScales() ? 1 : rows.dim(3);
    const int64_t ring = dimValue(call.program, binding.dims[2], call.dims);
    const int64_t first = binding.isOfCross() ? 0 : std::max<int64_t>(0, reached - ring);
    const int64_t end = binding.isOfCross() ? slot.written[0] : length();
    for (int64_t h = 0; h < rows.dim(1); ++h)
      for (int64_t t = first; t < end; ++t)
        for (int64_t d = 0; d < width; ++d) {
          const int64_t at = (h * ring + t % ring) * width + d;
          ASSERT_EQ(loadElement(binding.dtype, static_cast<char *>(call.pointers[i]) + at * byteSize(binding.dtype)),
                    rows.data[(h * capacity + t) * width + d])
              << binding.name << " of block " << binding.block << " head " << h << " row " << t;
        }
  }
}

} // namespace graphc::system_test
