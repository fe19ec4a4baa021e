// From attributes to the plain structs of the runtime, key by key.
#include "Compiler/Manifest.h"

#include "Support/Message.h"
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

using namespace mlir;

namespace graphc {

using Kind = Binding::Kind;

namespace {

std::string_view view(StringRef text) { return {text.data(), text.size()}; }

/// Reads the entries of one dictionary. The first missing one is kept as the
/// error; reads after it return empty values.
class Entries {
public:
  Entries(DictionaryAttr attributes, std::string where) : attributes(attributes), where(std::move(where)) {}

  std::string text(StringRef key) {
    auto value = get<StringAttr>(key, "a string");
    return value ? value.str() : std::string();
  }
  int64_t integer(StringRef key) {
    auto value = get<IntegerAttr>(key, "an integer");
    return value ? value.getInt() : 0;
  }
  std::vector<int64_t> integers(StringRef key) {
    auto value = get<DenseI64ArrayAttr>(key, "a list of integers");
    return value ? std::vector<int64_t>(value.asArrayRef().begin(), value.asArrayRef().end()) : std::vector<int64_t>();
  }
  ArrayAttr array(StringRef key) {
    auto value = get<ArrayAttr>(key, "an array");
    return value ? value : ArrayAttr::get(attributes.getContext(), {});
  }
  DType dtype(StringRef key) { return parsed(text(key)); }
  std::vector<DType> dtypes(StringRef key) {
    std::vector<DType> result;
    for (Attribute name : array(key))
      result.push_back(parsed(isa<StringAttr>(name) ? cast<StringAttr>(name).getValue().str() : ""));
    return result;
  }
  template <typename AttributeType> AttributeType get(StringRef key, std::string_view what) {
    auto value = attributes.getAs<AttributeType>(key);
    if (!value)
      fail(concat(where, " must have ", what, " as '", view(key), "'"));
    return value;
  }
  void fail(std::string message) {
    if (status.ok())
      status = absl::InvalidArgumentError(message);
  }

  absl::Status status;

private:
  DType parsed(const std::string &name) {
    std::optional<DType> dtype = parseDType(name);
    if (!dtype)
      fail(concat(where, " must have dtypes, got '", name, "'"));
    return dtype.value_or(DType::F32);
  }

