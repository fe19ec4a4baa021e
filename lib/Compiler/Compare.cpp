// The compiled model and the interpreter in step: both get the same tokens, in the
// same calls, and go on with their own caches. A trace hook sees what each kernel
// wrote; new rows of the cache are read after the call.
#include "Compiler/ErrorSums.h"

#include "Compiler/Source.h"
#include "Compiler/TracedRows.h"
#include "Reference/Interpreter.h"
#include "Runtime/Trace.h"
#include "Support/Message.h"
#include "Support/Safetensors.h"
#include "graphc/Compiler.h"
#include "graphc/IR/Layer.h"

#include "llvm/ADT/StringMap.h"

#include <algorithm>

using namespace mlir;

namespace graphc {

namespace {

/// Most tokens of one call: their logits are all wanted.
constexpr int64_t kCallTokens = 128;

class Comparer {
public:
  explicit Comparer(const CompareOptions &options) : options(options) {}

  /// `compile` compiles the model with the options it is given.
  absl::StatusOr<Comparison> run(llvm::function_ref<absl::StatusOr<CompiledModel>(const CompileOptions &)> compile);

private:
  absl::Status prepare(llvm::function_ref<absl::StatusOr<CompiledModel>(const CompileOptions &)> compile);
  absl::Status openSession(const CompiledModel &compiled);
  absl::Status openReference(const std::string &layers);
  /// Sets `beginnings` and the lengths.
  absl::Status measurePrompts(const Program &program);
  absl::Status runPrompt(size_t index);
  absl::Status encode(const std::vector<int32_t> &source);
  /// One call on both sides; returns the compiled model's choice.
  absl::StatusOr<int32_t> step(std::span<const int32_t> ids);
  void compareKernel(const CallView &call, int64_t kernel);
  /// Rows of self slots, or of cross slots.
  void compareCache(bool ofCross, int64_t from, int64_t to);

  const CompareOptions &options;
  CompilerContext context;
  DiagnosticText diagnostics{&context};
  OwningOpRef<ModuleOp> module;
  std::optional<Checkpoint> checkpoint;
  std::optional<reference::CheckpointParameters> parameters;
  std::optional<reference::Interpreter> interpreter, encoder;
  reference::CacheState cache;
  std::unique_ptr<Session> session;

