// Verifiers of attention and of the cache operations.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

static bool sameOrUnknown(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

static bool castsAreExplicit(Operation *op) {
  auto graph = op->getParentOfType<GraphOp>();
  return graph && graph.getCasts() == Casts::Explicit;
}

/// True if rows of `rows` can be quantised by an attention with queries of
/// `query`: their elements are rd_C(x) in a type that C holds. Null: not known.
static bool fitsCompute(Type rows, Type query) {
  const std::optional<DType> row = dtypeOf(rows), compute = query ? dtypeOf(query) : row;
  return row && compute && isComputeType(*row) && holds(*compute, *row);
}

/// Rows must have the slot's heads and head size, and its element types once
/// those are pinned and casts are explicit; rows of an 8-bit slot, which are
/// quantised on their way into it, a type that the query's holds.
static LogicalResult verifyRows(Operation *op, StringRef shapeLabel, StringRef typeLabel, AttentionCacheType slot,
                                Value key, Value value, Type query = {}) {
  for (auto [rows, element, side] :
       {std::tuple(key, slot.getKeys(), "key"), std::tuple(value, slot.getValues(), "value")}) {
    ArrayRef<int64_t> shape = shapeOf(rows);
    if (shape.size() != 4 || !sameOrUnknown(shape[1], slot.getKvHeads()) ||
        !sameOrUnknown(shape[3], slot.getHeadDim()))
      return op->emitOpError(shapeLabel) << ": " << side << " rows must be (batch, " << slot.getKvHeads()
                                         << ", tokens, " << slot.getHeadDim() << "), got " << rows.getType();
    if (!castsAreExplicit(op) || !slot.isPinned())
      continue;
    Type own = getElementTypeOrSelf(rows.getType());
    if (isScaled(element) && !fitsCompute(own, query))
      return op->emitOpError(typeLabel) << ": " << side << " rows of an 8-bit slot must fit the query's type, got "
                                        << rows.getType();
    if (!isScaled(element) && own != element)
      return op->emitOpError(typeLabel) << ": " << side << " rows must have the cache's type " << element
                                        << ", got " << rows.getType();
  }
  return success();
}

template <typename Op>
static LogicalResult verifyWindow(Op op, StringRef label) {
  if (op.getWindow() && (*op.getWindow() < 1 || !op.getCausal()))
    return op.emitOpError(label) << ": window must be positive and needs causal";
  return success();
}

RelativeBuckets graphc::layer::relativeBuckets(RelativeBiasAttr relative, Value bias) {
  return {shapeOf(bias).front(), relative.getMaxDistance(), bool(relative.getBidirectional())};
}

LogicalResult RelativeBiasAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, int64_t maxDistance,
                                       UnitAttr) {
  if (maxDistance < 1 || maxDistance > 4096)
    return emitError() << "relative_bias_c1: max_distance must be from 1 to 4096, got " << maxDistance;
  return success();
}

/// The table of a relative bias: (buckets, heads).
template <typename Op>
static LogicalResult verifyBias(Op op, StringRef label) {
  if (bool(op.getBias()) != bool(op.getRelative()))
    return op.emitOpError(label) << ": bias and relative must come together";
  if (!op.getBias())
    return success();
  ArrayRef<int64_t> bias = shapeOf(op.getBias());
  const int64_t heads = shapeOf(op.getQuery())[1];
  if (bias.size() != 2 || ShapedType::isDynamic(bias[0]) || bias[1] != heads)
    return op.emitOpError(label) << ": bias must be (buckets, " << heads << "), got " << op.getBias().getType();
  if (!relativeBuckets(*op.getRelative(), op.getBias()).areValid())
    return op.emitOpError(label) << ": bias needs at least two buckets a direction and max_distance beyond the exact "
                                 << "ones, got " << op.getBias().getType() << " and " << *op.getRelative();
  return success();
}

