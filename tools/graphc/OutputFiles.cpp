#include "OutputFiles.h"

#include "Support/Message.h"
#include "Support/Program.h"

#include <algorithm>

namespace graphc {

absl::Status writeLogits(const std::string &path, const LogitsView &logits, const Prompts &prompts) {
  const int64_t width = longest(prompts), vocab = logits.vocab;
  std::vector<float> padded(prompts.size() * width * vocab);
  for (int64_t i = 0, row = 0; i < int64_t(prompts.size()); row += prompts[i++].size())
    std::copy_n(logits.data + row * vocab, prompts[i].size() * vocab, padded.begin() + i * width * vocab);
  return writeFloats(path, {int64_t(prompts.size()), width, vocab}, padded);
}

/// The outputs NAME.0, NAME.1, ..: one a layer. A name without a part of the model
/// is the decoder's, if there are two.
static absl::StatusOr<std::vector<OutputView>> layersOf(const Session &session, const std::string &name) {
  std::vector<OutputView> views;
  const bool isDecoders = name == "hidden_states" || name == "attentions";
  const std::string_view owner = session.model().executable().program().hasEncoder() && isDecoders ? "decoder_" : "";
  for (;;) {
    absl::StatusOr<OutputView> output = session.output(concat(owner, name, ".", views.size()));
    if (output.ok())
      views.push_back(*output);
    else if (!views.empty())
      return views;
    else
      return absl::FailedPreconditionError(concat("model must be compiled with --outputs=logits,", name, ": ", output.status().message()));
  }
}

absl::Status writeOutputFile(const OutputFile &file, const Session &session, const Prompts &prompts, const Prompts &sources) {
  absl::StatusOr<std::vector<OutputView>> views = layersOf(session, file.output);
  if (!views.ok())
    return views.status();
  const bool ofEncoder = file.output.starts_with("encoder_"), isCross = file.output == "cross_attentions";
  const bool isWeights = file.output.ends_with("attentions");
  const Prompts &sequences = ofEncoder ? sources : prompts;
  const int64_t batch = sequences.size(), width = longest(sequences), layers = views->size();
  // A session has weights for each key that its caches have room for; a file has
  // them for the keys that are there. States are columns that are all there.
  const int64_t room = !isWeights             ? views->front().width
                       : ofEncoder || isCross ? session.options().sourceCapacity
                                              : session.options().capacity;
  const int64_t kept = !isWeights ? room : longest(ofEncoder || isCross ? sources : prompts);
  const int64_t heads = views->front().width / room;
  std::vector<float> padded(layers * batch * heads * width * kept);
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t i = 0, row = 0; i < batch; row += sequences[i++].size())
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < int64_t(sequences[i].size()); ++t)
          for (int64_t j = 0; j < kept; ++j)
            padded[(((layer * batch + i) * heads + h) * width + t) * kept + j] = (*views)[layer].at(row + t, h * room + j);
  std::vector<int64_t> shape = {layers, batch, width, kept};
  if (isWeights)
    shape.insert(shape.begin() + 2, heads);
  return writeFloats(file.path, std::move(shape), padded);
}

} // namespace graphc
