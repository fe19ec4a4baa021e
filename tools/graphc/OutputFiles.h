// Outputs of a session as .npy files. A session packs sequences end to end; a file
// has a batch dimension, and zeros behind the shorter ones.
#pragma once

#include "GenerationFlags.h"

namespace graphc {

using Prompts = std::vector<std::vector<int32_t>>;

/// Writes the logits of all tokens of `prompts`: (batch, tokens, vocab).
absl::Status writeLogits(const std::string &path, const LogitsView &logits, const Prompts &prompts);

/// Writes the output `file.output` of the session's last forward or encode: states
/// (layers + 1, batch, tokens, hidden) or weights (layers, batch, heads, tokens,
/// keys). The encoder's tokens are those of `sources`, the others those of
/// `prompts`; so are the keys, except of cross attentions, which are the sources'.
/// FailedPrecondition if the program was compiled without it.
absl::Status writeOutputFile(const OutputFile &file, const Session &session, const Prompts &prompts, const Prompts &sources);

} // namespace graphc
