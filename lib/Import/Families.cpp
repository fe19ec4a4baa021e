// The table of families, and what several of them read alike.
#include "Import/Family.h"

#include "Support/Message.h"

using namespace graphc;
using namespace graphc::importer;

static const Family *const kFamilies[] = {&kLlama, &kMistral, &kGpt2, &kT5, &kBart};

const Family *graphc::importer::findFamily(llvm::StringRef modelType) {
  for (const Family *family : kFamilies)
    if (llvm::is_contained(family->modelTypes, modelType))
      return family;
  return nullptr;
}

std::vector<std::string_view> graphc::importer::knownModelTypes() {
  std::vector<std::string_view> names;
  for (const Family *family : kFamilies)
    names.insert(names.end(), family->modelTypes.begin(), family->modelTypes.end());
  return names;
}

static constexpr std::pair<std::string_view, Activation> kActivations[] = {
    {"silu", Activation::Silu},          {"swish", Activation::Silu},
    {"gelu", Activation::Gelu},          {"gelu_python", Activation::Gelu},
    {"gelu_new", Activation::GeluTanh},  {"gelu_pytorch_tanh", Activation::GeluTanh},
    {"gelu_fast", Activation::GeluTanh}, {"relu", Activation::Relu}};

std::optional<Activation> graphc::importer::parseActivation(llvm::StringRef name) {
  for (const auto &[known, activation] : kActivations)
    if (name == llvm::StringRef(known))
      return activation;
  return std::nullopt;
}

Activation graphc::importer::readActivation(Config &config, llvm::StringRef key, llvm::StringRef fallback) {
  const std::string name = config.text(key, fallback);
  const std::optional<Activation> activation = parseActivation(name);
  if (!activation && !name.empty()) { // an empty name was reported
    std::vector<std::string_view> names;
    for (const auto &[known, unused] : kActivations)
      names.push_back(known);
    config.error(key) << "key '" << key << "' must be one of " << join(names) << ", got '" << name << "'";
  }
  return activation.value_or(Activation::Silu);
}