LogicalResult AttentionOp::verify() {
  const bool rows = getKey() && getValue();
  if (rows == bool(getCache()) || bool(getKey()) != bool(getValue()))
    return emitOpError("attention_c1: expected either key and value or a slot");
  ArrayRef<int64_t> q = shapeOf(getQuery());
  if (q.size() != 4)
    return emitOpError("attention_c2: query must be (batch, heads, tokens, headDim), got ") << getQuery().getType();
  if (failed(verifyBias(*this, "attention_c6")))
    return failure();
  int64_t kvHeads, headDim, valueDim;
  if (rows) {
    ArrayRef<int64_t> k = shapeOf(getKey()), v = shapeOf(getValue());
    if (k.size() != 4 || v.size() != 4 || k[1] != v[1])
      return emitOpError("attention_c2: key and value must be (batch, kvHeads, tokens, headDim), got ")
             << getKey().getType() << " and " << getValue().getType();
    kvHeads = k[1], headDim = k[3], valueDim = v[3];
  } else {
    auto slot = dyn_cast<AttentionCacheType>(getCache().getType());
    if (!slot) // an absent cache: the rows are not known here
      return verifyWindow(*this, "attention_c4");
    if (slot.isCross() && getCausal())
      return emitOpError("attention_c5: a cross slot is read without causal: its rows are another sequence's");
    kvHeads = slot.getKvHeads(), headDim = valueDim = slot.getHeadDim();
  }
  if (ShapedType::isDynamic(q[1]) || ShapedType::isDynamic(kvHeads) || q[1] % kvHeads ||
      !sameOrUnknown(q[3], headDim))
    return emitOpError("attention_c2: kv heads must divide heads and head sizes must agree, got ")
           << getQuery().getType() << " over " << kvHeads << " x " << headDim;
  ArrayRef<int64_t> y = shapeOf(getY());
  if (y.size() != 4 || !sameOrUnknown(y[1], q[1]) || !sameOrUnknown(y[3], valueDim))
    return emitOpError("attention_c3: result must be (batch, ")
           << q[1] << ", tokens, " << valueDim << "), got " << getY().getType();
  return verifyWindow(*this, "attention_c4");
}

LogicalResult CachedAttentionOp::verify() {
  AttentionCacheType slot = getCache().getType().getSlot(getBlock(), /*cross=*/false);
  if (!slot)
    return emitOpError("cached_attention_c1: cache has no block ") << getBlock();
  ArrayRef<int64_t> q = shapeOf(getQuery());
  if (q.size() != 4 || ShapedType::isDynamic(q[1]) || q[1] % slot.getKvHeads() ||
      !sameOrUnknown(q[3], slot.getHeadDim()))
    return emitOpError("cached_attention_c1: query must be (batch, a multiple of ")
           << slot.getKvHeads() << ", tokens, " << slot.getHeadDim() << "), got " << getQuery().getType();
  if (shapeOf(getY()) != q)
    return emitOpError("cached_attention_c2: result must have the query's shape, got ") << getY().getType();
  if (slot.isRing() && (!getWindow() || int64_t(*getWindow()) > slot.getWindow()))
    return emitOpError("cached_attention_c4: a ring of window ")
           << slot.getWindow() << " needs an attention window of at most that";
  if (failed(verifyWindow(*this, "cached_attention_c4")) || failed(verifyBias(*this, "cached_attention_c5")))
    return failure();
  return verifyRows(*this, "cached_attention_c1", "cached_attention_c3", slot, getKey(), getValue(),
                    getElementTypeOrSelf(getQuery().getType()));
}

LogicalResult CacheAppendOp::verify() {
  auto slot = dyn_cast<AttentionCacheType>(getCache().getType());
  return slot ? verifyRows(*this, "cache_append_c1", "cache_append_c2", slot, getKey(), getValue()) : success();
}

