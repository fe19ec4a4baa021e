// The contract of the cache, proved on the layer graph. The cast verifier and
// the linearity of the graph do a part of the work: no cast takes a cache, and a
// cache value is consumed once, so following updates forward is following memory.
#include "IR/Counters.h"
#include "passes/layer/Passes.h"
#include "passes/layer/Slots.h"

#include "mlir/IR/BuiltinOps.h"

namespace graphc::layer {
#define GEN_PASS_DEF_VERIFYCACHE
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

static InFlightDiagnostic violation(Location loc) { return emitError(loc) << StringRef(kContractPrefix); }

/// Notes on the cache operations from `value` back to where it comes from.
static void noteChain(InFlightDiagnostic &diagnostic, Value value) {
  unsigned count = 0;
  while (auto op = value.getDefiningOp<CacheOp>()) {
    if (++count > 16) {
      diagnostic.attachNote(op.getLoc()) << "and further back";
      return;
    }
    diagnostic.attachNote(op.getLoc()) << "through '" << op->getName() << "'";
    value = op.getWholeCache();
  }
  diagnostic.attachNote(value.getLoc()) << "from here";
}

/// The value behind casts.
static Value behindCasts(Value value) {
  while (auto cast = value.getDefiningOp<CastOp>())
    value = cast.getX();
  return value;
}

namespace {
struct VerifyCache : graphc::layer::impl::VerifyCacheBase<VerifyCache> {
  using VerifyCacheBase::VerifyCacheBase;

  void runOnOperation() override {
    bool sound = true;
    caches.clear();
    for (GraphOp graph : getOperation().getOps<GraphOp>()) {
      SmallVector<Slot> slots = collectSlots(graph);
      if (slots.empty())
        continue;
      if (graph.getCasts() != Casts::Explicit) {
        emitError(graph.getLoc(), "casts must be explicit before the cache is verified; run layer-materialize-casts");
        return signalPassFailure();
      }
      sound &= checkShared(graph, slots);
      sound &= checkPins(slots);
      for (Operation &op : graph.getBody().front())
        for (bool holds : {checkTouch(op), checkRows(op), checkUpdate(op)})
          sound &= holds;
      sound &= checkAliases(graph);
    }
    if (!sound)
      return signalPassFailure();
    reportCounters(getOperation(), getArgument(), report, {&numSlots, &numRows, &numAliases, &numBytes}, facts);
  }

  Facts *facts = nullptr;

private:
  /// Graphs that name a cache input alike share the memory, so its type is one.
  /// Slots of a cache that was seen before are not counted again.
  bool checkShared(GraphOp graph, SmallVectorImpl<Slot> &slots) {
    bool sound = true;
    for (BlockArgument argument : graph.getBody().getArguments()) {
      if (!isa<CacheType>(argument.getType()))
        continue;
      auto name = cast<StringAttr>(graph.getInputNames()[argument.getArgNumber()]).getValue();
      auto [known, fresh] = caches.try_emplace(name, argument);
      if (fresh)
        continue;
      llvm::erase_if(slots, [&](const Slot &slot) { return slot.root == argument && slot.type.isPinned(); });
      if (known->second.getType() == argument.getType())
        continue;
      auto diagnostic = violation(argument.getLoc()) << "cache '" << name << "' must have one type in all graphs, got "
                                                     << argument.getType();
      diagnostic.attachNote(known->second.getLoc()) << "here it is " << known->second.getType();
      sound = false;
    }
    return sound;
  }

  bool checkPins(ArrayRef<Slot> slots) {
    bool sound = true;
    for (const Slot &slot : slots) {
      if (!slot.type.isPinned()) {
        violation(slot.root.getLoc()) << "slot '" << slot.name << "' is not pinned; run layer-pin-cache";
        sound = false;
        continue;
      }
      ++numSlots;
      for (Type element : {slot.type.getKeys(), slot.type.getValues()})
        numBytes += slot.type.getKvHeads() * (slot.type.getHeadDim() * element.getIntOrFloatBitWidth() / 8 +
                                              (isScaled(element) ? sizeof(float) : 0));
    }
    return sound;
  }

  /// Only cache operations, attention and the output may touch a cache.
  bool checkTouch(Operation &op) {
    if (isa<CacheOp, OutputOp, PolicyLayer>(op))
      return true;
    for (Value operand : op.getOperands())
      if (isCache(operand.getType())) {
        auto diagnostic = violation(op.getLoc()) << "'" << op.getName() << "' must not touch a cache";
        noteChain(diagnostic, operand);
        return false;
      }
    return true;
  }

