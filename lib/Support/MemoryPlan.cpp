// The same functions size the plan and, in the runtime, the memory itself.
#include "Support/MemoryPlan.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

namespace graphc {

using Kind = Binding::Kind;

namespace {
constexpr uint64_t kMaxTotal = uint64_t(1) << 56;

absl::Status checkPositive(std::string_view name, int64_t value, int64_t most) {
  if (value >= 1 && value <= most)
    return absl::OkStatus();
  return invalidArgument(name, " must be from 1 to ", most, ", got ", value);
}

/// What makes two parameters the same memory: the tensor and what is done to it.
auto identity(const Binding &binding) {
  return std::tuple(std::string_view(binding.source), binding.dtype, binding.transpose,
                    binding.roundings);
}

std::string withUnit(uint64_t bytes) {
  char text[64];
  if (bytes < 1024)
    return "";
  const char *units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = double(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit)
    value /= 1024;
  std::snprintf(text, sizeof text, "  (%.1f %s)", value, units[unit]);
  return text;
}

std::string line(std::string_view name, uint64_t bytes) {
  char text[96];
  std::snprintf(text, sizeof text, "%-20.*s%16llu%s\n", int(name.size()), name.data(),
                static_cast<unsigned long long>(bytes), withUnit(bytes).c_str());
  return text;
}
} // namespace

bool isWidenedLogits(const Binding &binding) {
  return binding.kind == Kind::Output && binding.name == "logits" && binding.dtype != DType::F32;
}

absl::StatusOr<Extents> largestCall(const Program &program, PlanRequest &request) {
  constexpr int64_t kMost = (int64_t(1) << 31) - 1; // rows are i32 in calls
  if (request.capacity == 0)
    request.capacity = std::min(program.model.maxLength, kDefaultCapacity);
  if (request.logitRows == 0)
    request.logitRows = request.batch;
  if (request.stateRows == 0)
    request.stateRows = std::max(request.chunk, request.batch);
  const std::tuple<std::string_view, int64_t, int64_t> bounds[] = {
      {"batch", request.batch, 1 << 20},
      {"capacity", request.capacity, program.model.isExtendable ? kMost : program.model.maxLength},
      {"chunk", request.chunk, kMost},       {"threads", request.threads, 1 << 10},
      {"logit rows", request.logitRows, kMost}, {"state rows", request.stateRows, kMost}};
  for (auto [name, value, most] : bounds)
    if (absl::Status status = checkPositive(name, value, most); !status.ok())
      return status;
  Extents extents;
  extents.threads = request.threads;
  extents.batch = request.batch;
  extents.capacity = request.capacity;
  extents.chunk = request.chunk;
  extents.tokens = std::min(request.chunk, request.batch * request.capacity);
  extents.rows = std::min(extents.tokens, request.logitRows);
  return extents;
}

absl::StatusOr<MemoryPlan> planMemory(const Program &program, PlanRequest request) {
  absl::StatusOr<Extents> call = largestCall(program, request);
  if (!call.ok())
    return call.status();
  const std::vector<int64_t> values = symbolValues(program, *call);
  Extents results = *call; // outputs hold all calls of one forward
  results.rows = request.logitRows;
  results.tokens = request.stateRows;
  const std::vector<int64_t> resultValues = symbolValues(program, results);

  MemoryPlan plan;
  plan.request = request;
  std::map<int64_t, uint64_t> slots;
  std::map<int64_t, MemoryPlan::Block> blocks;
  std::set<decltype(identity(program.bindings[0]))> weights;
  auto pad = [&](uint64_t bytes) { plan.alignment += -bytes % kAlignment; };
  for (const Binding &binding : program.bindings) {
    absl::StatusOr<uint64_t> bytes =
        byteSize(program, binding, binding.kind == Kind::Output ? resultValues : values);
    if (!bytes.ok())
      return bytes.status();
    if (plan.total() > kMaxTotal) // here too, so that no sum wraps around
      return absl::OutOfRangeError("memory need must be at most 2^56 bytes, got more");
    switch (binding.kind) {
    case Kind::Parameter:
      if (!weights.insert(identity(binding)).second)
        break;
      (binding.isInPlace() ? plan.weightsMapped : plan.weightsConverted) += *bytes;
      if (!binding.isInPlace())
        pad(*bytes);
      break;
    case Kind::Cache: {
      MemoryPlan::Block &block = blocks[binding.block];
      block.block = binding.block;
      block.rows = dimValue(program, binding.dims[2], values);
      if (binding.isScales()) {
        block.scaleBytes += *bytes;
      } else {
        (binding.isOfKeys() ? block.keys : block.values) = binding.dtype;
        (binding.isOfKeys() ? block.keyBytes : block.valueBytes) = *bytes;
      }
      plan.cache += *bytes;
      pad(*bytes);
      break;
    }
    case Kind::Buffer: {
      uint64_t &slot = slots[binding.slot];
      slot = std::max(slot, *bytes);
      break;
    }
    case Kind::Rope:
      plan.ropeTables += *bytes;
      pad(*bytes);
      break;
    case Kind::Output:
      plan.outputs += *bytes;
      pad(*bytes);
      if (isWidenedLogits(binding)) {
        const uint64_t widened = *bytes / byteSize(binding.dtype) * sizeof(float);
        plan.outputs += widened;
        pad(widened);
      }
      break;
    case Kind::Input: // a session keeps all of them, below
    case Kind::Trace:
      break;
    }
  }
  auto addInput = [&](uint64_t &use, int64_t elements) {
    use += uint64_t(elements) * sizeof(int32_t);
    pad(uint64_t(elements) * sizeof(int32_t));
  };
  addInput(plan.cache, call->batch); // lengths
  for (int64_t elements : {call->tokens, call->tokens, call->batch + 1, call->rows})
    addInput(plan.inputs, elements);
  for (const auto &[slot, bytes] : slots) {
    plan.workspace += bytes;
    pad(bytes);
  }
  for (const auto &[index, block] : blocks)
    plan.blocks.push_back(block);
  if (plan.total() > kMaxTotal)
    return absl::OutOfRangeError("memory need must be at most 2^56 bytes, got more");
  return plan;
}

absl::Status checkBudget(const Program &program, const PlanRequest &request, uint64_t budget) {
  absl::StatusOr<MemoryPlan> plan = planMemory(program, request);
  if (!plan.ok())
    return plan.status();
  if (plan->total() <= budget)
    return absl::OkStatus();
  // The need grows with the capacity, so the largest that fits is found by halving.
  int64_t fits = 0, tooLarge = plan->request.capacity;
  while (tooLarge - fits > 1) {
    PlanRequest smaller = request;
    smaller.capacity = fits + (tooLarge - fits) / 2;
    absl::StatusOr<MemoryPlan> tried = planMemory(program, smaller);
    (tried.ok() && tried->total() <= budget ? fits : tooLarge) = smaller.capacity;
  }
  std::string message = concat("memory need must be within the budget of ", budget,
                               " bytes, got ", plan->total(), " at capacity ",
                               plan->request.capacity);
  message += fits ? concat("; the largest capacity that fits is ", fits)
                  : concat("; no capacity fits, lower batch or chunk");
  return absl::ResourceExhaustedError(message);
}

std::string MemoryPlan::text() const {
  std::string out = concat("batch ", request.batch, ", capacity ", request.capacity, ", chunk ",
                           request.chunk, ", threads ", request.threads, "; bytes:\n");
  out += line("weights in place", weightsMapped);
  out += line("weights converted", weightsConverted);
  out += line("cache", cache);
  for (size_t first = 0, next; first < blocks.size(); first = next) {
    const Block &block = blocks[first]; // equal neighbours share a line
    for (next = first + 1; next < blocks.size(); ++next) {
      Block same = blocks[next];
      same.block = block.block;
      if (same != block)
        break;
    }
    out += next - first == 1 ? concat("  block ", block.block)
                             : concat("  blocks ", block.block, "-", blocks[next - 1].block);
    out += concat(": ", block.rows, " rows, keys ", info(block.keys).name, " ", block.keyBytes,
                  ", values ", info(block.values).name, " ", block.valueBytes,
                  block.scaleBytes ? concat(", scales ", block.scaleBytes) : "",
                  next - first == 1 ? "" : " each", "\n");
  }
  out += line("workspace", workspace);
  out += line("rope tables", ropeTables);
  out += line("inputs", inputs);
  out += line("outputs", outputs);
  out += line("alignment", alignment);
  out += line("total", total());
  return out;
}

nlohmann::json MemoryPlan::json() const {
  nlohmann::json blockList = nlohmann::json::array();
  for (const Block &block : blocks) {
    blockList.push_back({{"block", block.block},
                         {"rows", block.rows},
                         {"keys", {{"dtype", std::string(info(block.keys).name)}, {"bytes", block.keyBytes}}},
                         {"values", {{"dtype", std::string(info(block.values).name)}, {"bytes", block.valueBytes}}}});
    if (block.scaleBytes)
      blockList.back()["scales"] = {{"dtype", "f32"}, {"bytes", block.scaleBytes}};
  }
  return {{"batch", request.batch},
          {"capacity", request.capacity},
          {"chunk", request.chunk},
          {"threads", request.threads},
          {"weights_in_place", weightsMapped},
          {"weights_converted", weightsConverted},
          {"cache", cache},
          {"blocks", std::move(blockList)},
          {"workspace", workspace},
          {"rope_tables", ropeTables},
          {"inputs", inputs},
          {"outputs", outputs},
          {"alignment", alignment},
          {"total", total()}};
}

} // namespace graphc
