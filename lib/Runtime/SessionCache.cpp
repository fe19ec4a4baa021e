// What a session does with its cache between forwards: emptying and rewinding
// sequences, saving and loading. Rows are moved as they are, of whatever dtype.
#include "Runtime/ModelParts.h"
#include "Runtime/SavedCache.h"
#include "Runtime/SessionState.h"
#include "Support/File.h"
#include "Support/MappedFile.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace graphc {

using Kind = Binding::Kind;

namespace {
/// FNV-1a: tells models apart by chance, not against intent.
class Fingerprint {
public:
  void add(std::string_view bytes) {
    for (const char byte : bytes)
      hash = (hash ^ uint8_t(byte)) * 0x100000001b3;
  }
  std::string text() const {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return digits;
  }

private:
  uint64_t hash = 0xcbf29ce484222325;
};

/// What rows depend on: model, policy, parameters with some bytes of each, ropes.
/// Not target, outputs, workspace or cache: rows saved by one program are rows of
/// another that differs in those; the cache's own layout is compared by itself.
std::string modelFingerprint(const Program &program, const Weights &weights) {
  constexpr uint64_t kSample = 64;
  Program kept;
  kept.model = program.model;
  kept.policy = program.policy;
  Fingerprint fingerprint;
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    const Binding &binding = program.bindings[i];
    if (binding.kind != Kind::Parameter && binding.kind != Kind::Rope)
      continue;
    kept.bindings.push_back(binding);
    const auto *data = reinterpret_cast<const char *>(weights.at(i));
    if (!data)
      continue;
    const uint64_t bytes = *byteSize(program, binding, {});
    const uint64_t sample = std::min(bytes, kSample);
    fingerprint.add({data, sample});
    fingerprint.add({data + bytes / 2 - sample / 2, sample});
    fingerprint.add({data + bytes - sample, sample});
  }
  fingerprint.add(programText(kept));
  return fingerprint.text();
}

absl::Status refused(const std::string &path, std::string_view what, const std::string &expected,
                     const std::string &found, std::string_view remedy) {
  return absl::FailedPreconditionError(
      concat(path, ": ", what, " must be ", expected, ", got ", found, remedy));
}

std::string describe(const SavedSide &side) {
  return concat(side.heads, " heads of ", side.rowElements, " ", info(side.dtype).name,
                side.window ? concat(" in a window of ", side.window) : "");
}

/// The first reason why `saved` cannot take the place of `own`.
absl::Status checkSaved(const SavedCache &saved, const SavedCache &own, int64_t sourceCapacity, const Program &program,
                        const std::string &path) {
  if (saved.sides.size() != own.sides.size())
    return refused(path, "cache", concat(own.sides.size(), " sides of blocks"), concat(saved.sides.size()), "");
  for (size_t i = 0; i < own.sides.size(); ++i) {
    const SavedSide &expected = own.sides[i], &found = saved.sides[i];
    if (found.block != expected.block || found.name != expected.name)
      return refused(path, concat("side ", i, " of the cache"), concat(expected.name, " of block ", expected.block),
                     concat(found.name, " of block ", found.block), "");
    if (!(found == expected))
      return refused(path, concat(expected.name, " of block ", expected.block), describe(expected), describe(found),
                     found.dtype == expected.dtype ? "" : "; compile with the pin that the cache was saved with");
  }
  if (saved.model != own.model)
    return refused(path, "model", own.model, saved.model, "; weights or policy differ from those that made the cache");
  if (saved.lengths.size() != own.lengths.size())
    return refused(path, "sequences", concat(own.lengths.size()), concat(saved.lengths.size()),
                   "; make a session of that batch");
  const int32_t longest = saved.lengths.empty() ? 0 : *std::ranges::max_element(saved.lengths);
  if (longest > own.capacity)
    return refused(path, "sequences", concat("within the session's capacity of ", own.capacity, " tokens"),
                   concat(longest), "; make a session of a larger capacity");
  const int32_t longestSource = saved.sources.empty() ? 0 : *std::ranges::max_element(saved.sources);
  if (longestSource > sourceCapacity)
    return refused(path, "sources", concat("within the session's source capacity of ", sourceCapacity, " tokens"),
                   concat(longestSource), "; make a session of a larger source capacity");
  for (const Binding &binding : program.bindings)
    if (binding.kind == Kind::Rope && dependsOnSessionLength(binding.rope) && saved.capacity != own.capacity)
      return refused(path, "capacity", concat(own.capacity), concat(saved.capacity),
                     ", since the model's rope depends on it");
  for (int32_t id : saved.pending)
    if (id >= program.model.vocabSize)
      return refused(path, "tokens", concat("below ", program.model.vocabSize), concat(id), "");
  return absl::OkStatus();
}
} // namespace

absl::StatusOr<SavedCache> Session::State::describeCache() const {
  if (!carries.empty())
    return absl::FailedPreconditionError("cache must be pinned to be saved or loaded, got seed mode's tensors");
  absl::StatusOr<std::vector<SavedSide>> sides = savedSides(program);
  if (!sides.ok())
    return sides.status();
  SavedCache cache{modelFingerprint(program, model->parts->weights), options.capacity,
                   {lengths, lengths + options.batch}, pending, {}, *std::move(sides)};
  if (sourceLengths)
    cache.sources.assign(sourceLengths, sourceLengths + options.batch);
  return cache;
}

