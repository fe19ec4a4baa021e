// The frame around the families: opens the folder, finds the family, and checks
// what no family should have to think of.
#include "Import/Import.h"

#include "Import/Family.h"
#include "Support/Json.h"
#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/Verifier.h"

#include <filesystem>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;
using nlohmann::json;

namespace {
/// What generation starts with and stops at. The last two: of a decoder with an
/// encoder.
struct TokenIds {
  SmallVector<int64_t> bos, eos, decoderStart, forcedBos;
};

/// Ids from a token id key: one integer, a list, or null for none.
LogicalResult parseIds(const json &value, SmallVector<int64_t> &ids) {
  const json list = value.is_array() ? value : value.is_null() ? json::array() : json::array({value});
  for (const json &id : list) {
    const auto *number = id.is_number_integer() ? id.get_ptr<const json::number_integer_t *>() : nullptr;
    if (!number || *number < 0 || *number > INT32_MAX)
      return failure();
    ids.push_back(*number);
  }
  return success();
}

/// generation_config.json has the say where it has the key; then config.json;
/// then transformers' default for the family.
SmallVector<int64_t> readIds(Config &config, const json &generation, StringRef key, std::optional<int64_t> byDefault) {
  const auto entry = generation.find(std::string_view(key));
  const bool generated = entry != generation.end() && !entry->is_null();
  const json *own = config.value(key);
  const json value = generated ? *entry : own ? *own : config.contains(key) || !byDefault ? json() : json(*byDefault);
  SmallVector<int64_t> ids;
  if (failed(parseIds(value, ids)))
    config.error(key) << "key '" << key << "' must be a token id or a list of them, got " << describeJson(value)
                      << (generated ? " in generation_config.json" : "");
  return ids;
}

/// generation_config.json of `folder`; an empty object if there is none.
FailureOr<json> readGenerationConfig(const std::string &folder, Location where) {
  absl::StatusOr<json> generation = parseJsonFile(std::filesystem::path(folder) / "generation_config.json");
  if (absl::IsNotFound(generation.status()))
    return json::object();
  if (generation.ok() && !generation->is_object())
    generation = invalidArgument("generation_config.json must be an object, got ", describeJson(*generation));
  if (!generation.ok())
    return emitError(where, std::string(generation.status().message()));
  return *std::move(generation);
}

/// Keys that any config may have, with the one value that changes nothing.
void demandCommon(Config &config, bool hasEncoder) {
  config.demand("is_encoder_decoder", hasEncoder, hasEncoder ? "the family has an encoder" : "the family has no encoder");
  if (hasEncoder)
    config.demand("add_cross_attention", false, "a decoder with an encoder has cross attention anyway");
  config.demand("chunk_size_feed_forward", 0, "feed-forward layers are not chunked");
  config.demand("pruned_heads", json::object(), "heads of unequal number are not supported");
  config.demand("tie_encoder_decoder", false, "an encoder has weights of its own");
  config.demand("tie_last_hidden_states", true, "the last hidden state is after the norm");
  config.demand("use_bfloat16", false, "use --policy to choose the compute type");
}

/// What this checkpoint puts before tensor names; the usual if nothing fits,
/// so that the error names the usual tensor.
StringRef findPrefix(const Checkpoint *checkpoint, const Family &family) {
  if (checkpoint)
    for (StringRef prefix : family.prefixes)
      if (checkpoint->find((prefix + family.probe).str()))
        return prefix;
  return family.prefixes.front();
}

/// A tensor that the graph does not use is part of another model than the one
/// that was built: a bias that the config does not admit, a further layer.
LogicalResult checkAllUsed(const Checkpoint &checkpoint, const Family &family, const llvm::StringSet<> &bound,
                           Location where) {
  SmallVector<const TensorInfo *> strange;
  for (const TensorInfo &tensor : checkpoint.tensors()) {
    const StringRef name = tensor.name;
    if (!bound.contains(name) && llvm::none_of(family.unusedTensors, [&](StringRef end) { return name.ends_with(end); }))
      strange.push_back(&tensor);
  }
  if (strange.empty())
    return success();
  const TensorInfo &first = *strange.front();
  InFlightDiagnostic diagnostic = emitError(where)
                                  << "tensor '" << first.name << "' must be absent for family '" << family.name
                                  << "' and this config, got " << first.dtypeName << " of shape ("
                                  << join(first.shape) << ") in " << first.file;
  if (strange.size() > 1)
    diagnostic.attachNote() << "so must " << strange.size() - 1 << " more, such as '" << strange.back()->name << "'";
  return diagnostic;
}

DictionaryAttr describeModel(MLIRContext *context, const Family &family, const TokenIds &tokens,
                             const GraphBuilder &graph) {
  Builder b(context);
  const ModelInfo &info = graph.modelInfo();
  SmallVector<NamedAttribute> entries{
      b.getNamedAttr("family", b.getStringAttr(family.name)),
      b.getNamedAttr("vocab_size", b.getI64IntegerAttr(info.vocabSize)),
      b.getNamedAttr("hidden_size", b.getI64IntegerAttr(info.hiddenSize)),
      b.getNamedAttr("num_layers", b.getI64IntegerAttr(graph.numLayers())),
      b.getNamedAttr("max_length", b.getI64IntegerAttr(info.maxLength)),
      b.getNamedAttr("bos_token_ids", b.getDenseI64ArrayAttr(tokens.bos)),
      b.getNamedAttr("eos_token_ids", b.getDenseI64ArrayAttr(tokens.eos))};
  if (family.decoderStartTokenId)
    entries.push_back(b.getNamedAttr("decoder_start_token_ids", b.getDenseI64ArrayAttr(tokens.decoderStart)));
  if (!tokens.forcedBos.empty())
    entries.push_back(b.getNamedAttr("forced_bos_token_ids", b.getDenseI64ArrayAttr(tokens.forcedBos)));
  if (info.positionsAreBounded)
    entries.push_back(b.getNamedAttr("position_limit", b.getI64IntegerAttr(info.maxLength)));
  return b.getDictionaryAttr(entries);
}
/// The family of the config's model_type; null after an error.
const Family *readFamily(Config &config) {
  const std::string modelType = config.text("model_type");
  const Family *family = findFamily(modelType);
  if (!family && !modelType.empty()) // an empty one was reported
    config.error("model_type") << "key 'model_type' must be one of " << join(knownModelTypes()) << ", got '"
                               << modelType << "'";
  return family;
}

/// Builds the module from what the folder holds; `checkpoint` may be null.
OwningOpRef<ModuleOp> build(MLIRContext &context, Config &config, const Family &family, const json &generation,
                            const Checkpoint *checkpoint, DType missingDType, Location where) {
  TokenIds tokens{readIds(config, generation, "bos_token_id", family.bosTokenId),
                  readIds(config, generation, "eos_token_id", family.eosTokenId), {}, {}};
  if (family.decoderStartTokenId) {
    tokens.decoderStart = readIds(config, generation, "decoder_start_token_id", family.decoderStartTokenId);
    tokens.forcedBos = readIds(config, generation, "forced_bos_token_id", std::nullopt);
    if (tokens.decoderStart.size() != 1)
      config.error("decoder_start_token_id") << "key 'decoder_start_token_id' must be one token id, got "
                                             << tokens.decoderStart.size();
  }
  demandCommon(config, family.decoderStartTokenId.has_value());
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  GraphBuilder graph(*module, where, checkpoint, missingDType, findPrefix(checkpoint, family).str());
  if (failed(family.build(config, family, graph)))
    return nullptr;
  if (checkpoint && failed(checkAllUsed(*checkpoint, family, graph.boundTensors(), where)))
    return nullptr;
  (*module)->setAttr("layer.model", describeModel(&context, family, tokens, graph));
  if (failed(verify(*module)))
    return nullptr;
  return module;
}
} // namespace

