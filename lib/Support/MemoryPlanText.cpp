// A memory plan for people and for programs: each use with its bytes, and as a
// function of batch, capacity, chunk and threads.
#include "Support/MemoryPlan.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace graphc {

namespace {
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

std::string line(std::string_view name, uint64_t bytes, std::string_view formula = "") {
  char text[96];
  std::snprintf(text, sizeof text, "%-20.*s%16llu", int(name.size()), name.data(),
                static_cast<unsigned long long>(bytes));
  return concat(text, withUnit(bytes), formula.empty() ? "" : " = ", formula, "\n");
}

/// "max(a, b)" of the formulas of buffers that share a slot.
std::string slotFormula(const MemoryPlan::Slot &slot) {
  std::vector<std::string> texts;
  for (const Formula &formula : slot.formulas)
    texts.push_back(formula.text());
  return texts.size() == 1 ? texts[0] : concat("max(", join(texts), ")");
}

bool isAlike(MemoryPlan::Block a, const MemoryPlan::Block &b) {
  a.block = b.block;
  return a == b;
}

/// Equal neighbours share a line.
std::string blockLines(const std::vector<MemoryPlan::Block> &blocks) {
  std::string out;
  for (size_t first = 0, next; first < blocks.size(); first = next) {
    const MemoryPlan::Block &block = blocks[first];
    for (next = first + 1; next < blocks.size() && isAlike(blocks[next], block);)
      ++next;
    out += next - first == 1 ? concat("  block ", block.block)
                             : concat("  blocks ", block.block, "-", blocks[next - 1].block);
    out += concat(block.cross ? " cross: " : ": ", block.rows, " rows, keys ", info(block.keys).name, " ", block.keyBytes,
                  ", values ", info(block.values).name, " ", block.valueBytes,
                  block.scaleBytes ? concat(", scales ", block.scaleBytes) : "", " = ", block.bytes.text(),
                  next - first == 1 ? "" : " each", "\n");
  }
  return out;
}

std::string tensors(int64_t count) { return concat(count, count == 1 ? " tensor" : " tensors"); }
} // namespace

std::string MemoryPlan::text() const {
  std::string out = concat("batch ", request.batch, ", capacity ", request.capacity,
                           std::ranges::any_of(blocks, &Block::cross) ? concat(", source ", request.sourceCapacity) : "",
                           ", chunk ", request.chunk,
                           ", threads ", request.threads, ", logit_rows ", request.logitRows, ", state_rows ",
                           request.stateRows, ";");
  for (const Symbol &symbol : symbols)
    out += concat("\n  ", symbol.name, " = ", symbol.definition, " = ", symbol.value);
  out += "; bytes:\n";
  out += line("weights in place", weightsMapped);
  if (tensorsMapped)
    out += concat("  ", tensors(tensorsMapped), " as the checkpoint has them\n");
  out += line("weights converted", weightsConverted);
  for (const Conversion &conversion : conversions)
    out += concat("  ", tensors(conversion.tensors), conversion.isRepacked ? " repacked, " : " converted, ",
                  conversion.why, ": ", conversion.bytes, "\n");
  out += line("cache", cache, formulas.cache.text());
  out += blockLines(blocks);
  if (carried)
    out += concat("  seed mode: ", carried, " of tensors, half before a step and half after it\n");
  out += line("workspace", workspace);
  for (const Slot &slot : slots)
    out += concat("  slot ", slot.slot, ": ", slot.bytes, " = ", slotFormula(slot), slot.kernels.empty() ? "" : ": ",
                  join(slot.kernels), "\n");
  out += line("stack", stack, formulas.stack.text());
  for (const StackScratch &scratch : stackScratch)
    out += concat("  ", scratch.kernel, ": ", scratch.bytes, "\n");
  out += line("rope tables", ropeTables, formulas.ropeTables.text());
  out += line("inputs", inputs, formulas.inputs.text());
  out += line("outputs", outputs, formulas.outputs.text());
  out += line("tables", tables, formulas.tables.text());
  out += line("alignment", alignment);
  out += line("total", total());
  if (budget)
    out += concat("the largest capacity that fits ", budget, " bytes is ", largestCapacity, "\n");
  return out;
}

nlohmann::json MemoryPlan::json() const {
  using nlohmann::json;
  json blockList = json::array(), slotList = json::array(), stackList = json::array(), conversionList = json::array(),
       symbolList = json::array();
  for (const Block &block : blocks) {
    blockList.push_back({{"block", block.block},
                         {"rows", block.rows},
                         {"keys", {{"dtype", std::string(info(block.keys).name)}, {"bytes", block.keyBytes}}},
                         {"values", {{"dtype", std::string(info(block.values).name)}, {"bytes", block.valueBytes}}},
                         {"formula", block.bytes.text()}});
    if (block.scaleBytes)
      blockList.back()["scales"] = {{"dtype", "f32"}, {"bytes", block.scaleBytes}};
    if (block.cross)
      blockList.back()["cross"] = true;
  }
  for (const Slot &slot : slots)
    slotList.push_back({{"slot", slot.slot}, {"bytes", slot.bytes}, {"formula", slotFormula(slot)}, {"kernels", slot.kernels}});
  for (const StackScratch &scratch : stackScratch)
    stackList.push_back({{"kernel", scratch.kernel}, {"bytes", scratch.bytes}});
  for (const Conversion &conversion : conversions)
    conversionList.push_back({{"why", conversion.why},
                              {"repacked", conversion.isRepacked},
                              {"tensors", conversion.tensors},
                              {"bytes", conversion.bytes}});
  for (const Symbol &symbol : symbols)
    symbolList.push_back({{"name", symbol.name}, {"definition", symbol.definition}, {"value", symbol.value}});
  json object{{"batch", request.batch},
              {"capacity", request.capacity},
              {"chunk", request.chunk},
              {"threads", request.threads},
              {"logit_rows", request.logitRows},
              {"state_rows", request.stateRows},
              {"symbols", std::move(symbolList)},
              {"weights_in_place", weightsMapped},
              {"tensors_in_place", tensorsMapped},
              {"weights_converted", weightsConverted},
              {"conversions", std::move(conversionList)},
              {"cache", cache},
              {"blocks", std::move(blockList)},
              {"carried", carried},
              {"workspace", workspace},
              {"slots", std::move(slotList)},
              {"stack", stack},
              {"stack_scratch", std::move(stackList)},
              {"rope_tables", ropeTables},
              {"inputs", inputs},
              {"outputs", outputs},
              {"tables", tables},
              {"alignment", alignment},
              {"formulas",
               {{"cache", formulas.cache.text()},
                {"stack", formulas.stack.text()},
                {"rope_tables", formulas.ropeTables.text()},
                {"inputs", formulas.inputs.text()},
                {"outputs", formulas.outputs.text()},
                {"tables", formulas.tables.text()}}},
              {"total", total()}};
  if (std::ranges::any_of(blocks, &Block::cross))
    object["source"] = request.sourceCapacity;
  if (budget)
    object["budget"] = {{"bytes", budget}, {"largest_capacity", largestCapacity}};
  return object;
}

} // namespace graphc