/// The memory of the rows of `saved`, in the file's order.
std::vector<std::span<std::byte>> Session::State::rowsOf(const SavedCache &saved) const {
  std::vector<std::span<std::byte>> pieces;
  size_t next = 0;
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    if (program.bindings[i].kind != Kind::Cache)
      continue;
    const SavedSide &side = saved.sides[next++];
    const int64_t rows = dimValue(program, program.bindings[i].dims[2], dims); // of the full slot or the ring
    auto *memory = static_cast<std::byte *>(pointers[i]);
    const std::vector<int32_t> &ends = saved.lengthsOf(side);
    for (size_t s = 0; s < ends.size(); ++s)
      for (int64_t h = 0; h < side.heads; ++h) {
        std::byte *head = memory + uint64_t((int64_t(s) * side.heads + h) * rows) * side.rowBytes();
        for (int64_t at = side.firstPosition(ends[s]); at < ends[s];) {
          const int64_t row = at % rows, count = std::min<int64_t>(ends[s] - at, rows - row);
          pieces.push_back({head + uint64_t(row) * side.rowBytes(), uint64_t(count) * side.rowBytes()});
          at += count;
        }
      }
  }
  return pieces;
}

/// The shortest length above 0 that `sequence` can be rewound to: that with which
/// the next token's window is still in every ring.
int64_t Session::State::shortestRewind(int64_t sequence) const {
  int64_t shortest = 1;
  for (const Binding &binding : program.bindings) {
    const std::optional<int64_t> window = binding.kind == Kind::Cache ? windowOf(binding.dims[2].symbol) : std::nullopt;
    if (!window)
      continue;
    const int64_t rows = dimValue(program, binding.dims[2], dims);
    const int64_t first = std::max({int64_t(0), reached[sequence] - rows, loaded[sequence] - *window});
    if (first > 0) // a token at position p sees p - window + 1 on
      shortest = std::max(shortest, first + *window - 1);
  }
  return shortest;
}

absl::Status Session::rewind(int64_t sequence, int64_t length) {
  if (sequence < 0 || sequence >= state->options.batch)
    return invalidArgument("sequence must be from 0 to ", state->options.batch - 1, ", got ", sequence);
  const int64_t now = state->lengths[sequence];
  if (length < 0 || length > now)
    return invalidArgument("length must be from 0 to the sequence's ", now, " tokens, got ", length);
  if (length == now)
    return absl::OkStatus();
  if (!state->carries.empty()) {
    if (length > 0)
      return absl::FailedPreconditionError(concat("sequences in seed mode can be rewound to 0 only, got ", length));
    state->pending[sequence] = -1;
    return state->resetSeed();
  }
  const int64_t shortest = state->shortestRewind(sequence);
  if (length > 0 && length < shortest)
    return absl::OutOfRangeError(concat("sequence ", sequence, " can be rewound to ", shortest, " to ", now,
                                        " tokens or to 0, since rings keep no older rows, got ", length));
  state->lengths[sequence] = int32_t(length);
  state->pending[sequence] = -1;
  if (length == 0)
    state->reached[sequence] = state->loaded[sequence] = 0;
  return absl::OkStatus();
}

absl::Status Session::reset(int64_t sequence) { return rewind(sequence, 0); }

absl::Status Session::saveCache(const std::string &path) const {
  absl::StatusOr<SavedCache> saved = state->describeCache();
  if (!saved.ok())
    return saved.status();
  const std::string header = saved->header();
  std::vector<std::string_view> chunks{header};
  for (std::span<const std::byte> piece : state->rowsOf(*saved))
    chunks.push_back({reinterpret_cast<const char *>(piece.data()), piece.size()});
  return writeFileAtomically(path, chunks);
}

absl::Status Session::loadCache(const std::string &path) {
  absl::StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  const std::string_view bytes(reinterpret_cast<const char *>(file->bytes().data()), file->bytes().size());
  absl::StatusOr<SavedCache> saved = parseSavedCache(bytes, path);
  if (!saved.ok())
    return saved.status();
  absl::StatusOr<SavedCache> own = state->describeCache();
  if (!own.ok())
    return own.status();
  if (absl::Status status = checkSaved(*saved, *own, state->options.sourceCapacity, state->program, path); !status.ok())
    return status;
  // Nothing fails from here on.
  const std::byte *from = file->bytes().data() + file->bytes().size() - saved->rowBytes();
  for (std::span<std::byte> piece : state->rowsOf(*saved)) {
    std::memcpy(piece.data(), from, piece.size());
    from += piece.size();
  }
  std::ranges::copy(saved->lengths, state->lengths);
  state->reached = state->loaded = saved->lengths;
  state->pending = saved->pending;
  std::ranges::copy(saved->sources, state->sourceLengths);
  return absl::OkStatus();
}

absl::StatusOr<SavedLengths> Session::savedLengths(const std::string &path) {
  absl::StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  absl::StatusOr<SavedCache> saved =
      parseSavedCache({reinterpret_cast<const char *>(file->bytes().data()), file->bytes().size()}, path);
  if (!saved.ok())
    return saved.status();
  return SavedLengths{saved->lengths, saved->sources};
}

} // namespace graphc
