// The report as tables for people. What equal blocks have in common is one line:
// "layers.0-15.ffn.gate".
#include "Compiler/Report.h"
#include "Support/Message.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace graphc {

static bool isDigit(char c) { return c >= '0' && c <= '9'; }

/// Calls `found` with the place and length of each number N of "layers.N".
template <typename Found> static void forEachBlock(const std::string &text, Found found) {
  constexpr std::string_view kLayers = "layers.";
  for (size_t at = text.find(kLayers); at != text.npos; at = text.find(kLayers, at + 1)) {
    const size_t begin = at + kLayers.size();
    size_t end = begin;
    while (end < text.size() && isDigit(text[end]))
      ++end;
    if (end > begin)
      found(begin, end - begin);
  }
}

std::string withoutBlock(const std::string &name) {
  std::string result;
  size_t done = 0;
  forEachBlock(name, [&](size_t begin, size_t length) {
    result += name.substr(done, begin - done) + "*";
    done = begin + length;
  });
  return result + name.substr(done);
}

namespace {

/// "0-3,7".
std::string rangesOf(const std::set<int64_t> &numbers) {
  std::string text;
  for (auto it = numbers.begin(); it != numbers.end();) {
    const int64_t first = *it;
    int64_t last = first;
    while (++it != numbers.end() && *it == last + 1)
      ++last;
    text += concat(text.empty() ? "" : ",", first);
    if (last > first)
      text += concat("-", last);
  }
  return text;
}

/// Things that are equal but for the number of their block.
template <typename Thing> struct Group {
  const Thing *first = nullptr;
  std::string name; ///< With * in place of the number.
  std::set<int64_t> blocks;
  int64_t count = 0;

  std::string shownName() const {
    const size_t star = blocks.empty() ? name.npos : name.find("layers.*");
    return star == name.npos ? name : name.substr(0, star + 7) + rangesOf(blocks) + name.substr(star + 8);
  }
};

/// Groups in order of appearance. `nameOf` names a thing; `keyOf` is what else
/// must be equal, block numbers aside.
template <typename Thing>
std::vector<Group<Thing>> groupsOf(const std::vector<Thing> &things, std::function<std::string(const Thing &)> nameOf,
                                   std::function<std::string(const Thing &)> keyOf) {
  std::vector<Group<Thing>> groups;
  std::map<std::string, size_t> known;
  for (const Thing &thing : things) {
    const std::string name = nameOf(thing), general = withoutBlock(name);
    auto [entry, fresh] = known.try_emplace(general + "\n" + withoutBlock(keyOf(thing)), groups.size());
    if (fresh)
      groups.push_back({&thing, general, {}, 0});
    Group<Thing> &group = groups[entry->second];
    ++group.count;
    forEachBlock(name, [&](size_t begin, size_t length) {
      if (length < 10)
        group.blocks.insert(std::stoll(name.substr(begin, length)));
    });
  }
  return groups;
}

/// Rows of cells, columns as wide as their widest cell; the last one is free.
class Table {
public:
  explicit Table(std::vector<std::string> header) { rows.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows.push_back(std::move(row)); }
  bool isEmpty() const { return rows.size() == 1; }

