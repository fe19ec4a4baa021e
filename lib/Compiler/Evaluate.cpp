// Source, layer passes, interpreter.
#include "Compiler/Evaluate.h"

#include "Compiler/Source.h"
#include "Reference/Generate.h"
#include "Support/Message.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"
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
  else if (options.mode == "tiles")
    result.mode = reference::Mode::Tiles;
  else if (options.mode != "policy")
    return invalidArgument("mode must be policy, f64, dot or tiles, got '", options.mode, "'");
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

static bool hasEncoder(ModuleOp module) { return SymbolTable::lookupSymbolIn(module, layer::kEncodeGraph); }

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

/// The ids under `key` of the module's description.
static std::vector<int32_t> modelTokens(ModuleOp module, StringRef key) {
  std::vector<int32_t> tokens;
  if (auto model = module->getAttrOfType<DictionaryAttr>("layer.model"))
    if (auto ids = model.getAs<DenseI64ArrayAttr>(key))
      tokens.assign(ids.asArrayRef().begin(), ids.asArrayRef().end());
  return tokens;
}

using Prompts = std::vector<std::vector<int32_t>>;

/// What the decoder starts with, for each source.
static absl::StatusOr<Prompts> decoderPrompts(ModuleOp module, const EvaluateOptions &options) {
  const Prompts &given = options.decoderPrompts;
  if (given.size() > 1 && given.size() != options.prompts.size())
    return invalidArgument("decoder prompts must be one, or one for each of the ", options.prompts.size(),
                           " sources, got ", given.size());
  if (given.size() > 1)
    return given;
  return Prompts(options.prompts.size(), given.empty() ? modelTokens(module, "decoder_start_token_ids") : given.front());
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
  const bool encodes = hasEncoder(**module);
  if (!encodes && !options.decoderPrompts.empty())
    return invalidArgument("model has no encoder, so its prompts are what the decoder starts with; leave out --decoder-tokens");
  absl::StatusOr<Prompts> prompts = encodes ? decoderPrompts(**module, options) : absl::StatusOr<Prompts>(options.prompts);
  if (!prompts.ok())
    return prompts.status();
  size_t longest = 0;
  for (const std::vector<int32_t> &prompt : *prompts)
    longest = std::max(longest, prompt.size());
  const int64_t length = options.sessionLength ? options.sessionLength : int64_t(longest) + options.newTokens;
  absl::StatusOr<reference::Options> interpretation = interpreterOptions(options, length);
  if (!interpretation.ok())
    return interpretation.status();
  reference::CheckpointParameters parameters(*checkpoint);
  absl::StatusOr<reference::Interpreter> interpreter =
      reference::Interpreter::create(**module, parameters, *interpretation, encodes ? layer::kMainGraph.str() : std::string());
  if (!interpreter.ok())
    return interpreter.status();
  std::optional<reference::Interpreter> encoder;
  if (encodes) {
    absl::StatusOr<reference::Interpreter> made =
        reference::Interpreter::create(**module, parameters, *interpretation, layer::kEncodeGraph.str());
    if (!made.ok())
      return made.status();
    encoder.emplace(*std::move(made));
  }

  reference::GenerateOptions generation;
  if (encoder) {
    generation.encoder = &*encoder;
    generation.sources = options.prompts;
    if (const std::vector<int32_t> forced = modelTokens(**module, "forced_bos_token_ids"); !forced.empty())
      generation.forcedFirst = forced.front();
  }
  generation.newTokens = options.newTokens;
  generation.capacity = length;
  if (options.stopAtEos)
    generation.stopTokens = modelTokens(**module, "eos_token_ids");
  generation.keepLogits = options.keepLogits;
  generation.keep = options.keep;
  generation.onToken = options.onToken;
  if (options.choose)
    generation.choose = [&](int64_t sequence, std::span<const double> logits) {
      return options.choose(sequence, std::vector<float>(logits.begin(), logits.end()));
    };
  absl::StatusOr<reference::Generation> result = reference::generate(*interpreter, *prompts, generation);
  if (!result.ok())
    return result.status();
  Evaluation evaluation{std::move(result->tokens), toArray(result->logits), {}, diagnostics.notes()};
  for (const auto &[name, tensors] : result->kept)
    evaluation.kept[name] = stack(tensors);
  return evaluation;
}

} // namespace graphc
