// One table says what each level stands for; its statements take their numbers
// from what the level's checker counted, so no number is written twice.
#include "Compiler/Certificate.h"

#include "Support/Message.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace graphc {
namespace {

struct Level {
  std::string_view name;
  std::string_view evidence; ///< "proved": for every run; "checked": on this code; "tested": on one run.
  std::vector<std::string_view> statements; ///< {fact} stands for its number.
};

const Level kLayer = {"layer", "proved",
    {"{slots} slots have a dtype of their own for keys and for values, {bytes-per-row} bytes a token",
     "{row-operands} operands with new rows have the slot's dtype when they are stored; no cast takes a cache",
     "{caches-in-place} caches come back as they went in: same memory, same type"}};
const Level kKernel = {"kernel", "proved",
    {"{slots} sides of slots are bound once each, to the same memory in all steps, in the address space of their dtype",
     "{updates} updates in place by {kernels} kernels, through {calls} calls; nothing else touches cache memory",
     "{buffers} buffers of the steps do not grow with the capacity"}};
const Level kVector = {"vector", "proved",
    {"{stores} stores in {functions} functions lie in [sequence, head, length + i, columns], i < new tokens",
     "{loads} loads and {prefetches} prefetches have the pinned dtype; no copy, cast, allocation or escape of cache memory",
     "{widenings} operations widen what was read, at most {widest-bytes} bytes at once",
     "{scratch-bytes} bytes of fixed scratch a thread beside a cache, limit 262144",
     "{other-writes} other writes go to buffers, outputs and scratch"}};
const Level kTranslated = {"llvm", "checked",
    {"{table-entries} pointers to cache memory come from the table of the entry points, and from nowhere else",
     "{loads} loads and {stores} stores have the pinned dtype exactly",
     "no cast, copy, atomic, integer, unknown call or stored pointer in {instructions} instructions; all functions are no-builtins"}};
const Level kOptimized = {"llvm-optimized", "checked",
    {"the same after optimisation: {loads} loads, {stores} stores, {prefetches} prefetches of whole elements, {table-entries} "
     "pointers, {instructions} instructions"}};
const Level kRun = {"run", "tested",
    {"{steps} steps wrote {rows-written} new rows, {bytes-written} bytes, and nothing else; {rows-reused} of them in rings, over "
     "rows that no query sees any more",
     "{read-only-pages} pages without new rows were read-only; {canary-bytes} bytes beside new rows kept their values",
     "results are those of a session without canaries, bit by bit: rows without a token are not read",
     "measured peak {peak-bytes} bytes, planned {planned-bytes}; the ends of pages may add {page-ends}"}};

std::string fill(std::string_view statement, const Facts &facts) {
  std::string text;
  while (!statement.empty()) {
    const size_t open = std::min(statement.find('{'), statement.size());
    text += statement.substr(0, open);
    statement.remove_prefix(open);
    if (statement.empty())
      break;
    const size_t close = statement.find('}');
    const std::string_view name = statement.substr(1, close - 1);
    const auto fact = std::ranges::find(facts, name, &Fact::name);
    text += fact == facts.end() ? "0" : std::to_string(fact->value);
    statement.remove_prefix(close + 1);
  }
  return text;
}

/// Text and JSON of a certificate, grown level by level.
class Writer {
public:
  void add(const Level &level, const Facts &facts) {
    std::vector<std::string> statements;
    for (std::string_view statement : level.statements)
      statements.push_back(fill(statement, facts));
    nlohmann::ordered_json counts = nlohmann::ordered_json::object();
    for (const Fact &fact : facts)
      counts[fact.name] = fact.value;
    add(level.name, level.evidence, statements, std::move(counts));
  }

  void add(std::string_view name, std::string_view evidence, const std::vector<std::string> &statements,
           nlohmann::ordered_json counts) {
    for (size_t i = 0; i < statements.size(); ++i)
      text += i == 0 ? concat(padded(name, 16), padded(evidence, 9), statements[i], "\n")
                     : concat(std::string(25, ' '), statements[i], "\n");
    levels.push_back({{"level", name}, {"evidence", evidence}, {"statements", statements}, {"counts", std::move(counts)}});
  }

  static std::string padded(std::string_view text, size_t width) {
    return concat(text, std::string(width - std::min(width - 1, text.size()), ' '));
  }

