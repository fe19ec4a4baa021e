// The flow: source, layer passes, kernel passes, emission, LLVM. Each stage is
// one pass manager, so that its failures are known for what they are: up to the
// kernels the model may be at fault, below them only graphc.
#include "graphc/Compiler.h"

#include "Codegen/NativeModule.h"
#include "Compiler/CompileCache.h"
#include "Compiler/Explainer.h"
#include "Compiler/Manifest.h"
#include "Compiler/Source.h"
#include "Compiler/State.h"
#include "Runtime/Code.h"
#include "Support/Message.h"
#include "Support/MemoryPlan.h"
#include "Support/Pin.h"
#include "Support/Policy.h"
#include "Support/Target.h"
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"
#include "passes/cpu/Passes.h"
#include "passes/kernel/Passes.h"
#include "passes/layer/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

#include <chrono>
#include <filesystem>

using namespace mlir;

namespace graphc {

/// Parts of the code that are made side by side; not the number of cores, on which
/// what is written must not depend.
static constexpr unsigned kCodeParts = 4;

/// One run of the flow.
class Compilation {
public:
  explicit Compilation(const CompileOptions &options);

  using Load = llvm::function_ref<absl::StatusOr<OwningOpRef<ModuleOp>>()>;
  absl::StatusOr<CompiledModel> compile(Load load);

  CompilerContext context;
  DiagnosticText diagnostics{&context};
  std::optional<Explainer> explainer; ///< Watches, if there is one.

private:
  void chooseTarget();
  absl::Status runStages();
  absl::Status runPasses(llvm::StringRef phase, llvm::function_ref<void(OpPassManager &)> build, absl::StatusCode failure);
  absl::Status makeProgram();
  absl::Status checkBudget() const;
  absl::Status generateCode();
  /// The key of the code in the compile cache; empty if it is not to be used.
  std::string cacheKey();
  /// Takes the code from the cache if it is there.
  bool takeCached(const std::string &key);
  void cacheCode(const std::string &key);
  void countCasts();
  void countKernels();
  bool endsAt(Stage stage);
  /// Adds the time since the last phase ended to the list.
  void endPhase(std::string_view phase);

