// The memory of a session, made once: what MemoryPlan counts, at the addresses
// that every call of the session passes to the program.
#include "Runtime/Code.h"
#include "Runtime/ModelParts.h"
#include "Runtime/SessionState.h"

#include <algorithm>
#include <map>

namespace graphc {

using Kind = Binding::Kind;

namespace {
void ignoreKernel(void *, int64_t) {}

/// Where everything lies in the two mappings of a session.
struct Places {
  Layout cache, other;
  std::vector<uint64_t> bindings; ///< (bindings) offsets; none for inputs and parameters.
  uint64_t ids, positions, starts, lengths, rowIds, sourceLengths = 0, widenedLogits = 0;
};

Places placeAll(const Program &program, const Extents &call, std::span<const int64_t> dims,
                std::span<const int64_t> resultDims) {
  Places places;
  auto placeInput = [&](int64_t rows) {
    return places.other.place(uint64_t(rows) * sizeof(int32_t));
  };
  places.ids = placeInput(call.tokens);
  places.positions = placeInput(call.tokens);
  places.starts = placeInput(call.batch + 1);
  places.lengths = placeInput(call.batch);
  places.rowIds = placeInput(call.rows);
  if (program.hasEncoder())
    places.sourceLengths = placeInput(call.batch);
  std::map<int64_t, uint64_t> slotBytes, slots;
  for (const Binding &binding : program.bindings)
    if (binding.kind == Kind::Buffer) {
      uint64_t &bytes = slotBytes[binding.slot];
      bytes = std::max(bytes, *byteSize(program, binding, dims));
    }
  for (auto [slot, bytes] : slotBytes)
    slots[slot] = places.other.place(bytes);
  for (const Binding &binding : program.bindings) {
    uint64_t &offset = places.bindings.emplace_back(0);
    if (binding.kind == Kind::Cache || binding.kind == Kind::Carry)
      offset = places.cache.place(*byteSize(program, binding, dims));
    else if (binding.kind == Kind::Rope)
      offset = places.other.place(*byteSize(program, binding, dims));
    else if (binding.kind == Kind::Buffer)
      offset = slots[binding.slot];
    else if (binding.kind == Kind::Output)
      offset = places.other.place(*byteSize(program, binding, resultDims));
    if (isWidenedLogits(binding))
      places.widenedLogits = places.other.place(*byteSize(program, binding, resultDims) /
                                                byteSize(binding.dtype) * sizeof(float));
  }
  return places;
}
} // namespace

absl::Status Session::State::allocate(PlanRequest request) {
  absl::StatusOr<MemoryPlan> plan = planMemory(program, request); // so no size overflows below
  if (!plan.ok())
    return plan.status();
  const Extents call = *largestCall(program, request);
  options = {.batch = request.batch,
             .capacity = request.capacity,
             .sourceCapacity = request.sourceCapacity,
             .chunk = request.chunk,
             .threads = request.threads,
             .logitRows = request.logitRows,
             .stateRows = request.stateRows};
  cacheBytes = plan->cache;
  chunk = std::min(request.chunk, request.batch * request.capacity);
  sourceTokens = call.tokens;
  dims = symbolValues(program, call);
  Extents results = call; // outputs hold all calls of one forward
  results.rows = request.logitRows;
  results.tokens = request.stateRows;
  const std::vector<int64_t> resultDims = symbolValues(program, results);
  const Places places = placeAll(program, call, dims, resultDims);

  absl::StatusOr<Memory> memory = Memory::reserve(places.cache.size(), "cache");
  if (!memory.ok())
    return memory.status();
  cache = *std::move(memory);
  memory = Memory::reserve(places.other.size(), "workspace");
  if (!memory.ok())
    return memory.status();
  other = *std::move(memory);
  allocatedBytes = places.cache.size() + places.other.size();

  auto inputAt = [&](uint64_t offset) { return reinterpret_cast<int32_t *>(other.data() + offset); };
  ids = inputAt(places.ids);
  positions = inputAt(places.positions);
  starts = inputAt(places.starts);
  lengths = inputAt(places.lengths);
  rowIds = inputAt(places.rowIds);
  pending.assign(size_t(request.batch), -1);
  reached.assign(size_t(request.batch), 0);
  loaded.assign(size_t(request.batch), 0);
  if (program.hasEncoder())
    sourceLengths = inputAt(places.sourceLengths);
  hook = {ignoreKernel, nullptr};
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    pointers.push_back(pointerOf(i, places.bindings[i]));
    if (program.bindings[i].kind == Kind::Output)
      addOutput(i, *byteSize(program, program.bindings[i], resultDims), results);
    if (isWidenedLogits(program.bindings[i]))
      widenedLogits = reinterpret_cast<float *>(other.data() + places.widenedLogits);
  }
  for (size_t i = 0; i < dims.size(); ++i)
    if (program.symbols[i] == "threads")
      threadsDim = &dims[i];
    else if (program.symbols[i] == "tokens")
      tokensDim = &dims[i];
    else if (program.symbols[i] == "rows")
      rowsDim = &dims[i];
  fillRopes();
  findCarries();
  return absl::OkStatus();
}