OwningOpRef<ModuleOp> graphc::importModel(MLIRContext &context, const std::string &folder,
                                          const ImportOptions &options) {
  context.loadDialect<layer::LayerDialect>();
  FailureOr<Config> config = Config::open(context, folder);
  const Family *family = succeeded(config) ? readFamily(*config) : nullptr;
  if (!family)
    return nullptr;
  const Location where = FileLineColLoc::get(&context, folder, 0, 0);
  absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(folder);
  const bool missing = options.allowMissingWeights && absl::IsNotFound(checkpoint.status());
  if (!checkpoint.ok() && !missing)
    return emitError(where, std::string(checkpoint.status().message())), nullptr;
  FailureOr<json> generation = readGenerationConfig(folder, where);
  if (failed(generation))
    return nullptr;
  return build(context, *config, *family, *generation, missing ? nullptr : &*checkpoint, options.missingDType, where);
}

OwningOpRef<ModuleOp> graphc::importConfig(MLIRContext &context, const std::string &text, DType dtype) {
  context.loadDialect<layer::LayerDialect>();
  FailureOr<Config> config = Config::parse(context, text, "config.json");
  const Family *family = succeeded(config) ? readFamily(*config) : nullptr;
  if (!family)
    return nullptr;
  return build(context, *config, *family, json::object(), /*checkpoint=*/nullptr, dtype,
               FileLineColLoc::get(&context, "config.json", 0, 0));
}