  const CompileOptions &options;
  const Target *target = nullptr;
  DefaultTimingManager timing;
  TimingScope timer;
  std::chrono::steady_clock::time_point phaseStart = std::chrono::steady_clock::now();
  OwningOpRef<ModuleOp> module;
  Counts counts;
  std::shared_ptr<CompiledModel::State> result = std::make_shared<CompiledModel::State>();
};

Compilation::Compilation(const CompileOptions &options) : options(options) {
  context.printOpOnDiagnostic(false);
  timing.setEnabled(options.inspect.timing);
  timer = timing.getRootScope();
}

void Compilation::endPhase(std::string_view phase) {
  const auto now = std::chrono::steady_clock::now();
  result->phases.push_back({std::string(phase), std::chrono::duration<double>(now - phaseStart).count()});
  phaseStart = now;
}

void Compilation::chooseTarget() {
  target = options.target.empty() ? &nativeTarget() : findTarget(options.target);
  if (options.allowEmulation && !missingFeatures(*target).empty())
    target = &nativeTarget();
}

absl::Status checkRules(const CompileOptions &options) {
  for (const std::string &rule : options.policy)
    if (absl::StatusOr<PolicyRule> parsed = parsePolicyRule(rule); !parsed.ok())
      return parsed.status();
  for (const std::string &rule : options.pins)
    if (absl::StatusOr<PinRule> parsed = parsePinRule(rule); !parsed.ok())
      return parsed.status();
  if (options.cacheMode != "pinned" && options.cacheMode != "seed")
    return invalidArgument("cache mode must be pinned or seed, got '", options.cacheMode, "'");
  if (options.cacheMode == "seed" && !options.pins.empty())
    return invalidArgument("pin rule '", options.pins.front(), "' needs cache mode pinned, got seed, in which the policy "
                           "casts the cache");
  if (options.policySemantics != "graphc" && options.policySemantics != "axon")
    return invalidArgument("policy semantics must be graphc or axon, got '", options.policySemantics, "'");
  if (!options.target.empty() && !findTarget(options.target))
    return invalidArgument("target must be one of ", join(targetNames()), ", got '", options.target, "'");
  return checkLimitNames(options);
}

absl::StatusOr<CompiledModel> Compilation::compile(Load load) {
  if (absl::Status status = checkRules(options); !status.ok())
    return status;
  if (options.optimize > 3)
    return invalidArgument("optimisation level must be from 0 to 3, got ", options.optimize);
  chooseTarget();
  if (options.policySemantics == "axon" && options.stage != Stage::Layer)
    return invalidArgument("policy semantics 'axon' ends with the layers, since compiled kernels do not round inside; "
                           "ask for the layers (--emit=layer), run the interpreter (graphc eval), or use 'graphc'");
  if (!explainer && (options.maxCasts || !options.deny.empty()))
    explainer.emplace(options, context, /*graphs=*/false);
  absl::StatusOr<OwningOpRef<ModuleOp>> loaded = load();
  if (!loaded.ok())
    return loaded.status();
  module = *std::move(loaded);
  endPhase("load");
  if (explainer)
    explainer->begin(*module);
  result->stage = options.stage;
  if (absl::Status status = runStages(); !status.ok())
    return status;
  result->notes += diagnostics.notes();
  return CompiledModel(std::move(result));
}

/// Runs the passes of one phase. Their errors become a status of `failure`.
absl::Status Compilation::runPasses(llvm::StringRef phase, llvm::function_ref<void(OpPassManager &)> build,
                                    absl::StatusCode failure) {
  TimingScope scope = timer.nest(phase);
  PassManager manager(&context);
  manager.enableTiming(scope);
  auto always = [](Pass *, Operation *) { return true; };
  if (options.inspect.printIrAfterAll)
    manager.enableIRPrinting(nullptr, always, /*printModuleScope=*/false, /*printAfterOnlyOnChange=*/true);
  if (!options.inspect.irTree.empty()) {
    const std::string folder = options.inspect.irTree + "/" + phase.str();
    std::error_code error;
    if (std::filesystem::create_directories(folder, error); error) // MLIR makes one level only
      return invalidArgument("folder '", folder, "' cannot be made: ", error.message());
    manager.enableIRPrintingToFileTree(nullptr, always, /*printModuleScope=*/true, /*printAfterOnlyOnChange=*/true,
                                       /*printAfterOnlyOnFailure=*/false, folder);
  }
  const bool internal = failure == absl::StatusCode::kInternal;
  manager.enableVerifier(!internal); // once at the end: between 30 lowerings it takes a third of their time
  if (internal && !options.inspect.reproducer.empty())
    manager.enableCrashReproducerGeneration(options.inspect.reproducer);
  build(manager);
  if (explainer)
    explainer->watch(manager);
  if (succeeded(manager.run(*module)) && (!internal || succeeded(verify(*module))))
    return absl::OkStatus();
  std::string errors = diagnostics.takeErrors();
  if (isBrokenContract(errors))
    failure = absl::StatusCode::kAborted;
  return absl::Status(failure, errors.empty() ? concat(std::string_view(phase), " passes failed") : errors);
}

/// Keeps the module's text if the compilation ends here.
bool Compilation::endsAt(Stage stage) {
  if (options.stage != stage)
    return false;
  llvm::raw_string_ostream stream(result->output);
  module->print(stream);
  stream << "\n";
  return true;
}

absl::Status Compilation::runStages() {
  constexpr absl::StatusCode ofModel = absl::StatusCode::kFailedPrecondition, internal = absl::StatusCode::kInternal;
  layer::LayerPipelineOptions layers;
  layers.policy = options.policy;
  layers.pins = options.pins;
  layers.seed = options.cacheMode == "seed";
  layers.outputs = options.outputs;
  layers.semantics = options.policySemantics;
  layers.cacheFacts = &result->checked.layer;
  layers.report = options.inspect.statistics; // MLIR's own statistics are compiled out of release builds
  auto buildLayers = [&](OpPassManager &manager) { layer::buildLayerPipeline(manager, layers); };
  if (absl::Status status = runPasses("layer", buildLayers, ofModel); !status.ok())
    return status;
  countCasts();
  endPhase("layer");
  if (explainer)
    explainer->layersDone(*module);
  if (endsAt(Stage::Layer) && !limitsNeedKernels(options))
    return explainer ? checkLimits(explainer->report(), options) : absl::OkStatus();

  auto buildKernels = [&](OpPassManager &manager) {
    kernel::buildKernelPipeline(manager, {options.trace, options.inspect.statistics, &result->checked.kernel});
  };
  if (absl::Status status = runPasses("kernel", buildKernels, ofModel); !status.ok())
    return status;
  countKernels();
  if (absl::Status status = makeProgram(); !status.ok())
    return status;
  result->work = countWork(*module, *target);
  endPhase("kernel");
  if (explainer) {
    explainer->kernelsDone(*module, result->program);
    if (absl::Status status = checkLimits(explainer->report(), options); !status.ok())
      return status;
  }
  if (endsAt(Stage::Kernel) || options.stage == Stage::Layer)
    return absl::OkStatus();
  const std::string key = cacheKey();
  if (takeCached(key))
    return checkBudget();

  auto emit = [&](OpPassManager &manager) {
    cpu::buildCpuPipeline(manager, {std::string(target->name), options.inspect.statistics, &result->checked.vector});
  };
  if (absl::Status status = runPasses("cpu", emit, internal); !status.ok())
    return status;
  result->program.stack = stackScratchOf(*module);
  if (absl::Status status = checkBudget(); !status.ok())
    return status;
  endPhase("cpu");
  if (endsAt(Stage::Vector))
    return absl::OkStatus();

  auto lower = [&](OpPassManager &manager) { cpu::buildLowerToLLVMPipeline(manager, *target); };
  if (absl::Status status = runPasses("lowering", lower, internal); !status.ok())
    return status;
  endPhase("lowering");
  if (absl::Status status = generateCode(); !status.ok())
    return status;
  endPhase("emit");
  cacheCode(key);
  return absl::OkStatus();
}

std::string Compilation::cacheKey() {
  const InspectOptions &inspect = options.inspect;
  const bool looksInside = inspect.printIrAfterAll || !inspect.irTree.empty() || inspect.timing || inspect.statistics;
  if (options.compileCache.empty() || options.stage != Stage::Object || looksInside)
    return {};
  std::string kernels;
  llvm::raw_string_ostream stream(kernels);
  module->print(stream);
  return CompileCache::key(kernels, result->program, options.optimize, options.wholeObject);
}

bool Compilation::takeCached(const std::string &key) {
  if (key.empty())
    return false;
  std::optional<CachedCode> code = CompileCache(options.compileCache).find(key);
  if (!code)
    return false;
  code->checked.layer = std::move(result->checked.layer); // these two levels were checked just now
  code->checked.kernel = std::move(result->checked.kernel);
  result->checked = std::move(code->checked);
  result->program = std::move(code->program);
  result->output = std::move(code->object);
  result->fromCache = true;
  endPhase("cache");
  return true;
}

void Compilation::cacheCode(const std::string &key) {
  if (key.empty())
    return;
  absl::Status status = CompileCache(options.compileCache).store(key, {result->output, result->program, result->checked});
  if (!status.ok()) // the model is compiled all the same
    result->notes = concat("warning: compile cache is not used: ", status.message(), "; --no-compile-cache does without it\n");
}

absl::Status Compilation::makeProgram() {
  if (failed(kernel::collectBindings(*module)))
    return absl::InternalError(diagnostics.takeErrors());
  absl::StatusOr<Program> program = readProgram(*module);
  if (!program.ok())
    return absl::FailedPreconditionError(program.status().message());
  program->policy = join(options.policy, "; ");
  program->pin = join(options.pins, "; ");
  program->targetName = target->name;
  program->slotUsers = slotUsersOf(*module);
  program->features.assign(target->required.begin(), target->required.end());
  if (absl::Status status = checkProgram(*program); !status.ok())
    return absl::FailedPreconditionError(status.message());
  result->program = *std::move(program);
  result->summary = summarize(result->program, counts);
  return checkBudget(); // again after emission, which adds scratch on the stack
}

absl::Status Compilation::checkBudget() const {
  if (!options.memoryBudget)
    return absl::OkStatus();
  return graphc::checkBudget(result->program, planRequest(options.session), options.memoryBudget);
}

absl::Status Compilation::generateCode() {
  TimingScope scope = timer.nest("code");
  auto native = NativeModule::translate(*module, *target, programText(result->program));
  if (!native.ok())
    return absl::InternalError(concat(native.status().message(), "\n", diagnostics.takeErrors()));
  auto checkCache = [&](CodeState state, Facts &facts) {
    TimingScope checking = scope.nest("check the cache");
    return (*native)->checkCache(result->program, state, &facts);
  };
  if (absl::Status status = checkCache(CodeState::Translated, result->checked.translated); !status.ok())
    return status;
  endPhase("translate");
  {
    TimingScope optimizing = scope.nest("optimize");
    (*native)->optimize(options.optimize);
  }
  if (absl::Status status = checkCache(CodeState::Optimized, result->checked.optimized); !status.ok())
    return status;
  endPhase("optimize");
  TimingScope emitting = scope.nest("emit");
  if (options.stage == Stage::LLVM) {
    result->output = (*native)->llvmText();
    return absl::OkStatus();
  }
  if (options.stage == Stage::Assembly) {
    result->output = (*native)->assembly();
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> object = (*native)->object(options.wholeObject ? 1 : kCodeParts);
  if (!object.ok())
    return object.status();
  result->output = *std::move(object);
  result->checked.symbols = *checkUndefinedSymbols(result->output);
  return absl::OkStatus();
}

void Compilation::countCasts() {
  module->walk([&](layer::CastOp cast) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    stream << getElementTypeOrSelf(cast.getX().getType()) << " to " << getElementTypeOrSelf(cast.getY().getType());
    if (ArrayAttr reasons = cast.getBecause().value_or(ArrayAttr()))
      llvm::interleaveComma(reasons.getAsValueRange<StringAttr>(), stream << ": ");
    counts.casts.push_back(std::move(text));
  });
}

static bool isKernel(Operation *op) {
  return isa_and_nonnull<kernel::KernelDialect>(op->getDialect()) && op->hasAttr("layers");
}

void Compilation::countKernels() {
  counts.traffic = cacheTrafficOf(*module);
  module->walk([&](Operation *op) { counts.distinct += isKernel(op); });
  auto prefill = module->lookupSymbol<func::FuncOp>(kPrefillSymbol);
  if (!prefill)
    return;
  prefill.walk([&](Operation *op) {
    counts.kernels += isKernel(op);
    if (auto call = dyn_cast<func::CallOp>(op))
      if (auto callee = module->lookupSymbol<func::FuncOp>(call.getCallee()))
        callee.walk([&](Operation *inner) { counts.kernels += isKernel(inner); });
  });
}

absl::StatusOr<CompiledModel> compile(const std::string &path, const CompileOptions &options) {
  Compilation compilation(options);
  return compilation.compile([&] { return loadModel(compilation.context, compilation.diagnostics, path); });
}

absl::StatusOr<CompiledModel> compileText(std::string_view text, const std::string &name, const CompileOptions &options) {
  Compilation compilation(options);
  return compilation.compile([&] { return parseModel(compilation.context, compilation.diagnostics, text, name); });
}

/// Compiles up to the kernels while an explainer watches.
class Explanations {
public:
  static absl::StatusOr<Explanation> make(const CompileOptions &options, const std::string &name, const std::string *text);
};

absl::StatusOr<Explanation> Explanations::make(const CompileOptions &given, const std::string &name, const std::string *text) {
  CompileOptions options = given;
  options.stage = options.policySemantics == "axon" ? Stage::Layer : Stage::Vector; // for the kernels' scratch
  Compilation compilation(options);
  Explainer &explainer = compilation.explainer.emplace(options, compilation.context, /*graphs=*/true);
  absl::StatusOr<CompiledModel> compiled = compilation.compile([&] {
    return text ? parseModel(compilation.context, compilation.diagnostics, *text, name)
                : loadModel(compilation.context, compilation.diagnostics, name);
  });
  if (!compiled.ok())
    return compiled.status();
  auto state = std::make_shared<Explanation::State>(Explanation::State{explainer.report(), explainer.graphs(), compiled->notes()});
  state->report.model = name;
  if (options.stage == Stage::Layer) {
    state->report.stopped = "axon's rounding points are interpreted, not compiled";
  } else {
    absl::StatusOr<MemoryPlan> plan = planMemory(compiled->program(), planRequest(options.session));
    if (!plan.ok())
      return plan.status();
    state->report.plan = *std::move(plan);
  }
  return Explanation(std::move(state));
}

absl::StatusOr<Explanation> explain(const std::string &path, const CompileOptions &options) {
  return Explanations::make(options, path, nullptr);
}

absl::StatusOr<Explanation> explainText(std::string_view text, const std::string &name, const CompileOptions &options) {
  const std::string copy(text);
  return Explanations::make(options, name, &copy);
}

} // namespace graphc
