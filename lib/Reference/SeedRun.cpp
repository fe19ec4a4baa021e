// Seed mode: what a cache costs that follows the policy. Each op that carries
// leaves reads them in its compute type and returns them in its output type;
// the meaning of the ops is LayerSeed.td's.
#include "Reference/Run.h"

#include <algorithm>

using namespace mlir;

namespace graphc::reference {

absl::StatusOr<CacheState> createSeedCache(layer::ContainerType type, int64_t batch, int64_t capacity) {
  if (batch < 1 || capacity < 1)
    return invalidArgument("cache must have at least one sequence and one row, got ", batch, " and ", capacity);
  CacheState cache;
  cache.capacity = capacity;
  cache.lengths.assign(batch, 0);
  int64_t total = 0;
  for (Type leaf : type.getTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(leaf);
    if (!tensor || tensor.getRank() > 4 || tensor.getRank() == 1)
      return invalidArgument("cache must hold leaves, an offset and a mask, got ", spell(leaf));
    std::vector<int64_t> shape = {batch, capacity};
    if (tensor.getRank() == 4)
      shape.insert(shape.end(), {tensor.getDimSize(2), tensor.getDimSize(3)});
    else if (tensor.getRank() == 0)
      shape.clear();
    const int64_t elements = elementCount(shape);
    if (elements < 0 || (total += elements) > (int64_t(1) << 31))
      return invalidArgument("seed cache of ", batch, " sequences of ", capacity,
                             " rows passes 2^31 elements; ask for a shorter session");
    cache.seed.emplace_back(layer::dtypeOf(tensor.getElementType()).value_or(DType::F32), std::move(shape));
  }
  return cache;
}

absl::Status keepSeedCache(CacheState &cache, llvm::ArrayRef<Item> leaves) {
  if (leaves.size() != cache.seed.size())
    return invalidArgument("graph must return a cache of ", cache.seed.size(), " leaves, got ", leaves.size());
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (!leaves[i].tensor || leaves[i].tensor->shape != cache.seed[i].shape)
      return invalidArgument("graph must return a cache of the shapes that it takes");
    cache.seed[i].data = leaves[i].tensor->data;
    if (cache.seed[i].shape.empty()) // the offset: every sequence has as many rows
      std::fill(cache.lengths.begin(), cache.lengths.end(), int32_t(cache.seed[i].data[0]));
  }
  return absl::OkStatus();
}

/// Result `result` = the leaf, read and rounded as the layer rule says.
absl::Status Run::carry(Operation *op, unsigned result, Value leaf) {
  return define(op->getResult(result), cast(arithmetic, *operand(op, leaf), rounding(op, result)));
}

absl::Status Run::visit(layer::SeedGetOp op) {
  for (unsigned i = 0; i < op.getYs().size(); ++i)
    if (absl::Status status = carry(op, i, op.getXs()[op.getFirst() + i]); !status.ok())
      return status;
  return absl::OkStatus();
}

absl::Status Run::visit(layer::SeedPutOp op) {
  const uint64_t leaves = op.getYs().size(), parts = op.getXs().size() - leaves, first = op.getFirst();
  for (unsigned i = 0; i < leaves; ++i) {
    const bool replaced = i >= first && i < first + parts;
    if (absl::Status status = carry(op, i, op.getXs()[replaced ? leaves + i - first : i]); !status.ok())
      return status;
  }
  return absl::OkStatus();
}

absl::Status Run::visit(layer::SeedOffsetOp op) { return defineShared(op->getResult(0), tensor(op.getOffset())); }

absl::Status Run::visit(layer::SeedAdvanceOp op) {
  for (unsigned i = 0; i < op.getYs().size(); ++i)
    if (absl::Status status = carry(op, i, op.getXs()[i]); !status.ok())
      return status;
  Tensor offset = *tensor(op.getOffset());
  offset.data[0] += double(tensor(op.getPositions())->columns());
  return define(op->getResult(op->getNumResults() - 1), std::move(offset));
}

