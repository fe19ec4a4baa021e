// A model: an executable, its weights, and the ledger of where they live.
#include "Runtime/ModelParts.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

Model::Model(std::unique_ptr<const Parts> parts) : parts(std::move(parts)) {}
Model::~Model() = default;

absl::StatusOr<std::shared_ptr<const Model>>
Model::open(std::shared_ptr<const Executable> executable, const std::string &folder) {
  if (!executable)
    return invalidArgument("model must have an executable, got none");
  absl::StatusOr<Weights> weights = Weights::open(executable->program(), folder);
  if (!weights.ok())
    return weights.status();
  auto parts = std::make_unique<Parts>();
  parts->executable = std::move(executable);
  parts->weights = *std::move(weights);
  parts->folder = folder;
  return std::shared_ptr<const Model>(new Model(std::move(parts)));
}

const Executable &Model::executable() const { return *parts->executable; }
const std::vector<Residency> &Model::residency() const { return parts->weights.residency(); }

absl::StatusOr<const Tokenizer *> Model::Parts::tokenizer() const {
  std::call_once(tokenizerRead, [&] { theTokenizer = Tokenizer::load(folder + "/tokenizer.json"); });
  if (!theTokenizer.ok())
    return theTokenizer.status();
  return theTokenizer->get();
}

absl::StatusOr<std::vector<int32_t>> Model::encode(std::string_view text,
                                                   bool addSpecialTokens) const {
  absl::StatusOr<const Tokenizer *> tokenizer = parts->tokenizer();
  if (!tokenizer.ok())
    return tokenizer.status();
  return (*tokenizer)->encode(text, addSpecialTokens);
}

absl::StatusOr<std::string> Model::decode(std::span<const int32_t> ids) const {
  absl::StatusOr<const Tokenizer *> tokenizer = parts->tokenizer();
  if (!tokenizer.ok())
    return tokenizer.status();
  return (*tokenizer)->decode(ids, /*skipSpecialTokens=*/true);
}

std::string Model::residencyText() const {
  constexpr std::string_view names[] = {"in place", "copied", "converted"};
  size_t width = 0;
  for (const Residency &entry : residency())
    width = std::max(width, entry.parameter.size());
  uint64_t totals[3] = {};
  std::string text;
  for (const Residency &entry : residency()) {
    totals[size_t(entry.state)] += entry.bytes;
    std::string line = concat(entry.parameter, std::string(width - entry.parameter.size() + 2, ' '),
                              names[size_t(entry.state)], " ", entry.bytes);
    text += line + (entry.why.empty() ? "\n" : concat("  ", entry.why, "\n"));
  }
  for (size_t state = 0; state < 3; ++state)
    text += concat(state ? ", " : "bytes: ", names[state], " ", totals[state]);
  return text + "\n";
}

} // namespace graphc
