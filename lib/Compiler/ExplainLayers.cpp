// Facts of the layer graph once its casts are explicit and folded and its cache
// is pinned: what each layer asks for and does, and what each cast is for.
#include "Compiler/Explainer.h"

#include "IR/CastReason.h"
#include "IR/LayerNames.h"
#include "Support/Pin.h"
#include "Support/Policy.h"
#include "passes/layer/Slots.h"

using namespace mlir;

namespace graphc {

static std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

static std::string elementText(Value value) { return textOf(getElementTypeOrSelf(value.getType())); }

static void addOnce(std::vector<std::string> &list, std::string text) {
  if (std::ranges::find(list, text) == list.end())
    list.push_back(std::move(text));
}

/// The value before all casts.
static Value rootOf(Value value) {
  while (auto cast = value.getDefiningOp<layer::CastOp>())
    value = cast.getX();
  return value;
}

static bool isFromParameter(Value value) { return rootOf(value).getDefiningOp<layer::ParamOp>() != nullptr; }

static bool narrows(Type from, Type to) {
  auto wide = layer::dtypeOf(from), narrow = layer::dtypeOf(to);
  return !(wide && narrow && holds(*narrow, *wide));
}

/// The rules as ApplyPolicy takes them: the last one that selects a layer wins,
/// key by key. Faulty rules are that pass's to report.
void Explainer::resolveRules(ModuleOp module) {
  std::vector<Selectable> layers, readers;
  const auto view = [](StringRef text) { return std::string_view(text.data(), text.size()); };
  module.walk([&](Operation *op) {
    if (auto named = dyn_cast<layer::PolicyLayer>(op)) {
      layers.push_back({view(op->getName().stripDialect()), view(named.getLayerName())});
      if (layer::PolicyAttr policy = named.getLayerPolicy())
        rules[named.getLayerName().str()] = {policy.getParams() ? "model" : "", policy.getCompute() ? "model" : "",
                                             policy.getOutput() ? "model" : ""};
    } else if (auto reader = dyn_cast<layer::ParamOp>(op)) {
      readers.push_back({{}, view(reader.getRef())});
    }
  });
  std::vector<Selectable> all = layers;
  all.insert(all.end(), readers.begin(), readers.end());
  for (const std::string &given : options.policy)
    for (std::string_view text : splitRules(given)) {
      absl::StatusOr<PolicyRule> rule = parsePolicyRule(text);
      if (!rule.ok())
        continue;
      const bool parametersOnly = !rule->compute && !rule->output;
      auto selected = rule->selector.select({all.data(), parametersOnly ? all.size() : layers.size()});
      if (!selected.ok())
        continue;
      for (size_t index : *selected) {
        PolicyKeys &keys = rules[std::string(all[index].name)];
        for (auto [isSet, key] : {std::pair(rule->params.has_value(), &keys.params),
                                  std::pair(rule->compute.has_value(), &keys.compute),
                                  std::pair(rule->output.has_value(), &keys.output)})
          if (isSet)
            *key = rule->text;
      }
    }
}

void Explainer::gatherSlots(layer::GraphOp graph) {
  std::vector<Selectable> names;
  const size_t first = facts.slots.size();
  const auto slots = layer::collectSlots(graph);
  for (const layer::Slot &slot : slots) {
    names.push_back({{}, slot.name});
    SlotFact fact;
    fact.name = slot.name;
    fact.block = slot.block;
    fact.rows = slot.type.isFull() ? "full" : slot.type.isCross() ? "cross" : "window " + std::to_string(slot.type.getWindow());
    fact.kvHeads = slot.type.getKvHeads();
    fact.headDim = slot.type.getHeadDim();
    for (auto [text, side] : {std::pair(&fact.keys, slot.type.getKeys()), std::pair(&fact.values, slot.type.getValues())}) {
      auto dtype = side ? layer::dtypeOf(side) : std::nullopt;
      *text = dtype ? std::string(info(*dtype).name) : "auto";
    }
    fact.keyRule = fact.valueRule = "compute";
    fact.isFused = llvm::any_of(slot.readers, [](layer::PolicyLayer reader) {
      return isa<layer::CachedAttentionOp>(reader.getOperation());
    });
    facts.slots.push_back(std::move(fact));
  }
  for (const std::string &given : options.pins)
    for (std::string_view text : splitRules(given)) {
      absl::StatusOr<PinRule> rule = parsePinRule(text);
      if (!rule.ok())
        continue;
      auto selected = rule->selector.select(names, /*ancestors=*/true);
      if (!selected.ok())
        continue;
      for (size_t index : *selected) {
        if (rule->keys)
          facts.slots[first + index].keyRule = rule->text;
        if (rule->values)
          facts.slots[first + index].valueRule = rule->text;
      }
    }
}

void Explainer::gatherLayer(layer::PolicyLayer op) {
  LayerFact fact;
  fact.name = op.getLayerName().str();
  fact.kind = op->getName().stripDialect().str();
  if (layer::PolicyAttr policy = op.getLayerPolicy()) {
    const auto text = [](Type type) { return type ? textOf(type) : std::string(); };
    fact.requested = {text(policy.getParams()), text(policy.getCompute()), text(policy.getOutput())};
    if (auto found = rules.find(fact.name); found != rules.end())
      fact.rules = found->second;
  }
  Type read;
  for (OpOperand &operand : op->getOpOperands())
    if (op.followsCompute(operand.getOperandNumber())) {
      addOnce(isFromParameter(operand.get()) ? fact.params : fact.reads, elementText(operand.get()));
      if (!isFromParameter(operand.get()) && !read)
        read = getElementTypeOrSelf(operand.get().getType());
    }
  fact.interior = op.movesDataOnly() ? "none" : textOf(op.getAccumulationType());
  for (OpResult result : op->getResults()) {
    if (!op.followsOutput(result.getResultNumber()))
      continue;
    const Type stored = getElementTypeOrSelf(result.getType());
    addOnce(fact.stored, textOf(stored));
    // A view of what it reads rounds only if its type is narrower; all else has an interior.
    if (narrows(op.movesDataOnly() && read ? read : op.getAccumulationType(), stored))
      countRounding(stored, &Rounding::layers);
  }

  const PolicyKeys &asked = fact.requested;
  const auto differs = [](const std::vector<std::string> &types, const std::string &type) {
    return !type.empty() && std::ranges::any_of(types, [&](const std::string &other) { return other != type; });
  };
  if (differs(fact.stored, asked.output))
    fact.notes.push_back(options.policySemantics == "axon"
                             ? "axon: the result is rounded to " + fact.stored.front() + " first; who reads " + asked.output +
                                   " gets it by a cast"
                             : "output=" + asked.output + " is not stored: every use rounds the result to " +
                                   fact.stored.front() + ", so the layer writes that (fold-casts)");
  if (op.movesDataOnly() && differs(fact.reads, asked.compute))
    fact.notes.push_back("only moves values: its operands keep their type, and the rounding is where they are made (fold-casts)");
  if (op.isPrecisionCritical() && !asked.compute.empty() && asked.compute != "f32")
    fact.notes.push_back(isa<layer::AttentionOp, layer::CachedAttentionOp, layer::SeedAttentionOp>(op.getOperation())
                             ? "scores and sums are f32 inside; probabilities keep the significand of " + asked.compute
                             : "operands are read as " + asked.compute + "; statistics, angles and products are f32 inside");
  facts.layers.push_back(std::move(fact));
}

CastCause Explainer::causeOf(StringRef text) const {
  auto reason = layer::parseCastReason(text);
  if (!reason)
    return {text.str(), "", "", ""};
  CastCause cause{reason->setting, "", reason->layer, reason->passes};
  const StringRef key = StringRef(reason->setting).split('=').first;
  if (key == "pin") {
    for (const SlotFact &slot : facts.slots)
      for (auto [side, rule] : {std::pair(".keys", &slot.keyRule), std::pair(".values", &slot.valueRule)})
        if (reason->layer == slot.name + side)
          cause.rule = *rule;
  } else if (auto found = rules.find(reason->layer); found != rules.end()) {
    cause.rule = key == "params" ? found->second.params : key == "compute" ? found->second.compute : found->second.output;
  }
  return cause;
}

/// True for a cache tensor of seed mode: what a carrying node makes, or takes
/// apart from the new rows.
static bool isCacheLeaf(layer::CastOp cast) {
  Operation *maker = rootOf(cast.getX()).getDefiningOp();
  if (isa_and_nonnull<layer::UnpackOp, layer::SeedGetOp, layer::SeedPutOp, layer::SeedUpdateOp, layer::SeedAdvanceOp>(maker))
    return true;
  return llvm::any_of(cast->getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    const unsigned number = use.getOperandNumber();
    if (auto next = dyn_cast<layer::CastOp>(user))
      return isCacheLeaf(next);
    return isa<layer::SeedGetOp, layer::SeedOffsetOp, layer::SeedAdvanceOp>(user) ||
           (isa<layer::SeedPutOp>(user) && number < user->getNumResults()) ||
           (isa<layer::SeedUpdateOp>(user) && number == 0) ||
           (isa<layer::SeedAttentionOp>(user) && (number == 1 || number == 2));
  });
}

