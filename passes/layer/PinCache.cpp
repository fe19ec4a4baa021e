// Element types for the cache, in one place. Nothing else changes a slot's type.
#include "Support/Pin.h"
#include "Support/Policy.h"
#include "IR/Counters.h"
#include "passes/layer/Casts.h"
#include "passes/layer/Passes.h"
#include "passes/layer/Slots.h"

#include "mlir/IR/BuiltinOps.h"

namespace graphc::layer {
#define GEN_PASS_DEF_PINCACHE
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

namespace {

/// What the rules say of one side of a slot; -1: no rule does.
struct Choice {
  PinElement element;
  int rule = -1;
};
struct Side {
  StringRef name; // "keys" or "values"
  Type written;   // in the IR; none = auto
  Choice choice;
  Type pinned;
};
struct PinnedSlot {
  Slot slot; ///< With the readers and writers of all graphs that share the cache.
  SmallVector<BlockArgument> roots; ///< The cache argument of each.
  Side sides[2];

  Location getLoc() const { return graphOf(roots.front()).getLoc(); }
  bool hasExplicitCasts() const {
    return llvm::any_of(roots, [](BlockArgument root) { return graphOf(root).getCasts() == Casts::Explicit; });
  }
  static GraphOp graphOf(BlockArgument root) { return cast<GraphOp>(root.getOwner()->getParentOp()); }
};

/// The compute type of an attention: of its policy as long as that is a request,
/// of its query once casts are explicit. Of a store likewise, with its rows.
Type computeTypeOf(PolicyLayer attention) {
  PolicyAttr policy = attention.getLayerPolicy();
  if (attention->getParentOfType<GraphOp>().getCasts() == Casts::Implicit && policy && policy.getCompute())
    return policy.getCompute();
  return getElementTypeOrSelf(attention->getOperand(0).getType());
}

/// An element type as pins spell it.
std::string spell(Type element) { return std::string(info(*dtypeOf(element)).name); }

struct PinCache : graphc::layer::impl::PinCacheBase<PinCache> {
  using PinCacheBase::PinCacheBase;

  void runOnOperation() override {
    ruleTexts.clear();
    std::vector<PinnedSlot> slots;
    for (GraphOp graph : getOperation().getOps<GraphOp>())
      for (Slot &slot : collectSlots(graph))
        if (failed(addSlot(slots, slot)))
          return signalPassFailure();
    if (failed(applyRules(slots)))
      return signalPassFailure();
    for (PinnedSlot &slot : slots)
      for (Side &side : slot.sides)
        if (failed(decide(slot, side)))
          return signalPassFailure();
    rewrite(slots);
    reportCounters(getOperation(), getArgument(), report, {&numByRule, &numByType, &numByCompute, &numCasts});
  }

private:
  /// Graphs whose cache inputs have one name share that cache: their slots are
  /// one slot, called by the first layer that reads or writes it.
  LogicalResult addSlot(std::vector<PinnedSlot> &slots, Slot &slot) {
    StringRef cache = inputName(slot.root);
    for (PinnedSlot &known : slots) {
      if (inputName(known.roots.front()) != cache || known.slot.block != slot.block || known.slot.cross != slot.cross ||
          known.roots.front().getOwner() == slot.root.getOwner())
        continue;
      if (known.slot.type != slot.type) {
        auto diagnostic = emitError(slot.root.getLoc()) << "cache '" << cache << "' must have one type in all graphs, got "
                                                        << slot.type << " for a slot that is " << known.slot.type;
        diagnostic.attachNote(known.getLoc()) << "in this graph";
        return diagnostic;
      }
      if (known.slot.readers.empty())
        known.slot.name = slot.name;
      known.slot.readers.append(slot.readers);
      known.roots.push_back(slot.root);
      return success();
    }
    slots.push_back({slot, {slot.root}, {{"keys", slot.type.getKeys(), {}, {}}, {"values", slot.type.getValues(), {}, {}}}});
    return success();
  }

  static StringRef inputName(BlockArgument argument) {
    auto graph = PinnedSlot::graphOf(argument);
    return cast<StringAttr>(graph.getInputNames()[argument.getArgNumber()]).getValue();
  }

