// Verifiers of seed mode's tensor ops.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

static bool compatible(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           auto [x, y] = pair;
           return ShapedType::isDynamic(x) || ShapedType::isDynamic(y) || x == y;
         });
}

static bool isScalar(Value value) { return shapeOf(value).empty(); }

LogicalResult UnpackOp::verify() {
  if (TypeRange(getX().getType().getTypes()) != TypeRange(getYs()))
    return emitOpError("unpack_c1: result types must be the container's");
  return success();
}

LogicalResult RepeatHeadsOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  const int64_t times = getTimes();
  if (x.size() != 4 || times < 1 || ShapedType::isDynamic(x[1]) ||
      !compatible({x[0], x[1] * times, x[2], x[3]}, shapeOf(getY())))
    return emitOpError("repeat_heads_c1: expected (batch, kvHeads, tokens, headDim) to (batch, kvHeads * ")
           << times << ", tokens, headDim), got " << getX().getType() << " to " << getY().getType();
  return success();
}

LogicalResult SeedGetOp::verify() {
  const uint64_t count = getXs().size(), first = getFirst();
  if (first > count || getYs().size() > count - first || getYs().empty())
    return emitOpError("seed_get_c1: leaves ") << first << " to " << first << " + " << getYs().size()
                                               << " are not among " << count;
  for (auto [leaf, y] : llvm::zip(getXs().drop_front(first), getYs()))
    if (!compatible(shapeOf(leaf), shapeOf(y)))
      return emitOpError("seed_get_c2: result must have its leaf's shape, got ") << leaf.getType() << " to "
                                                                                 << y.getType();
  return success();
}

LogicalResult SeedPutOp::verify() {
  const uint64_t leaves = getYs().size(), first = getFirst();
  if (getXs().size() <= leaves || first > leaves || getXs().size() - leaves > leaves - first)
    return emitOpError("seed_put_c1: ") << int64_t(getXs().size()) - int64_t(leaves) << " parts at " << first
                                        << " do not fit into " << leaves << " leaves";
  for (uint64_t i = 0; i < leaves; ++i)
    if (!compatible(shapeOf(getXs()[i]), shapeOf(getYs()[i])))
      return emitOpError("seed_put_c2: result must have its leaf's shape, got ")
             << getXs()[i].getType() << " to " << getYs()[i].getType();
  for (auto [part, y] : llvm::zip(getXs().drop_front(leaves), getYs().drop_front(first)))
    if (!compatible(shapeOf(part), shapeOf(y)))
      return emitOpError("seed_put_c2: part must have its leaf's shape, got ") << part.getType() << " for "
                                                                               << y.getType();
  return success();
}

LogicalResult SeedOffsetOp::verify() {
  if (!isScalar(getOffset()) || !isScalar(getY()))
    return emitOpError("seed_offset_c1: offset must be a scalar, got ")
           << getOffset().getType() << " to " << getY().getType();
  return success();
}

LogicalResult SeedAdvanceOp::verify() {
  bool agree = getXs().size() == getYs().size() && isScalar(getOffset()) && isScalar(getUpdated());
  for (auto [leaf, y] : llvm::zip(getXs(), getYs()))
    agree = agree && compatible(shapeOf(leaf), shapeOf(y));
  if (!agree)
    return emitOpError("seed_advance_c1: expected one result per leaf, of its shape, and scalar offsets");
  return success();
}

LogicalResult SeedUpdateOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX()), rows = shapeOf(getRows());
  if (x.size() != 4 || rows.size() != 4 || !compatible({x[0], x[2], x[3]}, {rows[0], rows[1], rows[3]}) ||
      !compatible(x, shapeOf(getY())) || !isScalar(getOffset()))
    return emitOpError("seed_update_c1: expected (batch, maxLen, heads, headDim), rows (batch, heads, tokens, "
                       "headDim) and a scalar, got ")
           << getX().getType() << ", " << getRows().getType() << ", " << getOffset().getType();
  return success();
}

LogicalResult SeedMergeMaskOp::verify() {
  if (shapeOf(getMask()).size() != 2 || !compatible(shapeOf(getMask()), shapeOf(getY())) || !isScalar(getOffset()))
    return emitOpError("seed_merge_mask_c1: expected (batch, maxLen) and a scalar, got ")
           << getMask().getType() << ", " << getOffset().getType();
  return success();
}

LogicalResult SeedLengthsOp::verify() {
  ArrayRef<int64_t> mask = shapeOf(getMask());
  if (mask.size() != 2 || !compatible({mask[0]}, shapeOf(getY())))
    return emitOpError("seed_lengths_c1: expected (batch, maxLen) to (batch), got ")
           << getMask().getType() << " to " << getY().getType();
  return success();
}

LogicalResult SeedKeyPositionsOp::verify() {
  if (shapeOf(getMask()).size() != 2 || !compatible(shapeOf(getMask()), shapeOf(getY())))
    return emitOpError("seed_key_positions_c1: expected (batch, maxLen) to the same, got ")
           << getMask().getType() << " to " << getY().getType();
  return success();
}

LogicalResult SeedAttentionOp::verify() {
  ArrayRef<int64_t> q = shapeOf(getQuery()), k = shapeOf(getKeys()), v = shapeOf(getValues());
  if (q.size() != 4 || k.size() != 4 || v.size() != 4 || !compatible({q[0], q[1], q[3]}, {k[0], k[2], k[3]}) ||
      !compatible({k[0], k[1], k[2]}, {v[0], v[1], v[2]}) ||
      !compatible({q[0], q[1], q[2], v[3]}, shapeOf(getY())) ||
      !compatible({k[0], k[1]}, shapeOf(getKeyPositions())))
    return emitOpError("seed_attention_c1: expected query (batch, heads, tokens, headDim), keys and values (batch, "
                       "maxLen, heads, headDim), key positions (batch, maxLen), got ")
           << getQuery().getType() << ", " << getKeys().getType() << ", " << getValues().getType() << ", "
           << getKeyPositions().getType();
  if (getWindow() && (*getWindow() < 1 || !getCausal()))
    return emitOpError("seed_attention_c2: window must be positive and needs causal");
  return success();
}
