// Seed mode in a session: the cache is carried from call to call, as the tensors
// that the program returns. Two of each exist, and they change places after a
// call. One offset serves all sequences, so they must stay equally long.
#include "Runtime/SessionState.h"
#include "Support/Message.h"

#include <cstring>

namespace graphc {

using Kind = Binding::Kind;

void Session::State::findCarries() {
  for (size_t before = 0; before < program.bindings.size(); ++before)
    for (size_t after = 0; after < program.bindings.size(); ++after) {
      const Binding &first = program.bindings[before], &second = program.bindings[after];
      if (first.kind == Kind::Carry && second.kind == Kind::Carry && first.carry == second.carry &&
          first.name == "before" && second.name == "after")
        carries.push_back({before, after});
    }
}

absl::Status Session::State::checkSeed(std::span<const NewTokens> tokens) const {
  if (options.batch == 1)
    return absl::OkStatus();
  if (int64_t(tokens.size()) != options.batch)
    return invalidArgument("seed mode must be given every one of ", options.batch, " sequences in each forward, got ",
                           tokens.size(), "; run them one by one, or compile with --cache-mode=pinned");
  for (const NewTokens &entry : tokens)
    if (entry.ids.size() != tokens[0].ids.size())
      return invalidArgument("seed mode must be given as many tokens of each sequence, got ", entry.ids.size(),
                             " of sequence ", entry.sequence, " after ", tokens[0].ids.size(),
                             "; run them one by one, or compile with --cache-mode=pinned");
  if (totalTokens > chunk)
    return invalidArgument("seed mode must run several sequences in one call of at most ", chunk, " tokens, got ",
                           totalTokens, "; make a session of a larger chunk");
  return absl::OkStatus();
}

absl::Status Session::State::resetSeed() {
  if (options.batch > 1)
    return invalidArgument("seed mode must empty all sequences together, got one of ", options.batch,
                           "; make a new session");
  for (const Carried &carried : carries) // what is written during a step need not be empty before it
    std::memset(pointers[carried.before], 0, *byteSize(program, program.bindings[carried.before], dims));
  lengths[0] = 0;
  return absl::OkStatus();
}

} // namespace graphc
