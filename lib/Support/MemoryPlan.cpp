// The same functions size the plan and, in the runtime, the memory itself.
#include "Support/MemoryPlan.h"
#include "Support/Message.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace graphc {

using Kind = Binding::Kind;

namespace {
constexpr uint64_t kMaxTotal = uint64_t(1) << 56;
constexpr int64_t kMostRows = (int64_t(1) << 31) - 1; // rows are i32 in calls

// What a model and a session keep on the heap, at most (a test measures it):
// of themselves; of a binding: pointers; of a parameter: its tensor's entry and
// its own in the ledger, in vectors that have grown to twice their size, and
// both names twice; of a sequence: three counters.
constexpr uint64_t kTables = 4096, kTablesOfBinding = 32, kTablesOfParameter = 640, kTablesOfSequence = 12;

absl::Status checkPositive(std::string_view name, int64_t value, int64_t most) {
  if (value >= 1 && value <= most)
    return absl::OkStatus();
  return invalidArgument(name, " must be from 1 to ", most, ", got ", value);
}

/// How formulas spell a dimension. Outputs hold the rows of a whole forward.
void addFactor(const Dim &dim, bool isOutput, uint64_t &coefficient, Formula::Factors &factors) {
  if (dim.isNumber()) {
    coefficient *= uint64_t(dim.offset);
    return;
  }
  std::string text = dim.symbol;
  if (const std::optional<int64_t> window = windowOf(dim.symbol))
    text = concat("ring(", *window, ")");
  else if (isOutput && (text == "tokens" || text == "rows"))
    text = text == "tokens" ? "state_rows" : "logit_rows";
  if (text == "cache_rows" && dim.offset == 0 && dim.multiple == 1) {
    factors.insert(factors.end(), {"batch", "capacity"});
    return;
  }
  if (text == "cache_rows")
    text = "batch * capacity";
  if (dim.offset)
    text = concat("(", text, " + ", dim.offset, ")");
  factors.push_back(dim.multiple == 1 ? text : concat("align(", text, ", ", dim.multiple, ")"));
}

Formula formulaOf(const Binding &binding) {
  uint64_t coefficient = byteSize(binding.dtype);
  Formula::Factors factors;
  for (const Dim &dim : binding.dims)
    addFactor(dim, binding.kind == Kind::Output, coefficient, factors);
  Formula formula;
  formula.add(coefficient, std::move(factors));
  return formula;
}

void addSymbols(MemoryPlan &plan, const Program &program, const Extents &call) {
  if (program.hasEncoder()) // which reads a source at once, but has no logits
    plan.symbols = {{"tokens", "max(min(chunk, batch * capacity), source)", call.tokens},
                    {"rows", "min(chunk, batch * capacity, logit_rows)", call.rows}};
  else
    plan.symbols = {{"tokens", "min(chunk, batch * capacity)", call.tokens}, {"rows", "min(tokens, logit_rows)", call.rows}};
  for (const std::string &symbol : program.symbols)
    if (const std::optional<int64_t> window = windowOf(symbol))
      plan.symbols.push_back({concat("ring(", *window, ")"),
                              concat("min(capacity, align(", *window, " + min(chunk, capacity) - 1, 64))"),
                              ringRows(*window, call.capacity, call.chunk)});
}

void addConversion(MemoryPlan &plan, const Binding &binding, uint64_t bytes) {
  const std::string why = conversionText(binding);
  auto found = std::find_if(plan.conversions.begin(), plan.conversions.end(),
                            [&](const MemoryPlan::Conversion &conversion) { return conversion.why == why; });
  if (found == plan.conversions.end()) {
    const bool isRepacked = binding.roundings.empty() && binding.dtype == binding.stored;
    found = plan.conversions.insert(found, {why, isRepacked, 0, 0});
  }
  ++found->tensors;
  found->bytes += bytes;
}

/// What makes two parameters the same memory: the tensor and what is done to it.
auto identity(const Binding &binding) {
  return std::tuple(std::string_view(binding.source), binding.dtype, binding.transpose,
                    binding.roundings);
}

} // namespace