  /// Rows have the pinned type when they are stored, or a compute type if they are
  /// quantised then; and attention reads them out of the cache.
  bool checkRows(Operation &op) {
    auto cache = dyn_cast<CacheOp>(op);
    if (!cache)
      return true;
    for (OpOperand &operand : op.getOpOperands()) {
      Type element = cache.getRowElement(operand.getOperandNumber());
      if (!element || isa<mlir::NoneType>(element))
        continue;
      Type own = getElementTypeOrSelf(operand.get().getType());
      const std::optional<DType> dtype = dtypeOf(own);
      if (isScaled(element) ? !dtype || !isComputeType(*dtype) : own != element) {
        auto diagnostic = violation(op.getLoc()) << "rows stored by '" << op.getName() << "' must have ";
        if (isScaled(element))
          diagnostic << "a compute type to be quantised to " << element;
        else
          diagnostic << "the pinned type " << element;
        diagnostic << ", got " << operand.get().getType();
        diagnostic.attachNote(operand.get().getLoc()) << "rows made here";
        noteChain(diagnostic, cache.getWholeCache());
        return false;
      }
      if (!checkBypass(op, behindCasts(operand.get())))
        return false;
      ++numRows;
    }
    return true;
  }

  bool checkBypass(Operation &store, Value rows) {
    SmallVector<Value> versions = {rows};
    while (!versions.empty()) {
      Value version = versions.pop_back_val();
      for (OpOperand &use : version.getUses()) {
        if (auto cast = dyn_cast<CastOp>(use.getOwner()))
          versions.push_back(cast.getY());
        auto attention = dyn_cast<AttentionOp>(use.getOwner());
        if (!attention || (use.get() != attention.getKey() && use.get() != attention.getValue()))
          continue;
        auto diagnostic = violation(attention.getLoc())
                          << "attention '" << attention.getLayerName() << "' reads new rows past the cache";
        diagnostic.attachNote(store.getLoc()) << "stored here";
        diagnostic.attachNote(rows.getLoc()) << "made here";
        return false;
      }
    }
    return true;
  }

  /// An updated cache must go on to another operation or to the output.
  bool checkUpdate(Operation &op) {
    auto cache = dyn_cast<CacheOp>(op);
    if (!cache)
      return true;
    bool updates = false;
    for (OpOperand &operand : op.getOpOperands())
      updates |= isCache(operand.get().getType()) && cache.consumesCache(operand.getOperandNumber());
    if (!updates)
      return true;
    for (Value result : op.getResults()) {
      if (!isCache(result.getType()))
        continue;
      const bool goesOn = llvm::any_of(result.getUses(), [](OpOperand &use) {
        auto next = dyn_cast<CacheOp>(use.getOwner());
        return isa<OutputOp>(use.getOwner()) || (next && next.consumesCache(use.getOperandNumber()));
      });
      if (goesOn)
        continue;
      auto diagnostic = violation(op.getLoc()) << "update by '" << op.getName() << "' is lost: it reaches no output";
      noteChain(diagnostic, cache.getWholeCache());
      return false;
    }
    return true;
  }

  /// Each cache argument comes back once, with its type.
  bool checkAliases(GraphOp graph) {
    bool sound = true;
    OutputOp output = graph.getOutput();
    llvm::MapVector<Value, Value> returned; // root -> output value
    for (Value value : output.getValues()) {
      if (!isCache(value.getType()))
        continue;
      CachePath path = pathOf(value);
      const bool whole = path.block < 0 && path.cross < 0;
      if (!isa<BlockArgument>(path.root) || !whole || !returned.try_emplace(path.root, value).second) {
        auto diagnostic = violation(output.getLoc()) << "output cache must be a new version of one argument";
        noteChain(diagnostic, value);
        sound = false;
      }
    }
    for (BlockArgument argument : graph.getBody().getArguments()) {
      if (!isa<CacheType>(argument.getType()))
        continue;
      Value value = returned.lookup(argument);
      if (value && value.getType() == argument.getType()) {
        ++numAliases;
        continue;
      }
      auto name = cast<StringAttr>(graph.getInputNames()[argument.getArgNumber()]).getValue();
      if (!value) {
        violation(argument.getLoc()) << "cache argument '" << name << "' is not among the outputs";
      } else {
        auto diagnostic = violation(output.getLoc()) << "cache '" << name << "' must keep its type "
                                                     << argument.getType() << ", got " << value.getType();
        noteChain(diagnostic, value);
      }
      sound = false;
    }
    return sound;
  }

  llvm::StringMap<BlockArgument> caches; // by input name, the first graph's

private:
  Counter numSlots{"slots"};
  Counter numRows{"row-operands"};
  Counter numAliases{"caches-in-place"};
  Counter numBytes{"bytes-per-row"};
};
} // namespace

std::unique_ptr<Pass> graphc::layer::createVerifyCache(bool report, Facts *facts) {
  return createWithFacts<VerifyCache>(VerifyCacheOptions{report}, facts);
}
