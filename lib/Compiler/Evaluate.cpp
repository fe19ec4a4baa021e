// Source, layer passes, interpreter.
#include "Compiler/Evaluate.h"

#include "Compiler/Source.h"
#include "Reference/Generate.h"
#include "Support/Message.h"
#include "Support/Safetensors.h"
#include "passes/layer/Passes.h"

#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace graphc {

static absl::StatusOr<reference::Options> interpreterOptions(const EvaluateOptions &options, int64_t length) {
  reference::Options result;
  if (options.mode == "f64")
    result.mode = reference::Mode::F64;
  else if (options.mode == "dot")
    result.mode = reference::Mode::Dot;
  else if (options.mode != "policy")
    return invalidArgument("mode must be policy, f64 or dot, got '", options.mode, "'");
  if (options.permuted) {
    if (options.mode != "policy")
      return invalidArgument("permuted f32 sums need mode policy, got '", options.mode, "'");
    result.mode = reference::Mode::Order;
    result.orderSeed = options.orderSeed;
  }
  if (options.compile.policySemantics == "axon")
    result.semantics = reference::Semantics::Axon;
  result.sessionLength = length;
  return result;
}

static absl::Status runLayerPasses(ModuleOp module, DiagnosticText &diagnostics, const EvaluateOptions &options) {
  layer::LayerPipelineOptions layers;
  layers.policy = options.compile.policy;
  layers.pins = options.compile.pins;
  layers.outputs = options.compile.outputs;
  layers.semantics = options.compile.policySemantics;
  layers.seed = options.compile.cacheMode == "seed";
  PassManager manager(module.getContext());
  layer::buildLayerPipeline(manager, layers);
  if (succeeded(manager.run(module)))
    return absl::OkStatus();
  const std::string errors = diagnostics.takeErrors();
  return absl::Status(isBrokenContract(errors) ? absl::StatusCode::kAborted : absl::StatusCode::kFailedPrecondition, errors);
}

static std::vector<int32_t> eosTokens(ModuleOp module) {
  std::vector<int32_t> tokens;
  if (auto model = module->getAttrOfType<DictionaryAttr>("layer.model"))
    if (auto ids = model.getAs<DenseI64ArrayAttr>("eos_token_ids"))
      tokens.assign(ids.asArrayRef().begin(), ids.asArrayRef().end());
  return tokens;
}

static Array toArray(const reference::Tensor &tensor) {
  return {tensor.shape, std::vector<float>(tensor.data.begin(), tensor.data.end())};
}

/// The states one after the other: one more dimension in front.
static Array stack(const std::vector<reference::Tensor> &states) {
  Array result;
  result.shape = states.empty() ? std::vector<int64_t>{} : states.front().shape;
  result.shape.insert(result.shape.begin(), int64_t(states.size()));
  for (const reference::Tensor &state : states)
    result.values.insert(result.values.end(), state.data.begin(), state.data.end());
  return result;
}

absl::StatusOr<Evaluation> evaluate(const std::string &path, const std::string *text, const EvaluateOptions &options) {
  if (absl::Status status = checkRules(options.compile); !status.ok())
    return status;
  size_t longest = 0;
  for (const std::vector<int32_t> &prompt : options.prompts)
    longest = std::max(longest, prompt.size());
  const int64_t length = options.sessionLength ? options.sessionLength : int64_t(longest) + options.newTokens;
  absl::StatusOr<reference::Options> interpretation = interpreterOptions(options, length);
  if (!interpretation.ok())
    return interpretation.status();

  CompilerContext context;
  DiagnosticText diagnostics(&context);
  absl::StatusOr<OwningOpRef<ModuleOp>> module =
      text ? parseModel(context, diagnostics, *text, path) : loadModel(context, diagnostics, path);
  if (!module.ok())
    return module.status();
  if (absl::Status status = runLayerPasses(**module, diagnostics, options); !status.ok())
    return status;
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(options.weights);
  if (!checkpoint.ok())
    return checkpoint.status();
  reference::CheckpointParameters parameters(*checkpoint);
  absl::StatusOr<reference::Interpreter> interpreter = reference::Interpreter::create(**module, parameters, *interpretation);
  if (!interpreter.ok())
    return interpreter.status();

  reference::GenerateOptions generation;
  generation.newTokens = options.newTokens;
  generation.capacity = length;
  if (options.stopAtEos)
    generation.stopTokens = eosTokens(**module);
  generation.keepLogits = options.keepLogits;
  generation.keepHiddenStates = options.keepHiddenStates;
  generation.keepAttentions = options.keepAttentions;
  generation.onToken = options.onToken;
  if (options.choose)
    generation.choose = [&](int64_t sequence, std::span<const double> logits) {
      return options.choose(sequence, std::vector<float>(logits.begin(), logits.end()));
    };
  absl::StatusOr<reference::Generation> result = reference::generate(*interpreter, options.prompts, generation);
  if (!result.ok())
    return result.status();
  return Evaluation{std::move(result->tokens), toArray(result->logits), stack(result->hiddenStates), stack(result->attentions),
                    diagnostics.notes()};
}

} // namespace graphc
