// The exact folds of numerics.md section 3. Ops are visited from the last to the
// first, so that a demand for a type travels up through data movement in one
// round; rounds repeat until nothing changes.
#include "IR/Counters.h"
#include "IR/LayerNames.h"
#include "passes/layer/Casts.h"
#include "passes/layer/Passes.h"

namespace graphc::layer {
#define GEN_PASS_DEF_FOLDCASTS
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

static Type elementOf(Value value) { return getElementTypeOrSelf(value.getType()); }

/// True if every value of `narrow` is one of `wide`; false for types outside the
/// table of dtypes, which take part in no fold.
static bool holdsType(Type wide, Type narrow) {
  auto w = dtypeOf(wide), n = dtypeOf(narrow);
  return w && n && holds(*w, *n);
}

/// A type that is proved to hold `value`: its own, or a narrower one that it was
/// widened or moved from (numerics F4).
static Type provedType(Value value, unsigned depth = 16) {
  const Type own = elementOf(value);
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0)
    return own;
  Type proved;
  if (auto cast = dyn_cast<CastOp>(op)) {
    proved = provedType(cast.getX(), depth - 1);
  } else if (auto layer = dyn_cast<PolicyLayer>(op); layer && layer.movesDataOnly()) {
    for (OpOperand &operand : op->getOpOperands()) {
      if (!layer.followsCompute(operand.getOperandNumber()))
        continue;
      Type type = provedType(operand.get(), depth - 1);
      if (proved && proved != type)
        return own;
      proved = type;
    }
  }
  return proved && holdsType(own, proved) ? proved : own;
}

namespace {
struct FoldCasts : graphc::layer::impl::FoldCastsBase<FoldCasts> {
  using FoldCastsBase::FoldCastsBase;

  void runOnOperation() override {
    GraphOp graph = getOperation();
    if (graph.getCasts() != Casts::Explicit) {
      emitError(graph.getLoc(), "casts must be explicit before they fold; run layer-materialize-casts first");
      return signalPassFailure();
    }
    for (changed = true; changed;) {
      changed = false;
      for (Operation &op : llvm::make_early_inc_range(llvm::reverse(graph.getBody().front()))) {
        for (OpResult result : op.getResults())
          moveToProducer(result);
        if (auto cast = dyn_cast<CastOp>(op))
          foldCast(cast);
      }
    }
    for (CastOp cast : graph.getBody().front().getOps<CastOp>())
      countKept(cast);
    reportCounters(graph, getArgument(), report, {&numSame, &numThrough, &numMerged, &numMoved, &numThroughData,
                       &numDead, &numKeptParameter, &numKeptWidening, &numKeptDiffer, &numKeptLossy,
                       &numKeptInput});
  }

private:
  void replace(CastOp cast, Value value) {
    cast.replaceAllUsesWith(value);
    cast.erase();
    changed = true;
  }

  void foldCast(CastOp cast) {
    if (cast->use_empty()) {
      cast.erase();
      changed = true;
      ++numDead;
      return;
    }
    // rd_T(exact x) = rd_T(x); the inner cast is exact if its type holds x.
    if (auto inner = cast.getX().getDefiningOp<CastOp>();
        inner && holdsType(elementOf(inner.getY()), provedType(inner.getX()))) {
      cast.setBecauseAttr(joinReasons(inner.getBecauseAttr(), cast.getBecauseAttr(), getArgument()));
      cast.getXMutable().assign(inner.getX());
      changed = true;
      ++numThrough;
    }
    if (cast.getX().getType() == cast.getY().getType()) {
      ++numSame;
      return replace(cast, cast.getX());
    }
    // Equal casts of one value: the first one stays. All of this comes after
    // `cast` in the block, or another visit handles it.
    for (Operation *user : llvm::make_early_inc_range(cast.getX().getUsers()))
      if (auto other = dyn_cast<CastOp>(user);
          other && other != cast && other.getY().getType() == cast.getY().getType() && cast->isBeforeInBlock(other)) {
        cast.setBecauseAttr(joinReasons(cast.getBecauseAttr(), other.getBecauseAttr(), getArgument()));
        ++numMerged;
        replace(other, cast.getY());
      }
  }