uint64_t Session::State::pageEnds() const {
  constexpr uint64_t kPage = 4096;
  return cache.size() + other.size() - allocatedBytes + model->parts->weights.pageEnds() + kPage;
}

void *Session::State::pointerOf(size_t index, uint64_t offset) {
  const Binding &binding = program.bindings[index];
  switch (binding.kind) {
  case Kind::Input:
    return binding.name == "ids"         ? ids
           : binding.name == "positions" ? positions
           : binding.name == "starts"    ? starts
           : binding.name == "lengths"   ? lengths
           : binding.name == "row_ids"   ? rowIds
                                         : sourceLengths;
  case Kind::Parameter: // the entries only read it
    return const_cast<std::byte *>(model->parts->weights.at(index));
  case Kind::Cache:
  case Kind::Carry:
    return cache.data() + offset;
  case Kind::Rope:
  case Kind::Buffer:
  case Kind::Output:
    return other.data() + offset;
  case Kind::Trace:
    return &hook;
  }
  return nullptr;
}

void Session::State::addOutput(size_t index, uint64_t bytes, const Extents &results) {
  const Binding &binding = program.bindings[index];
  const bool ofTokens = binding.dims[0].symbol == "tokens";
  const uint64_t rowBytes = bytes / uint64_t(ofTokens ? results.tokens : results.rows);
  const bool ofEncoder = binding.name.starts_with("encoder_");
  outputs.push_back({index, static_cast<std::byte *>(pointers[index]), rowBytes, ofTokens, ofEncoder});
  (ofEncoder ? hasEncoderOutputs : hasTokenOutputs) |= ofTokens;
  if (binding.name == "logits")
    logits = outputs.size() - 1;
}

/// Each rope's cos and sin are made together; a table without its other half
/// needs a place for that one.
void Session::State::fillRopes() {
  const int64_t capacity = options.capacity;
  std::vector<bool> filled(program.bindings.size());
  for (size_t i = 0; i < program.bindings.size(); ++i) {
    const Binding &binding = program.bindings[i];
    if (binding.kind != Kind::Rope || filled[i])
      continue;
    const size_t elements = size_t(capacity) * size_t(binding.rope.dim / 2);
    std::vector<float> unusedHalf;
    std::span<float> halves[2]; // cos, sin
    halves[binding.name == "sin"] = {static_cast<float *>(pointers[i]), elements};
    std::span<float> &missing = halves[binding.name != "sin"];
    for (size_t j = i + 1; j < program.bindings.size() && missing.empty(); ++j) {
      const Binding &partner = program.bindings[j];
      if (partner.kind == Kind::Rope && !filled[j] && partner.rope == binding.rope &&
          partner.name != binding.name) {
        missing = {static_cast<float *>(pointers[j]), elements};
        filled[j] = true;
      }
    }
    if (missing.empty()) {
      unusedHalf.resize(elements);
      missing = unusedHalf;
    }
    fillRopeTables(binding.rope, capacity, capacity, halves[0], halves[1]);
  }
}

} // namespace graphc