  LogicalResult applyRules(std::vector<PinnedSlot> &slots) {
    std::vector<Selectable> things;
    for (PinnedSlot &slot : slots)
      things.push_back({{}, slot.slot.name});
    std::vector<PinRule> rules;
    for (std::string_view text : splitRules(pin)) {
      auto rule = parsePinRule(text);
      if (!rule.ok())
        return emitError(getOperation().getLoc()) << std::string(rule.status().message());
      if (slots.empty())
        return emitError(getOperation().getLoc()) << "pin rule '" << rule->text << "': the model has no cache";
      auto indices = rule->selector.select(things, /*ancestors=*/true);
      if (!indices.ok())
        return emitError(getOperation().getLoc()) << "pin rule '" << rule->text
                                          << "': " << std::string(indices.status().message());
      for (size_t index : *indices) {
        if (rule->keys)
          slots[index].sides[0].choice = {*rule->keys, int(rules.size())};
        if (rule->values)
          slots[index].sides[1].choice = {*rule->values, int(rules.size())};
      }
      ruleTexts.push_back(rule->text);
      rules.push_back(*std::move(rule));
    }
    for (auto [number, rule] : llvm::enumerate(rules))
      if (llvm::none_of(slots, [&, number = int(number)](PinnedSlot &slot) {
            return slot.sides[0].choice.rule == number || slot.sides[1].choice.rule == number;
          }))
        emitWarning(getOperation().getLoc()) << "pin rule '" << rule.text
                                     << "' has no effect: later rules override all of it";
    return success();
  }

  /// Rule, then the IR's type, then the attention's compute type.
  LogicalResult decide(PinnedSlot &slot, Side &side) {
    const bool isWritten = !isa<mlir::NoneType>(side.written);
    if (side.choice.rule >= 0 && !side.choice.element.isAuto()) {
      side.pinned = typeOf(&getContext(), *side.choice.element.dtype);
      ++numByRule;
    } else if (side.choice.rule < 0 && isWritten) {
      side.pinned = side.written;
      ++numByType;
    } else {
      if (slot.slot.readers.empty())
        return emitError(slot.getLoc()) << side.name << " of slot '" << slot.slot.name
                                      << "' have no attention to take their type from; pin them";
      side.pinned = computeTypeOf(slot.slot.readers.front());
      for (PolicyLayer reader : slot.slot.readers)
        if (computeTypeOf(reader) != side.pinned) {
          auto diagnostic = emitError(slot.getLoc())
                            << side.name << " of slot '" << slot.slot.name
                            << "' are read in more than one compute type; pin them to one";
          diagnostic.attachNote(slot.slot.readers.front().getLoc()) << "read in " << side.pinned << " here";
          diagnostic.attachNote(reader.getLoc()) << "read in " << computeTypeOf(reader) << " here";
          return diagnostic;
        }
      ++numByCompute;
    }
    if (isWritten && side.written != side.pinned)
      return emitError(slot.getLoc()) << side.name << " of slot '" << slot.slot.name << "' are pinned to "
                                      << spell(side.written) << " in the IR, but pin rule '" << ruleTexts[side.choice.rule]
                                      << "' asks for " << spell(side.pinned)
                                      << "; write auto there, or leave the slot out of the rule";
    return success();
  }

  void rewrite(std::vector<PinnedSlot> &slots) {
    llvm::MapVector<Value, SmallVector<BlockCacheType>> caches; // by argument
    for (PinnedSlot &entry : slots) {
      const Slot &slot = entry.slot;
      const AttentionCacheType pinned = slot.type.withElements(entry.sides[0].pinned, entry.sides[1].pinned);
      for (BlockArgument root : entry.roots) {
        auto [blocks, fresh] = caches.try_emplace(root);
        if (fresh)
          blocks->second.assign(cast<CacheType>(root.getType()).getBlocks().begin(),
                                cast<CacheType>(root.getType()).getBlocks().end());
        BlockCacheType &block = blocks->second[slot.block];
        block = BlockCacheType::get(&getContext(), slot.cross ? block.getSelf() : pinned,
                                    slot.cross ? pinned : block.getCross());
      }
    }
    for (auto &[argument, blocks] : caches)
      argument.setType(CacheType::get(&getContext(), blocks));
    for (GraphOp graph : getOperation().getOps<GraphOp>()) {
      for (Operation &op : graph.getBody().front()) {
        inferStructuralTypes(op);
        if (auto cache = dyn_cast<CacheOp>(op); cache && graph.getCasts() == Casts::Explicit)
          castRowsToPin(cache, readerName(cache), getArgument(), numCasts);
      }
      graph.updateSignature();
    }
  }

  /// The attention for which `cache` stores rows.
  static StringRef readerName(CacheOp cache) {
    if (auto layer = dyn_cast<PolicyLayer>(cache.getOperation()))
      return layer.getLayerName();
    for (Operation *user : cache->getResult(0).getUsers())
      if (auto layer = dyn_cast<PolicyLayer>(user))
        return layer.getLayerName();
    return "cache";
  }

private:
  std::vector<std::string> ruleTexts; // by number
  Counter numByRule{"sides-by-rule"};
  Counter numByType{"sides-by-type"};
  Counter numByCompute{"sides-by-compute"};
  Counter numCasts{"casts"};
};
} // namespace