bool isWidenedLogits(const Binding &binding) {
  return binding.kind == Kind::Output && binding.name == "logits" && binding.dtype != DType::F32;
}

absl::StatusOr<Extents> largestCall(const Program &program, PlanRequest &request) {
  if (request.capacity == 0)
    request.capacity = std::min(program.model.maxLength, kDefaultCapacity);
  if (!program.hasEncoder())
    request.sourceCapacity = 1;
  else if (request.sourceCapacity == 0)
    request.sourceCapacity = std::min(program.model.maxLength, kDefaultCapacity);
  if (request.logitRows == 0)
    request.logitRows = request.batch;
  if (request.stateRows == 0)
    request.stateRows = std::max({request.chunk, request.batch, request.sourceCapacity});
  const int64_t longest = program.model.isExtendable ? kMostRows : program.model.maxLength;
  const std::tuple<std::string_view, int64_t, int64_t> bounds[] = {
      {"batch", request.batch, 1 << 20},
      {"capacity", request.capacity, longest},
      {"source capacity", request.sourceCapacity, longest},
      {"chunk", request.chunk, kMostRows},       {"threads", request.threads, 1 << 10},
      {"logit rows", request.logitRows, kMostRows}, {"state rows", request.stateRows, kMostRows}};
  for (auto [name, value, most] : bounds)
    if (absl::Status status = checkPositive(name, value, most); !status.ok())
      return status;
  Extents extents;
  extents.threads = request.threads;
  extents.batch = request.batch;
  extents.capacity = request.capacity;
  extents.chunk = request.chunk;
  extents.source = request.sourceCapacity;
  extents.tokens = std::min(request.chunk, request.batch * request.capacity);
  extents.rows = std::min(extents.tokens, request.logitRows);
  if (program.hasEncoder()) // a source is read at once
    extents.tokens = std::max(extents.tokens, request.sourceCapacity);
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
  addSymbols(plan, program, *call);
  std::map<int64_t, MemoryPlan::Slot> slots;
  std::map<std::pair<bool, int64_t>, MemoryPlan::Block> blocks; // cross caches after the others
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
      if (binding.isInPlace()) {
        plan.weightsMapped += *bytes;
        ++plan.tensorsMapped;
        break;
      }
      plan.weightsConverted += *bytes;
      addConversion(plan, binding, *bytes);
      pad(*bytes);
      break;
    case Kind::Cache: {
      const bool isCross = binding.isOfCross();
      MemoryPlan::Block &block = blocks[{isCross, binding.block}];
      block.block = binding.block;
      block.cross = isCross;
      block.rows = dimValue(program, binding.dims[2], values);
      if (binding.isScales()) {
        block.scaleBytes += *bytes;
      } else {
        (binding.isOfKeys() ? block.keys : block.values) = binding.dtype;
        (binding.isOfKeys() ? block.keyBytes : block.valueBytes) = *bytes;
      }
      block.bytes.add(formulaOf(binding));
      plan.formulas.cache.add(formulaOf(binding));
      plan.cache += *bytes;
      pad(*bytes);
      break;
    }
    case Kind::Carry:
      plan.cache += *bytes;
      plan.carried += *bytes;
      plan.formulas.cache.add(formulaOf(binding));
      pad(*bytes);
      break;
    case Kind::Buffer: {
      MemoryPlan::Slot &slot = slots[binding.slot];
      slot.slot = binding.slot;
      slot.bytes = std::max(slot.bytes, *bytes);
      if (Formula formula = formulaOf(binding); std::find(slot.formulas.begin(), slot.formulas.end(), formula) == slot.formulas.end())
        slot.formulas.push_back(std::move(formula));
      break;
    }
    case Kind::Rope:
      plan.ropeTables += *bytes;
      plan.formulas.ropeTables.add(formulaOf(binding));
      pad(*bytes);
      break;
    case Kind::Output:
      plan.outputs += *bytes;
      plan.formulas.outputs.add(formulaOf(binding));
      pad(*bytes);
      if (isWidenedLogits(binding)) {
        const uint64_t widened = *bytes / byteSize(binding.dtype) * sizeof(float);
        plan.outputs += widened;
        Binding wide = binding;
        wide.dtype = DType::F32;
        plan.formulas.outputs.add(formulaOf(wide));
        pad(widened);
      }
      break;
    case Kind::Input: // a session keeps all of them, below
    case Kind::Trace:
      break;
    }
  }
  uint64_t constantTables = kTables;
  for (const Binding &binding : program.bindings)
    constantTables += kTablesOfBinding + (binding.kind == Kind::Parameter
                                              ? kTablesOfParameter + 2 * (binding.name.size() + binding.source.size()) : 0);
  plan.tables = constantTables + kTablesOfSequence * uint64_t(call->batch);
  plan.formulas.tables.add(constantTables, {});
  plan.formulas.tables.add(kTablesOfSequence, {"batch"});
  auto addInput = [&](uint64_t &use, int64_t elements) {
    use += uint64_t(elements) * sizeof(int32_t);
    pad(uint64_t(elements) * sizeof(int32_t));
  };
  addInput(plan.cache, call->batch); // lengths
  plan.formulas.cache.add(sizeof(int32_t), {"batch"});
  if (program.hasEncoder()) {
    addInput(plan.cache, call->batch); // of the sources
    plan.formulas.cache.add(sizeof(int32_t), {"batch"});
  }
  for (int64_t elements : {call->tokens, call->tokens, call->batch + 1, call->rows})
    addInput(plan.inputs, elements);
  plan.formulas.inputs.add(2 * sizeof(int32_t), {"tokens"});
  plan.formulas.inputs.add(sizeof(int32_t), {"(batch + 1)"});
  plan.formulas.inputs.add(sizeof(int32_t), {"rows"});
  for (auto &[index, slot] : slots) {
    plan.workspace += slot.bytes;
    pad(slot.bytes);
    for (const SlotUsers &users : program.slotUsers)
      if (users.slot == index)
        slot.kernels = users.kernels;
    plan.slots.push_back(std::move(slot));
  }
  plan.stackScratch = program.stack;
  for (const StackScratch &scratch : program.stack)
    plan.stack = std::max(plan.stack, uint64_t(scratch.bytes));
  plan.formulas.stack.add(plan.stack, {"threads"});
  plan.stack *= uint64_t(request.threads);
  for (const auto &[index, block] : blocks)
    plan.blocks.push_back(block);
  if (plan.total() > kMaxTotal)
    return absl::OutOfRangeError("memory need must be at most 2^56 bytes, got more");
  return plan;
}