absl::Status Run::visit(layer::SeedUpdateOp op) {
  const TensorPtr rows = operand(op, op.getRows());
  Tensor x = *operand(op, op.getX());
  const int64_t batch = x.dim(0), capacity = x.dim(1), heads = x.dim(2), headDim = x.dim(3), tokens = rows->dim(2);
  const int64_t offset = int64_t(tensor(op.getOffset())->data[0]);
  if (rows->dim(0) != batch || rows->dim(1) != heads || rows->dim(3) != headDim || offset < 0 ||
      offset + tokens > capacity)
    return layerError(op, "rows of ", describe(*rows), " at ", offset, " do not fit ", describe(x));
  for (int64_t i = 0; i < rows->size(); ++i) { // rows are (batch, heads, tokens, headDim)
    const int64_t d = i % headDim, t = i / headDim % tokens, h = i / (headDim * tokens) % heads,
                  b = i / (headDim * tokens * heads);
    x.data[((b * capacity + offset + t) * heads + h) * headDim + d] = rows->data[i];
  }
  if (!holds(x.dtype, rows->dtype)) // the written rows may be wider than the old ones
    x.dtype = DType::F32;
  return define(op->getResult(0), cast(arithmetic, x, rounding(op, 0)));
}

absl::Status Run::visit(layer::SeedMergeMaskOp op) {
  Tensor y = *tensor(op.getMask());
  const TensorPtr positions = tensor(op.getPositions());
  const int64_t offset = int64_t(tensor(op.getOffset())->data[0]), tokens = positions->columns();
  if (positions->shape.size() != 2 || positions->dim(0) != y.dim(0) || offset < 0 || offset + tokens > y.dim(1))
    return layerError(op, "positions of ", describe(*positions), " at ", offset, " do not fit ", describe(y));
  for (int64_t i = 0; i < positions->size(); ++i)
    y.data[i / tokens * y.dim(1) + offset + i % tokens] = positions->data[i] >= 0;
  return define(op->getResult(0), std::move(y));
}

absl::Status Run::visit(layer::SeedLengthsOp op) {
  const TensorPtr visible = tensor(op.getMask());
  Tensor lengths(DType::I32, {visible->dim(0)});
  for (int64_t i = 0; i < visible->size(); ++i)
    lengths.data[i / visible->dim(1)] += visible->data[i];
  return define(op->getResult(0), std::move(lengths));
}

absl::Status Run::visit(layer::SeedKeyPositionsOp op) {
  const TensorPtr visible = tensor(op.getMask());
  Tensor positions(DType::I32, visible->shape);
  double next = 0;
  for (int64_t i = 0; i < visible->size(); ++i) {
    next = i % visible->dim(1) ? next : 0;
    positions.data[i] = visible->data[i] != 0 ? next++ : -1;
  }
  return define(op->getResult(0), std::move(positions));
}

/// (batch, rows, heads, headDim) to (batch, heads, rows, headDim).
static Tensor byHeads(const Tensor &x) {
  const int64_t batch = x.dim(0), rows = x.dim(1), heads = x.dim(2), headDim = x.dim(3);
  Tensor y(x.dtype, {batch, heads, rows, headDim});
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t d = i % headDim, h = i / headDim % heads, r = i / (headDim * heads) % rows,
                  b = i / (headDim * heads * rows);
    y.data[((b * heads + h) * rows + r) * headDim + d] = x.data[i];
  }
  return y;
}

absl::Status Run::visit(layer::SeedAttentionOp op) {
  const DType compute = computeType(op);
  const AttentionSettings settings{op.getScale().convertToDouble(), op.getCausal(),
                                   int64_t(op.getWindow().value_or(0)), compute, wants(op, 1)};
  const TensorPtr query = operand(op, op.getQuery());
  const Tensor keys = byHeads(*operand(op, op.getKeys())), values = byHeads(*operand(op, op.getValues()));
  return attend(op, *query, keys, values, *tensor(op.getPositions()), *tensor(op.getKeyPositions()), settings, 1);
}

} // namespace graphc::reference