  DictionaryAttr attributes;
  std::string where;
};

std::optional<Kind> parseKind(StringRef name) {
  constexpr std::string_view names[] = {"input", "parameter", "cache", "rope", "buffer", "output", "trace", "carry"};
  for (size_t i = 0; i < std::size(names); ++i)
    if (view(name) == names[i])
      return Kind(i);
  return std::nullopt;
}

absl::StatusOr<Binding> readBinding(DictionaryAttr attributes) {
  auto name = attributes.getAs<StringAttr>("name");
  Entries entries(attributes, concat("binding '", name ? view(name.getValue()) : "", "'"));
  Binding binding;
  std::optional<Kind> kind = parseKind(entries.text("kind"));
  if (!kind)
    entries.fail(concat("binding '", name ? view(name.getValue()) : "", "' must have a kind"));
  binding.kind = kind.value_or(Kind::Buffer);
  binding.name = entries.text("name");
  if (auto type = entries.get<TypeAttr>("type", "a type"))
    binding.dtype = layer::dtypeOf(getElementTypeOrSelf(type.getValue())).value_or(DType::F32);
  for (Attribute dim : entries.array("dims")) {
    if (auto number = dyn_cast<IntegerAttr>(dim)) {
      binding.dims.push_back(Dim::number(number.getInt()));
      continue;
    }
    absl::StatusOr<Dim> parsed = parseDim(isa<StringAttr>(dim) ? view(cast<StringAttr>(dim).getValue()) : "");
    if (!parsed.ok())
      return parsed.status();
    binding.dims.push_back(*std::move(parsed));
  }
  switch (binding.kind) {
  case Kind::Parameter:
    binding.source = entries.text("source");
    binding.stored = entries.dtype("stored");
    binding.roundings = entries.dtypes("transform");
    break;
  case Kind::Cache:
    binding.block = entries.integer("block");
    break;
  case Kind::Rope:
    if (auto rope = entries.get<layer::RopeAttr>("rope", "a rope"))
      binding.rope = layer::ropeSpec(rope);
    break;
  case Kind::Buffer:
    binding.slot = entries.integer("slot");
    break;
  case Kind::Carry:
    binding.carry = entries.integer("carry");
    break;
  default:
    break;
  }
  if (!entries.status.ok())
    return entries.status;
  return binding;
}

absl::StatusOr<Program::Model> readModel(ModuleOp module) {
  auto attributes = module->getAttrOfType<DictionaryAttr>("layer.model");
  if (!attributes)
    return invalidArgument("module must have the attribute 'layer.model', which 'graphc import' writes");
  Entries entries(attributes, "layer.model");
  Program::Model model;
  model.family = entries.text("family");
  model.vocabSize = entries.integer("vocab_size");
  model.hiddenSize = entries.integer("hidden_size");
  model.numLayers = entries.integer("num_layers");
  model.maxLength = entries.integer("max_length");
  model.isExtendable = !attributes.contains("position_limit");
  model.bosTokenIds = entries.integers("bos_token_ids");
  model.eosTokenIds = entries.integers("eos_token_ids");
  if (attributes.contains("decoder_start_token_ids"))
    model.decoderStartTokenIds = entries.integers("decoder_start_token_ids");
  if (attributes.contains("forced_bos_token_ids"))
    model.forcedBosTokenIds = entries.integers("forced_bos_token_ids");
  if (!entries.status.ok())
    return entries.status;
  return model;
}

absl::StatusOr<TracedKernel> readTraced(ModuleOp module, Attribute attribute) {
  auto bindings = module->getAttrOfType<ArrayAttr>(kernel::kBindingsAttr);
  auto dictionary = dyn_cast<DictionaryAttr>(attribute);
  if (!dictionary)
    return invalidArgument("traced kernels must be dictionaries");
  Entries entries(dictionary, "traced kernel");
  TracedKernel kernel;
  for (Attribute layer : entries.array("layers"))
    kernel.layers.push_back(isa<StringAttr>(layer) ? cast<StringAttr>(layer).str() : "");
  for (Attribute output : entries.array("outputs"))
    if (auto value = dyn_cast<DictionaryAttr>(output)) {
      Entries fields(value, "traced kernel");
      auto entry = fields.get<DictionaryAttr>("binding", "a binding");
      std::string name = fields.text("name");
      if (!fields.status.ok() || !llvm::is_contained(bindings, entry))
        return invalidArgument("traced kernel must name a binding of the program");
      kernel.outputs.push_back({llvm::find(bindings, entry) - bindings.begin(), std::move(name)});
    }
  if (!entries.status.ok())
    return entries.status;
  return kernel;
}

/// "hidden_states" of "hidden_states.3", each name once.
std::vector<std::string> outputNames(const std::vector<Binding> &bindings) {
  std::vector<std::string> names;
  for (const Binding &binding : bindings) {
    if (binding.kind != Kind::Output)
      continue;
    std::string name = binding.name.substr(0, binding.name.find('.'));
    if (std::ranges::find(names, name) == names.end())
      names.push_back(std::move(name));
  }
  return names;
}

} // namespace

absl::StatusOr<Program> readProgram(ModuleOp module) {
  Program program;
  absl::StatusOr<Program::Model> model = readModel(module);
  if (!model.ok())
    return model.status();
  program.model = *std::move(model);
  for (Attribute symbol : module->getAttrOfType<ArrayAttr>(kernel::kSymbolsAttr))
    program.symbols.push_back(cast<StringAttr>(symbol).str());
  for (Attribute attribute : module->getAttrOfType<ArrayAttr>(kernel::kBindingsAttr)) {
    absl::StatusOr<Binding> binding = readBinding(cast<DictionaryAttr>(attribute));
    if (!binding.ok())
      return binding.status();
    program.bindings.push_back(*std::move(binding));
  }
  program.outputs = outputNames(program.bindings);
  if (auto traced = module->getAttrOfType<ArrayAttr>(kernel::kTracedAttr))
    for (Attribute attribute : traced) {
      absl::StatusOr<TracedKernel> kernel = readTraced(module, attribute);
      if (!kernel.ok())
        return kernel.status();
      program.kernels.push_back(*std::move(kernel));
    }
  return program;
}

} // namespace graphc
