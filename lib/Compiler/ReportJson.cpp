// The report as JSON; docs/Explain.md says what each key means. Keys are stable:
// they may be added to, not renamed.
#include "Compiler/Report.h"

#include <nlohmann/json.hpp>

using nlohmann::json;

namespace graphc {

std::string_view fateName(CastFate fate) {
  switch (fate) {
  case CastFate::Register: return "register";
  case CastFate::Copy: return "copy";
  case CastFate::Kernel: return "kernel";
  case CastFate::Load: return "load";
  case CastFate::None: return "none";
  }
  return "";
}

static json keysJson(const PolicyKeys &keys) {
  json object = json::object();
  for (auto [name, value] : {std::pair("params", &keys.params), std::pair("compute", &keys.compute), std::pair("output", &keys.output)})
    if (!value->empty())
      object[name] = *value;
  return object;
}

static json castJson(const CastFact &cast) {
  json causes = json::array();
  for (const CastCause &cause : cast.causes)
    causes.push_back({{"setting", cause.setting}, {"rule", cause.rule}, {"layer", cause.layer}, {"passes", cause.passes}});
  return {{"value", cast.value},
          {"from", cast.from},
          {"to", cast.to},
          {"fate", fateName(cast.fate)},
          {"kernel", cast.kernel},
          {"on_cache", cast.isOnCache},
          {"bytes_per_step", cast.bytesPerStep},
          {"bytes_per_prefill_token", cast.bytesPerToken},
          {"bytes_at_load", cast.bytesAtLoad},
          {"because", std::move(causes)}};
}

static json layerJson(const LayerFact &layer) {
  return {{"name", layer.name},
          {"kind", layer.kind},
          {"requested", keysJson(layer.requested)},
          {"rules", keysJson(layer.rules)},
          {"effective", {{"reads", layer.reads}, {"params", layer.params}, {"interior", layer.interior}, {"stores", layer.stored}}},
          {"notes", layer.notes}};
}

static json slotJson(const SlotFact &slot) {
  return {{"name", slot.name},
          {"block", slot.block},
          {"rows", slot.rows},
          {"kv_heads", slot.kvHeads},
          {"head_dim", slot.headDim},
          {"keys", {{"dtype", slot.keys}, {"rule", slot.keyRule}}},
          {"values", {{"dtype", slot.values}, {"rule", slot.valueRule}}},
          {"fused", slot.isFused}};
}

static json weightJson(const WeightFact &weight) {
  return {{"name", weight.name}, {"source", weight.source},       {"stored", weight.stored}, {"used", weight.used},
          {"bytes", weight.bytes}, {"residency", weight.residency}, {"reason", weight.reason}};
}

/// `list` with `make` applied to each element.
template <typename List, typename Make> static json arrayOf(const List &list, Make make) {
  json array = json::array();
  for (const auto &element : list)
    array.push_back(make(element));
  return array;
}

json reportJson(const Report &report, bool castsOnly) {
  json result = {{"casts", arrayOf(report.casts, castJson)}};
  if (castsOnly)
    return result;
  result["model"] = report.model;
  result["policy"] = report.policy;
  result["pins"] = report.pins;
  result["semantics"] = report.semantics;
  result["target"] = report.target;
  result["outputs"] = report.outputs;
  result["stopped"] = report.stopped;
  result["layers"] = arrayOf(report.layers, layerJson);
  result["roundings"] = arrayOf(report.roundings, [](const Rounding &rounding) {
    return json{{"type", rounding.type}, {"layers", rounding.layers}, {"casts", rounding.casts}};
  });
  result["decisions"] = arrayOf(report.decisions, [](const Decision &decision) {
    return json{{"pass", decision.pass}, {"key", decision.key}, {"layer", decision.layer}, {"done", decision.isDone}, {"text", decision.text}};
  });
  result["counters"] = arrayOf(report.counters, [](const PassCounter &counter) {
    return json{{"pass", counter.pass}, {"name", counter.name}, {"value", counter.value}};
  });
  result["cache"] = arrayOf(report.slots, slotJson);
  result["weights"] = arrayOf(report.weights, weightJson);
  result["kernels"] = {{"run", report.kernelsRun},
                       {"run_encoder", report.encoderKernelsRun},
                       {"in_code", report.kernelsInCode},
                       {"list", arrayOf(report.kernels, [](const KernelFact &kernel) {
                          return json{{"kind", kernel.kind}, {"layers", kernel.layers}, {"roundings", kernel.roundings},
                                      {"blocks", kernel.blocks}, {"runs", kernel.runs}, {"step", kernel.ofEncoder ? "encoder" : "decode"}};
                        })}};
  result["plan"] = report.plan ? report.plan->json() : json();
  return result;
}

} // namespace graphc
