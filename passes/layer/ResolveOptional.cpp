// Absent inputs. The pass visits ops in order and marks what is absent by its
// type; what is left with that type at the end has no meaning and is erased.
#include "IR/Counters.h"
#include "passes/layer/Passes.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace graphc::layer {
#define GEN_PASS_DEF_RESOLVEOPTIONAL
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;
using AbsentType = graphc::layer::NoneType;

static bool isAbsent(Value value) { return isa<AbsentType>(value.getType()); }

static void makeAbsent(Value value) { value.setType(AbsentType::get(value.getContext())); }

/// Names of inputs that an earlier run removed.
static ArrayRef<Attribute> absentInputs(GraphOp graph) {
  ArrayAttr names = graph.getAbsentInputsAttr();
  return names ? names.getValue() : ArrayRef<Attribute>();
}

/// Erases one optional operand.
static void drop(MutableOperandRange operand) { operand.clear(); }

/// The same attention over key and value rows instead of a cache.
static void attendOverRows(Operation *op, StringAttr name, PolicyAttr policy, Value query, Value key, Value value,
                           Value positions, Value bias, RelativeBiasAttr relative, FloatAttr scale, UnitAttr causal,
                           IntegerAttr window, Value y, Value weights) {
  OpBuilder builder(op);
  auto direct = AttentionOp::create(builder, op->getLoc(), y.getType(), weights ? weights.getType() : Type(), name,
                                    policy, query, key, value, /*cache=*/Value(), positions, bias, relative, scale, causal,
                                    window);
  direct->setDiscardableAttrs(op->getDiscardableAttrDictionary());
  y.replaceAllUsesWith(direct.getY());
  if (weights)
    weights.replaceAllUsesWith(direct.getWeights());
}

namespace {
struct ResolveOptional : graphc::layer::impl::ResolveOptionalBase<ResolveOptional> {
  using ResolveOptionalBase::ResolveOptionalBase;

  void runOnOperation() override {
    if (failed(checkNames()))
      return signalPassFailure();
    for (GraphOp graph : getOperation().getOps<GraphOp>())
      if (failed(resolve(graph)))
        return signalPassFailure();
    reportCounters(getOperation(), getArgument(), report, {&numInputs, &numAttentions, &numCacheOps, &numOutputs,
                       &numPresent});
  }

private:
  LogicalResult checkNames() {
    llvm::SetVector<StringRef> known;
    llvm::StringSet<> gone; // an earlier run did what is asked for
    for (GraphOp graph : getOperation().getOps<GraphOp>()) {
      for (Attribute name : graph.getInputNames())
        known.insert(cast<StringAttr>(name).getValue());
      for (Attribute name : absentInputs(graph))
        gone.insert(cast<StringAttr>(name).getValue());
    }
    for (const std::string &name : absent)
      if (!known.contains(name) && !gone.contains(name)) {
        auto diagnostic = emitError(getOperation().getLoc()) << "input '" << name << "' is not known; the inputs are ";
        llvm::interleave(
            known, [&](StringRef input) { diagnostic << "'" << input << "'"; }, [&] { diagnostic << ", "; });
        return diagnostic;
      }
    return success();
  }