absl::StatusOr<MemoryPlan> planMemory(const Program &program, PlanRequest request, uint64_t budget) {
  absl::StatusOr<MemoryPlan> plan = planMemory(program, request);
  if (plan.ok() && budget) {
    plan->budget = budget;
    plan->largestCapacity = largestCapacity(program, request, budget);
  }
  return plan;
}

int64_t largestCapacity(const Program &program, PlanRequest request, uint64_t budget) {
  // The need grows with the capacity, so the largest that fits is found by halving.
  int64_t fits = 0, tooLarge = (program.model.isExtendable ? kMostRows : program.model.maxLength) + 1;
  while (tooLarge - fits > 1) {
    request.capacity = fits + (tooLarge - fits) / 2;
    absl::StatusOr<MemoryPlan> tried = planMemory(program, request);
    (tried.ok() && tried->total() <= budget ? fits : tooLarge) = request.capacity;
  }
  return fits;
}

absl::Status checkBudget(const Program &program, const PlanRequest &request, uint64_t budget) {
  absl::StatusOr<MemoryPlan> plan = planMemory(program, request);
  if (!plan.ok())
    return plan.status();
  if (plan->total() <= budget)
    return absl::OkStatus();
  const int64_t fits = largestCapacity(program, request, budget);
  std::string message = concat("memory need must be within the budget of ", budget,
                               " bytes, got ", plan->total(), " at capacity ",
                               plan->request.capacity);
  message += fits ? concat("; the largest capacity that fits is ", fits)
                  : concat("; no capacity fits, lower batch or chunk");
  return absl::ResourceExhaustedError(message);
}

} // namespace graphc