  /// What each sequence begins with: its prompt, or what its decoder starts with.
  std::vector<std::vector<int32_t>> beginnings;
  int64_t length = 0, sourceLength = 0; ///< Of a sequence; of a source, 0 without an encoder.
  llvm::StringMap<reference::Tensor> values; ///< The reference's of this call, by trace name.
  llvm::StringMap<ErrorSums> errors;
  std::vector<std::string> order; ///< Of `errors`, as kernels run.
  LogitSums logits;
  Comparison result;
};

} // namespace

absl::Status Comparer::openSession(const CompiledModel &compiled) {
  auto executable = compiled.executable();
  if (!executable.ok())
    return executable.status();
  auto model = Model::open(*executable, options.weights);
  if (!model.ok())
    return absl::FailedPreconditionError(model.status().message());
  const int64_t rows = std::min(kCallTokens, length);
  auto opened = Session::create(*model, {.capacity = length, .sourceCapacity = sourceLength, .chunk = rows, .threads = options.threads, .logitRows = rows});
  if (!opened.ok())
    return opened.status();
  session = *std::move(opened);
  return TraceAccess::set(*session, [this](const CallView &call, int64_t kernel) { compareKernel(call, kernel); });
}

absl::Status Comparer::openReference(const std::string &layers) {
  auto parsed = parseModel(context, diagnostics, layers, "layers");
  if (!parsed.ok())
    return parsed.status();
  module = *std::move(parsed);
  absl::StatusOr<Checkpoint> opened =
      Checkpoint::open(options.referenceWeights.empty() ? options.weights : options.referenceWeights);
  if (!opened.ok())
    return opened.status();
  checkpoint.emplace(*std::move(opened));
  parameters.emplace(*checkpoint);
  reference::Options interpretation{.mode = reference::Mode::F64, .sessionLength = length};
  interpretation.observe = [this](Operation *op, unsigned index, const reference::Tensor &tensor) {
    if (auto traced = values.find(traceName(op->getResult(index))); traced != values.end())
      traced->second = tensor;
  };
  const auto create = [&](std::optional<reference::Interpreter> &made, std::string_view graph) -> absl::Status {
    auto created = reference::Interpreter::create(*module, *parameters, interpretation, graph);
    if (!created.ok())
      return created.status();
    made.emplace(*std::move(created));
    return absl::OkStatus();
  };
  if (!sourceLength)
    return create(interpreter, "");
  if (absl::Status status = create(encoder, layer::kEncodeGraph.str()); !status.ok())
    return status;
  return create(interpreter, layer::kMainGraph.str());
}

absl::Status Comparer::measurePrompts(const Program &program) {
  const std::vector<std::vector<int32_t>> &given = options.decoderPrompts;
  if (!program.hasEncoder()) {
    if (!given.empty())
      return invalidArgument("model has no encoder, so its prompts are what the decoder starts with; leave out --decoder-tokens");
    beginnings = options.prompts;
  } else {
    if (given.size() > 1 && given.size() != options.prompts.size())
      return invalidArgument("decoder prompts must be one, or one for each of the ", options.prompts.size(), " sources, got ", given.size());
    const std::vector<int64_t> &start = program.model.decoderStartTokenIds;
    beginnings.assign(options.prompts.size(), given.empty() ? std::vector<int32_t>(start.begin(), start.end()) : given.front());
    if (given.size() > 1)
      beginnings = given;
    for (const std::vector<int32_t> &source : options.prompts)
      sourceLength = std::max(sourceLength, int64_t(source.size()));
  }
  for (const std::vector<int32_t> &beginning : beginnings) {
    if (beginning.empty())
      return invalidArgument("prompt must have at least one token, got none");
    length = std::max<int64_t>(length, int64_t(beginning.size()));
  }
  length += options.newTokens;
  if (options.sessionLength && options.sessionLength < length)
    return invalidArgument("session length must be at least ", length, ", the longest prompt and its new tokens, got ", options.sessionLength);
  length = std::max(length, options.sessionLength);
  return absl::OkStatus();
}

absl::Status Comparer::prepare(llvm::function_ref<absl::StatusOr<CompiledModel>(const CompileOptions &)> compile) {
  if (options.compile.cacheMode != "pinned")
    return invalidArgument("comparison needs a pinned cache, got cache mode '", options.compile.cacheMode, "'");
  if (options.prompts.empty())
    return invalidArgument("comparison must have a prompt, got none");
  for (const std::vector<int32_t> &prompt : options.prompts)
    if (prompt.empty())
      return invalidArgument("prompt must have at least one token, got none");

  CompileOptions compilation = options.compile;
  compilation.stage = Stage::Layer;
  auto layers = compile(compilation);
  if (!layers.ok())
    return layers.status();
  compilation.stage = Stage::Object;
  compilation.trace = true;
  auto compiled = compile(compilation);
  if (!compiled.ok())
    return compiled.status();
  const Program &program = compiled->program();
  result.policy = program.policy, result.pin = program.pin, result.target = program.targetName;
  result.notes = layers->notes(); // of the trace there is nothing to say
  for (const TracedKernel &kernel : program.kernels)
    for (const TracedKernel::Value &value : kernel.outputs)
      values[value.name];
  if (absl::Status status = measurePrompts(program); !status.ok())
    return status;
  if (absl::Status status = openSession(*compiled); !status.ok())
    return status;
  return openReference(layers->output());
}

absl::StatusOr<Comparison>
Comparer::run(llvm::function_ref<absl::StatusOr<CompiledModel>(const CompileOptions &)> compile) {
  if (absl::Status status = prepare(compile); !status.ok())
    return status;
  for (size_t index = 0; index < beginnings.size(); ++index)
    if (absl::Status status = runPrompt(index); !status.ok())
      return status;
  for (const std::string &name : order)
    result.values.push_back(errors[name].summary(name));
  logits.summarize(result);
  return std::move(result);
}

absl::Status Comparer::encode(const std::vector<int32_t> &source) {
  const reference::Tensor input(DType::I32, {1, int64_t(source.size())}, std::vector<double>(source.begin(), source.end()));
  if (auto outputs = encoder->run(input, nullptr, &cache); !outputs.ok())
    return outputs.status();
  const Source read{0, source};
  if (absl::Status status = session->encode({&read, 1}); !status.ok())
    return status;
  compareCache(/*ofCross=*/true, 0, int64_t(source.size()));
  return absl::OkStatus();
}

absl::Status Comparer::runPrompt(size_t index) {
  const std::vector<int32_t> &prompt = beginnings[index];
  if (absl::Status status = session->reset(0); !status.ok())
    return status;
  auto empty = interpreter->createCache(1, length, sourceLength);
  if (!empty.ok())
    return empty.status();
  cache = *std::move(empty);
  if (encoder)
    if (absl::Status status = encode(options.prompts[index]); !status.ok())
      return status;
  std::vector<int32_t> &tokens = result.tokens.emplace_back();
  int32_t next = 0;
  for (size_t at = 0; at < prompt.size(); at += kCallTokens) {
    auto chosen = step(std::span(prompt).subspan(at, std::min<size_t>(kCallTokens, prompt.size() - at)));
    if (!chosen.ok())
      return chosen.status();
    next = *chosen;
  }
  while (int64_t(tokens.size()) < options.newTokens) {
    tokens.push_back(next);
    if (int64_t(tokens.size()) == options.newTokens)
      break;
    auto chosen = step({&next, 1});
    if (!chosen.ok())
      return chosen.status();
    next = *chosen;
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Comparer::step(std::span<const int32_t> ids) {
  const int64_t from = cache.lengths[0];
  const reference::Tensor input(DType::I32, {1, int64_t(ids.size())}, std::vector<double>(ids.begin(), ids.end()));
  auto outputs = interpreter->run(input, nullptr, &cache);
  if (!outputs.ok())
    return outputs.status();
  const NewTokens tokens{0, ids, NewTokens::Logits::All};
  auto view = session->forward({&tokens, 1});
  if (!view.ok())
    return view.status();
  compareCache(/*ofCross=*/false, from, cache.lengths[0]);
  const std::vector<reference::Tensor> *expected = outputs->find("logits");
  if (!expected || expected->front().size() != view->rows * view->vocab)
    return absl::FailedPreconditionError("graph has no output 'logits' of (batch, tokens, vocab)");
  for (int64_t row = 0; row < view->rows; ++row)
    logits.add(std::span(expected->front().data).subspan(size_t(row * view->vocab), size_t(view->vocab)), view->row(row));
  return likeliest(view->row(view->rows - 1));
}

void Comparer::compareKernel(const CallView &call, int64_t kernel) {
  for (const TracedKernel::Value &value : call.program.kernels[size_t(kernel)].outputs) {
    const reference::Tensor &expected = values[value.name];
    const TracedRows rows(call, value.binding);
    auto [sums, fresh] = errors.try_emplace(value.name, rows.dtype());
    if (fresh)
      order.push_back(value.name);
    const std::vector<double> actual = rows.read(expected.shape);
    sums->second.add(expected.data, actual);
  }
}

/// The memory of a side's scales; null if its rows have none.
static const void *scalesOf(const CallView &call, const Binding &rows) {
  for (size_t i = 0; i < call.program.bindings.size(); ++i)
    if (const Binding &binding = call.program.bindings[i];
        binding.isScales() && binding.block == rows.block && binding.isOfKeys() == rows.isOfKeys() &&
        binding.isOfCross() == rows.isOfCross())
      return call.pointers[i];
  return nullptr;
}

static double elementAt(DType dtype, const void *memory, int64_t i) {
  return loadElement(dtype, static_cast<const char *>(memory) + i * byteSize(dtype));
}

/// Rows `from` to `to` of the sequence, of every side: what attention reads, an 8-bit
/// element times its row's scale.
void Comparer::compareCache(bool ofCross, int64_t from, int64_t to) {
  const CallView call = TraceAccess::lastCall(*session);
  for (size_t i = 0; i < call.program.bindings.size(); ++i) {
    const Binding &binding = call.program.bindings[i];
    if (binding.kind != Binding::Kind::Cache || binding.isScales() || binding.isOfCross() != ofCross)
      continue;
    const std::string name = concat("cache.", binding.block, ".", binding.name);
    auto [sums, fresh] = errors.try_emplace(name, binding.dtype);
    if (fresh)
      order.push_back(name);
    const void *scales = scalesOf(call, binding);
    const reference::CacheBlock &block = cache.blocks[size_t(binding.block)];
    const reference::CacheSlot &slot = ofCross ? *block.cross : block.self;
    const reference::CacheRows &side = binding.isOfKeys() ? slot.keys : slot.values;
    const int64_t heads = side.rows.dim(1), capacity = side.rows.dim(2), width = side.rows.dim(3);
    const int64_t ring = dimValue(call.program, binding.dims[2], call.dims);
    std::vector<double> expected(static_cast<size_t>(width)), actual(expected.size());
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t t = from; t < to; ++t) {
        const int64_t there = h * capacity + t, here = h * ring + t % ring;
        const double exactScale = side.isScaled() ? side.scales.data[size_t(there)] : 1;
        const double scale = scales ? elementAt(DType::F32, scales, here) : 1;
        for (int64_t d = 0; d < width; ++d) {
          expected[size_t(d)] = side.rows.data[size_t(there * width + d)] * exactScale;
          actual[size_t(d)] = elementAt(binding.dtype, call.pointers[i], here * width + d) * scale;
        }
        sums->second.add(expected, actual);
      }
  }
}

absl::StatusOr<Comparison> compare(const std::string &path, const CompareOptions &options) {
  return Comparer(options).run([&](const CompileOptions &compilation) { return compile(path, compilation); });
}

absl::StatusOr<Comparison> compareText(std::string_view text, const std::string &name, const CompareOptions &options) {
  return Comparer(options).run([&](const CompileOptions &compilation) { return compileText(text, name, compilation); });
}

} // namespace graphc