void Explainer::gatherCast(layer::CastOp cast) {
  CastFact fact;
  fact.value = layer::valueName(rootOf(cast.getX()));
  fact.from = elementText(cast.getX());
  fact.to = elementText(cast.getY());
  fact.isOnCache = isCacheLeaf(cast);
  if (ArrayAttr reasons = cast.getBecauseAttr())
    for (StringRef reason : reasons.getAsValueRange<StringAttr>())
      fact.causes.push_back(causeOf(reason));
  const Type from = getElementTypeOrSelf(cast.getX().getType()), to = getElementTypeOrSelf(cast.getY().getType());
  auto type = mlir::cast<RankedTensorType>(cast.getY().getType());
  if (isFromParameter(cast.getX())) {
    // A widening at the end of the chain happens in registers; all else at load.
    const bool goesOn = llvm::any_of(cast->getUsers(), llvm::IsaPred<layer::CastOp>);
    fact.fate = narrows(from, to) || goesOn ? CastFate::Load : CastFate::Register;
    if (fact.fate == CastFate::Load && !goesOn && type.hasStaticShape())
      fact.bytesAtLoad = uint64_t(type.getNumElements()) * to.getIntOrFloatBitWidth() / 8;
  } else {
    castOfValue[layer::valueName(cast.getY())] = facts.casts.size();
    if (narrows(from, to))
      countRounding(to, &Rounding::casts);
  }
  facts.casts.push_back(std::move(fact));
}

void Explainer::countRounding(Type type, int64_t Rounding::*by) {
  const std::string name = textOf(type);
  for (Rounding &rounding : facts.roundings)
    if (rounding.type == name) {
      ++(rounding.*by);
      return;
    }
  facts.roundings.push_back({name, 0, 0});
  ++(facts.roundings.back().*by);
}

void Explainer::layersDone(ModuleOp module) {
  const bool hasDecoder = module.lookupSymbol<layer::GraphOp>(layer::kMainGraph);
  for (layer::GraphOp graph : module.getOps<layer::GraphOp>()) {
    if (!hasDecoder || graph.getSymName() != layer::kEncodeGraph) // an encoder has its decoder's cache
      gatherSlots(graph);
    for (Operation &op : graph.getBody().front()) {
      if (auto named = dyn_cast<layer::PolicyLayer>(op))
        gatherLayer(named);
      else if (auto cast = dyn_cast<layer::CastOp>(op))
        gatherCast(cast);
    }
    for (Attribute name : graph.getOutput().getNames())
      addOnce(facts.outputs, cast<StringAttr>(name).str());
  }
}

} // namespace graphc