  /// The narrower type that every use of `value` rounds it to, if there is one:
  /// by a cast, or by a layer that only moves it.
  static Type demandedType(Value value) {
    Type demanded;
    for (OpOperand &use : value.getUses()) {
      Type type;
      if (auto cast = dyn_cast<CastOp>(use.getOwner()))
        type = elementOf(cast.getY());
      else if (auto layer = dyn_cast<PolicyLayer>(use.getOwner());
               layer && layer.movesDataOnly() && layer.followsCompute(use.getOperandNumber()) &&
               layer->getNumResults() == 1)
        type = elementOf(layer->getResult(0));
      if (!type || type == elementOf(value) || (demanded && type != demanded))
        return {};
      demanded = type;
    }
    return demanded && holdsType(elementOf(value), demanded) ? demanded : Type();
  }

  /// True if the rounding to `value`'s own type changes nothing, so that a
  /// narrower rounding may take its place: the interior is of that type, the
  /// moved operands are, or it was widened.
  static bool roundsNothing(OpResult value) {
    const Type own = elementOf(value);
    if (auto cast = dyn_cast<CastOp>(value.getOwner()))
      return holdsType(own, provedType(cast.getX()));
    auto layer = dyn_cast<PolicyLayer>(value.getOwner());
    if (!layer || !layer.followsOutput(value.getResultNumber()))
      return false;
    if (!layer.movesDataOnly())
      return holdsType(own, layer.getAccumulationType());
    return llvm::all_of(layer->getOpOperands(), [&](OpOperand &operand) {
      return !layer.followsCompute(operand.getOperandNumber()) || holdsType(own, provedType(operand.get()));
    });
  }

  /// F5 and F6: the producer writes what all uses ask for.
  void moveToProducer(OpResult value) {
    if (!isFloatTensor(value.getType()))
      return;
    Type demanded = demandedType(value);
    if (!demanded || !roundsNothing(value))
      return;
    const bool throughData = !llvm::all_of(value.getUsers(), llvm::IsaPred<CastOp>);
    value.setType(withElement(value.getType(), demanded));
    for (Operation *user : llvm::make_early_inc_range(value.getUsers()))
      if (auto cast = dyn_cast<CastOp>(user))
        replace(cast, value);
    changed = true;
    ++(throughData ? numThroughData : numMoved);
  }

  void countKept(CastOp cast) {
    Operation *producer = cast.getX().getDefiningOp();
    const auto kept = [&](Counter &counter, StringRef reason) {
      countMissed(cast, getArgument(), counter, valueName(cast), reason);
    };
    if (isa_and_nonnull<ParamOp>(producer))
      kept(numKeptParameter, "a parameter is converted");
    else if (!holdsType(elementOf(cast.getX()), elementOf(cast.getY())))
      holdsType(elementOf(cast.getY()), elementOf(cast.getX()))
          ? kept(numKeptWidening, "it widens, so the interior type of a layer says nothing")
          : kept(numKeptLossy, "the value is rounded already, to a type that is no subset");
    else if (!isa_and_nonnull<PolicyLayer, CastOp>(producer))
      kept(numKeptInput, "the value has no producer that could round it");
    else if (!demandedType(cast.getX()))
      kept(numKeptDiffer, "the value has uses in other types");
    else
      kept(numKeptLossy, "the value is rounded already, to a type that is no subset");
  }

  bool changed = false;

private:
  Counter numSame{"folded-same-type"};
  Counter numThrough{"folded-through-exact"};
  Counter numMerged{"merged"};
  Counter numMoved{"moved-to-producer"};
  Counter numThroughData{"moved-through-data"};
  Counter numDead{"dead"};
  Counter numKeptParameter{"kept-parameter"};
  Counter numKeptWidening{"kept-widening"};
  Counter numKeptDiffer{"kept-uses-differ"};
  Counter numKeptLossy{"kept-lossy"};
  Counter numKeptInput{"kept-no-producer"};
};
} // namespace