LogicalResult CacheStoreOp::verify() {
  auto slot = dyn_cast<AttentionCacheType>(getCache().getType());
  if (!slot) // an absent cache
    return success();
  if (!slot.isCross())
    return emitOpError("cache_store_c1: expected a cross slot, got ") << slot << "; use cache_append";
  return verifyRows(*this, "cache_store_c2", "cache_store_c3", slot, getKey(), getValue());
}

StringRef CacheStoreOp::getSelectedKind() { return AttentionOp::getOperationName().rsplit('.').second; }

/// A part must have the type its path has in the whole; none goes with none.
static LogicalResult verifyPart(Operation *op, StringRef label, Type whole, Type expected, Type part) {
  if (isa<graphc::layer::NoneType>(whole) ? isa<graphc::layer::NoneType>(part) : expected && expected == part)
    return success();
  if (!expected)
    return op->emitOpError(label) << ": " << whole << " has no such part";
  return op->emitOpError(label) << ": part must be " << expected << ", got " << part;
}

static Type blockOf(Type cache, int64_t index) {
  auto type = dyn_cast<CacheType>(cache);
  if (!type || index < 0 || index >= int64_t(type.getBlocks().size()))
    return {};
  return type.getBlocks()[index];
}

static Type slotOf(Type block, bool cross) {
  auto type = dyn_cast<BlockCacheType>(block);
  if (!type)
    return {};
  return cross ? type.getCross() : type.getSelf();
}

LogicalResult GetBlockCacheOp::verify() {
  Type whole = getCache().getType();
  return verifyPart(*this, "get_c1", whole, blockOf(whole, getBlock()), getPart().getType());
}

LogicalResult GetAttentionCacheOp::verify() {
  Type whole = getCache().getType();
  return verifyPart(*this, "get_c1", whole, slotOf(whole, getCross()), getPart().getType());
}

LogicalResult PutBlockCacheOp::verify() {
  Type whole = getCache().getType();
  return verifyPart(*this, "put_c1", whole, blockOf(whole, getBlock()), getPart().getType());
}

LogicalResult PutAttentionCacheOp::verify() {
  Type whole = getCache().getType();
  return verifyPart(*this, "put_c1", whole, slotOf(whole, getCross()), getPart().getType());
}

void GetBlockCacheOp::inferCacheTypes() {
  if (Type part = blockOf(getCache().getType(), getBlock()))
    getPart().setType(part);
}

void GetAttentionCacheOp::inferCacheTypes() {
  if (Type part = slotOf(getCache().getType(), getCross()))
    getPart().setType(part);
}

/// The slot's type for the rows in `operand`, if that is its keys or values.
static Type rowElement(AttentionCacheType slot, OpOperand *keys, OpOperand *values, unsigned operand) {
  if (slot && operand == keys->getOperandNumber())
    return slot.getKeys();
  return slot && operand == values->getOperandNumber() ? slot.getValues() : Type();
}

Type CacheAppendOp::getRowElement(unsigned operand) {
  return rowElement(dyn_cast<AttentionCacheType>(getCache().getType()), &getKeyMutable(), &getValueMutable(), operand);
}

Type CacheStoreOp::getRowElement(unsigned operand) {
  return rowElement(dyn_cast<AttentionCacheType>(getCache().getType()), &getKeyMutable(), &getValueMutable(), operand);
}

Type CachedAttentionOp::getRowElement(unsigned operand) {
  return rowElement(getCache().getType().getSlot(getBlock(), /*cross=*/false), &getKeyMutable(), &getValueMutable(),
                    operand);
}

bool CacheAppendOp::consumesCache(unsigned operand) { return operand == 0; }
bool CacheStoreOp::consumesCache(unsigned operand) { return operand == getCacheMutable().getOperandNumber(); }
bool PutBlockCacheOp::consumesCache(unsigned) { return true; }
bool PutAttentionCacheOp::consumesCache(unsigned) { return true; }
bool CacheAdvanceOp::consumesCache(unsigned operand) { return operand == 0; }
bool CachedAttentionOp::consumesCache(unsigned operand) { return isCache(getOperand(operand).getType()); }