  std::string text() const {
    std::vector<size_t> widths(rows[0].size());
    for (const auto &row : rows)
      for (size_t i = 0; i + 1 < row.size(); ++i)
        widths[i] = std::max(widths[i], row[i].size());
    std::string out;
    for (const auto &row : rows) {
      std::string line = " ";
      for (size_t i = 0; i < row.size(); ++i)
        line += " " + row[i] + (i + 1 < row.size() ? std::string(widths[i] - row[i].size() + 1, ' ') : "");
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

private:
  std::vector<std::vector<std::string>> rows;
};

std::string orDash(const std::string &text) { return text.empty() ? "-" : text; }

std::string layersText(const Report &report) {
  Table table({"layers", "kind", "params", "compute", "output", "| reads", "params", "inside", "stores", ""});
  std::vector<std::string> notes;
  const auto keyOf = [](const LayerFact &fact) {
    return concat(fact.kind, "|", fact.requested.params, "|", fact.requested.compute, "|", fact.requested.output, "|",
                  join(fact.reads), "|", join(fact.params), "|", join(fact.stored), "|", join(fact.notes));
  };
  for (const auto &group : groupsOf<LayerFact>(report.layers, [](const LayerFact &fact) { return fact.name; }, keyOf)) {
    const LayerFact &fact = *group.first;
    std::string marks;
    for (const std::string &note : fact.notes) {
      size_t number = std::ranges::find(notes, note) - notes.begin();
      if (number == notes.size())
        notes.push_back(note);
      marks += concat("[", number + 1, "]");
    }
    table.add({group.shownName(), fact.kind, orDash(fact.requested.params), orDash(fact.requested.compute),
               orDash(fact.requested.output), "| " + orDash(join(fact.reads, ",")), orDash(join(fact.params, ",")),
               fact.interior, orDash(join(fact.stored, ",")), marks});
  }
  std::string text = "layers: policy requested | what runs\n" + table.text();
  for (size_t i = 0; i < notes.size(); ++i)
    text += concat("  [", i + 1, "] ", notes[i], "\n");
  return text;
}

std::string causeText(const CastCause &cause) {
  return concat(withoutBlock(cause.setting), cause.rule.empty() || cause.rule == cause.setting ? "" : concat(" ('", cause.rule, "')"), " ",
                withoutBlock(cause.layer), cause.passes.empty() ? "" : concat(" by ", cause.passes));
}

std::string castsText(const Report &report) {
  Table table({"casts", "value", "type", "where", "bytes/step", "bytes/token", "because"});
  const auto keyOf = [](const CastFact &fact) {
    std::string key = concat(fact.from, "|", fact.to, "|", fateName(fact.fate), "|", fact.bytesPerStep, "|", fact.bytesAtLoad);
    for (const CastCause &cause : fact.causes)
      key += "|" + causeText(cause);
    return key;
  };
  uint64_t perStep = 0, perToken = 0, atLoad = 0;
  for (const CastFact &fact : report.casts)
    perStep += fact.bytesPerStep, perToken += fact.bytesPerToken, atLoad += fact.bytesAtLoad;
  for (const auto &group : groupsOf<CastFact>(report.casts, [](const CastFact &fact) { return fact.value; }, keyOf)) {
    const CastFact &fact = *group.first;
    std::string where(fateName(fact.fate));
    if (fact.isOnCache)
      where += ", on the cache";
    for (size_t i = 0; i < std::max<size_t>(fact.causes.size(), 1); ++i) {
      const std::string cause = fact.causes.empty() ? "-" : causeText(fact.causes[i]);
      if (i > 0)
        table.add({"", "", "", "", "", "", cause});
      else
        table.add({concat(group.count), group.shownName(), concat(fact.from, " to ", fact.to), where,
                   concat(fact.bytesPerStep * group.count), concat(fact.bytesPerToken * group.count), cause});
    }
  }
  std::string text = concat("casts: ", report.casts.size());
  if (report.stopped.empty())
    text += concat("; ", perStep, " bytes a decoding step of one sequence, ", perToken, " a token of a prefill, ", atLoad,
                   " once at load");
  return text + "\n" + (table.isEmpty() ? "" : table.text());
}

std::string roundingsText(const Report &report) {
  std::string text = "rounding points:";
  for (const Rounding &rounding : report.roundings)
    text += concat(" ", rounding.type, ": ", rounding.layers, " layers, ", rounding.casts, " casts;");
  if (report.roundings.empty())
    return text + " none\n";
  text.back() = '\n';
  return text;
}

std::string decisionsText(const Report &report) {
  Table table({"count", "layer", "pass", "what", "why"});
  // Done first, then what was missed; one line for equal ones.
  for (bool isDone : {true, false}) {
    std::vector<Decision> chosen;
    std::ranges::copy_if(report.decisions, std::back_inserter(chosen), [&](const Decision &decision) { return decision.isDone == isDone; });
    const auto keyOf = [](const Decision &decision) { return concat(decision.pass, "|", decision.key, "|", decision.text); };
    for (const auto &group : groupsOf<Decision>(chosen, [](const Decision &decision) { return decision.layer; }, keyOf))
      table.add({concat(group.count), group.shownName(), group.first->pass, group.first->key, withoutBlock(group.first->text)});
  }
  return "fusions, and what was not fused or folded\n" + (table.isEmpty() ? "  none\n" : table.text());
}

std::string slotsText(const Report &report) {
  Table table({"slot", "rows", "heads", "keys", "values", "pinned by", ""});
  const auto ruleOf = [](const SlotFact &slot) {
    return slot.keyRule == slot.valueRule ? slot.keyRule : concat(slot.keyRule, " / ", slot.valueRule);
  };
  const auto keyOf = [&](const SlotFact &slot) {
    return concat(slot.rows, "|", slot.kvHeads, "|", slot.headDim, "|", slot.keys, "|", slot.values, "|", ruleOf(slot), "|", slot.isFused);
  };
  for (const auto &group : groupsOf<SlotFact>(report.slots, [](const SlotFact &slot) { return slot.name; }, keyOf)) {
    const SlotFact &slot = *group.first;
    table.add({group.shownName(), slot.rows, concat(slot.kvHeads, " x ", slot.headDim), slot.keys, slot.values, ruleOf(slot),
               slot.isFused ? "fused, in place" : slot.rows == "cross" ? "stored by the encoder" : "not fused"});
  }
  return "cache\n" + (table.isEmpty() ? "  none\n" : table.text());
}

std::string weightsText(const Report &report) {
  Table table({"count", "weight", "stored", "used", "bytes", "residency", "why"});
  const auto keyOf = [](const WeightFact &weight) {
    return concat(weight.stored, "|", weight.used, "|", weight.bytes, "|", weight.residency, "|", weight.reason);
  };
  for (const auto &group : groupsOf<WeightFact>(report.weights, [](const WeightFact &weight) { return weight.name; }, keyOf)) {
    const WeightFact &weight = *group.first;
    table.add({concat(group.count), group.shownName(), weight.stored, weight.used, concat(weight.bytes * group.count), weight.residency,
               withoutBlock(weight.reason)});
  }
  return "weights\n" + (table.isEmpty() ? "  none\n" : table.text());
}

std::string kernelsText(const Report &report) {
  const auto tableOf = [&](bool ofEncoder) {
    Table table({"runs", "kernel", "roundings", "layers"});
    for (const KernelFact &kernel : report.kernels)
      if (kernel.ofEncoder == ofEncoder)
        table.add({concat(kernel.runs), kernel.kind, concat(kernel.roundings), join(kernel.layers, " + ")});
    return table.text();
  };
  if (report.encoderKernelsRun == 0)
    return concat("kernels: ", report.kernelsRun, " a step, ", report.kernelsInCode, " in code (both phases)\n", tableOf(false));
  return concat("kernels: ", report.kernelsRun, " a step, ", report.encoderKernelsRun, " a source, ", report.kernelsInCode,
                " in code (all steps)\n", tableOf(false), "kernels of the encoder\n", tableOf(true));
}

} // namespace

std::string reportText(const Report &report, bool castsOnly) {
  if (castsOnly)
    return castsText(report);
  std::string text = concat("model     ", report.model, "\npolicy    ", report.policy.empty() ? "as stored" : join(report.policy, "; "),
                            report.semantics == "graphc" ? "" : concat(" (", report.semantics, " semantics)"), "\npin       ",
                            report.pins.empty() ? "attention's compute type" : join(report.pins, "; "), "\noutputs   ",
                            join(report.outputs), "\n");
  if (!report.target.empty())
    text += concat("target    ", report.target, "\n");
  if (!report.stopped.empty())
    text += concat("kernels   none: ", report.stopped, "\n");
  for (const std::string &section : {layersText(report), castsText(report), roundingsText(report), decisionsText(report), slotsText(report)})
    text += "\n" + section;
  if (!report.stopped.empty())
    return text;
  text += "\n" + weightsText(report) + "\n" + kernelsText(report);
  if (report.plan)
    text += "\nmemory of a session: " + report.plan->text();
  return text;
}

} // namespace graphc