  std::string text;
  nlohmann::ordered_json levels = nlohmann::ordered_json::array();
};

uint64_t bytesOf(const MemoryPlan::Block &block) { return block.keyBytes + block.valueBytes + block.scaleBytes; }

/// "0-3" of blocks that stand together.
std::string rangeText(int64_t first, int64_t last) { return first == last ? concat(first) : concat(first, "-", last); }

/// A line for each run of equal slots.
std::string slotLines(const std::vector<MemoryPlan::Block> &blocks) {
  std::string text;
  for (size_t i = 0, next; i < blocks.size(); i = next) {
    const MemoryPlan::Block &block = blocks[i];
    auto isSame = [&](const MemoryPlan::Block &other) {
      MemoryPlan::Block copy = other;
      copy.block = block.block;
      return copy == block;
    };
    for (next = i + 1; next < blocks.size() && isSame(blocks[next]);)
      ++next;
    text += concat(Writer::padded(i == 0 ? "slots" : "", 16), "block ", rangeText(block.block, blocks[next - 1].block),
                   block.cross ? " cross" : "", ": keys ",
                   info(block.keys).name, ", values ", info(block.values).name, ", ", block.rows, " rows, ",
                   bytesOf(block), " bytes each\n");
  }
  return text;
}

nlohmann::ordered_json cacheJson(const Program &program, const MemoryPlan &plan) {
  nlohmann::ordered_json slots = nlohmann::ordered_json::array();
  for (const MemoryPlan::Block &block : plan.blocks) {
    slots.push_back({{"block", block.block}, {"keys", info(block.keys).name}, {"values", info(block.values).name},
                     {"rows", block.rows}, {"bytes", bytesOf(block)}});
    if (block.cross)
      slots.back()["cross"] = true;
  }
  nlohmann::ordered_json cache = {{"bytes_per_token", cacheBytesPerToken(program)}, {"batch", plan.request.batch},
                                  {"capacity", plan.request.capacity}, {"bytes", plan.cache}, {"slots", std::move(slots)}};
  if (program.hasEncoder()) {
    cache["bytes_per_source_token"] = cacheBytesPerToken(program, /*ofSource=*/true);
    cache["source"] = plan.request.sourceCapacity;
  }
  return cache;
}

/// "80 bytes a token; 2 x 64 tokens: 10248 bytes", and what a source adds.
std::string cacheText(const Program &program, const MemoryPlan &plan) {
  std::string text = concat(cacheBytesPerToken(program), " bytes a token");
  std::string sizes = concat(plan.request.batch, " x ", plan.request.capacity, " tokens");
  if (program.hasEncoder()) {
    text += concat(", ", cacheBytesPerToken(program, /*ofSource=*/true), " a token of the source");
    sizes += concat(" and ", plan.request.sourceCapacity, " of the source");
  }
  return concat(text, "; ", sizes, ": ", plan.cache, " bytes");
}

} // namespace

Certificate makeCertificate(const Program &program, const CheckedLevels &levels, const MemoryPlan &plan, const Facts *run) {
  Writer writer;
  writer.add(kLayer, levels.layer);
  writer.add(kKernel, levels.kernel);
  Level vector = kVector;
  if (program.hasEncoder())
    vector.statements.insert(vector.statements.begin() + 1, "{cross-stores} of them lie in [sequence, head, i, columns] of "
                                                            "cross slots, i < tokens of the source");
  writer.add(vector, levels.vector);
  writer.add(kTranslated, levels.translated);
  writer.add(kOptimized, levels.optimized);
  writer.add("object", "checked", {concat("calls nothing but ", join(levels.symbols))},
             {{"undefined-symbols", levels.symbols.size()}});
  writer.add("plan", "checked",
             {concat("scratch of ", plan.workspace, " bytes does not grow with the capacity; the session needs ", plan.total(),
                     " bytes")},
             {{"workspace-bytes", plan.workspace}, {"total-bytes", plan.total()}});
  if (run)
    writer.add(kRun, *run);

  const std::string policy = program.policy.empty() ? "as stored" : program.policy;
  const std::string pin = program.pin.empty() ? "auto" : program.pin;
  const nlohmann::ordered_json json = {
      {"version", 1},        {"contract", "holds"},           {"family", program.model.family},
      {"layers", program.model.numLayers}, {"policy", policy}, {"pin", pin},
      {"target", program.targetName},      {"cache", cacheJson(program, plan)}, {"levels", writer.levels}};
  return {concat("contract        holds\nmodel           ", program.model.family, ", ", program.model.numLayers,
                 " layers\npolicy          ", policy, "\npin             ", pin, "\ntarget          ", program.targetName,
                 "\ncache           ", cacheText(program, plan), "\n", slotLines(plan.blocks), "\n", writer.text),
          json.dump(2) + "\n"};
}

} // namespace graphc