  LogicalResult resolve(GraphOp graph) {
    for (const std::string &name : absent)
      if (BlockArgument input = graph.getInput(name))
        makeAbsent(input);
    for (Operation &op : llvm::make_early_inc_range(graph.getBody().front().without_terminator()))
      if (failed(visit(&op)))
        return failure();
    if (failed(pruneOutput(graph)))
      return failure();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(graph.getBody().front())))
      if (op.use_empty() && llvm::any_of(op.getResults(), isAbsent)) {
        numCacheOps += isa<CacheOp>(op);
        op.erase();
      }
    eraseInputs(graph);
    return success();
  }

  LogicalResult visit(Operation *op) {
    if (llvm::none_of(op->getOperands(), isAbsent)) {
      numPresent += isa<OptionalOp>(op);
      return success();
    }
    if (auto positions = dyn_cast<PositionsOp>(op)) {
      if (positions.getMask() && isAbsent(positions.getMask()))
        drop(positions.getMaskMutable());
      if (positions.getOffset() && isAbsent(positions.getOffset()))
        drop(positions.getOffsetMutable());
      if (!isAbsent(positions.getIds()))
        return success();
    }
    if (auto attention = dyn_cast<AttentionOp>(op);
        attention && attention.getCache() && isAbsent(attention.getCache()) && !isAbsent(attention.getQuery()))
      return uncache(attention);
    if (auto fused = dyn_cast<CachedAttentionOp>(op);
        fused && isAbsent(fused.getCache()) && !isAbsent(fused.getQuery())) {
      attendOverRows(op, fused.getNameAttr(), fused.getPolicyAttr(), fused.getQuery(), fused.getKey(),
                     fused.getValue(), fused.getPositions(), fused.getBias(), fused.getRelativeAttr(),
                     fused.getScaleAttr(), fused.getCausalAttr(), fused.getWindowAttr(), fused.getY(),
                     fused.getWeights());
      ++numAttentions;
      makeAbsent(fused.getUpdated());
      return success();
    }
    for (Value result : op->getResults())
      makeAbsent(result);
    return success();
  }

  /// An attention over an absent slot reads the rows that the append would have
  /// stored.
  LogicalResult uncache(AttentionOp attention) {
    auto append = attention.getCache().getDefiningOp<CacheAppendOp>();
    if (!append)
      return attention.emitOpError("'") << attention.getLayerName()
                                        << "' reads an absent cache to which no rows are appended";
    if (isAbsent(append.getKey()) || isAbsent(append.getValue()))
      return attention.emitOpError("'") << attention.getLayerName() << "' reads rows that are absent";
    attendOverRows(attention, attention.getNameAttr(), attention.getPolicyAttr(), attention.getQuery(),
                   append.getKey(), append.getValue(), attention.getPositions(), attention.getBias(),
                   attention.getRelativeAttr(), attention.getScaleAttr(), attention.getCausalAttr(), attention.getWindowAttr(), attention.getY(), attention.getWeights());
    attention.erase();
    ++numAttentions;
    return success();
  }

  LogicalResult pruneOutput(GraphOp graph) {
    OutputOp output = graph.getOutput();
    SmallVector<Value> values;
    SmallVector<Attribute> names;
    for (auto [value, name] : llvm::zip(output.getValues(), output.getNames())) {
      if (!isAbsent(value)) {
        values.push_back(value);
        names.push_back(name);
        continue;
      }
      Operation *producer = value.getDefiningOp();
      if (producer && !isa<OptionalOp, CacheOp, NoneOp>(producer))
        return output.emitOpError("'") << cast<StringAttr>(name).getValue()
                                       << "' is absent: it needs an input that is not given";
      ++numOutputs;
    }
    output.getValuesMutable().assign(values);
    output.setNamesAttr(ArrayAttr::get(&getContext(), names));
    return success();
  }

  void eraseInputs(GraphOp graph) {
    SmallVector<Attribute> names(graph.getInputNames().begin(), graph.getInputNames().end());
    SmallVector<Attribute> gone(absentInputs(graph));
    for (int i = int(names.size()) - 1; i >= 0; --i)
      if (isAbsent(graph.getBody().getArgument(i))) {
        (void)graph.eraseArgument(i);
        gone.push_back(names[i]);
        names.erase(names.begin() + i);
        ++numInputs;
      }
    graph.setInputNamesAttr(ArrayAttr::get(&getContext(), names));
    if (!gone.empty())
      graph.setAbsentInputsAttr(ArrayAttr::get(&getContext(), gone));
    graph.updateSignature();
  }

private:
  Counter numInputs{"inputs-absent"};
  Counter numAttentions{"attentions-uncached"};
  Counter numCacheOps{"cache-ops-gone"};
  Counter numOutputs{"outputs-absent"};
  Counter numPresent{"optionals-present"};
};
} // namespace
