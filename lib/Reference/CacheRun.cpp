// Attention and the cache ops of a graph (numerics A1): new rows are stored as
// pin(rd_C(row)), and every visible row, the new ones too, is read back from its
// stored form.
#include "Reference/Run.h"

#include <algorithm>

using namespace mlir;

namespace graphc::reference {

CacheSlot &Run::slotOf(const Item &item) {
  CacheBlock &block = cache->blocks[item.block];
  return item.cross ? *block.cross : block.self;
}

absl::Status Run::visit(layer::CacheOffsetOp op) {
  Tensor lengths(DType::I32, {ids.dim(0)});
  if (!isAbsent(op.getCache()))
    std::copy(cache->lengths.begin(), cache->lengths.end(), lengths.data.begin());
  return define(op->getResult(0), std::move(lengths));
}

absl::Status Run::visit(layer::PositionsOp op) {
  const TensorPtr tokens = tensor(op.getIds());
  const TensorPtr offset = op.getOffset() ? tensor(op.getOffset()) : nullptr;
  const TensorPtr visible = op.getMask() ? tensor(op.getMask()) : nullptr; // null too if absent
  if (tokens->shape.size() != 2 || (offset && offset->shape != std::vector{tokens->dim(0)}) ||
      (visible && visible->shape != tokens->shape))
    return layerError(op, "offset and mask do not fit ids of ", describe(*tokens));
  Tensor positions(DType::I32, tokens->shape);
  for (int64_t b = 0; b < tokens->dim(0); ++b) {
    double next = offset ? offset->data[b] : 0;
    for (int64_t i = b * tokens->dim(1); i < (b + 1) * tokens->dim(1); ++i)
      positions.data[i] = visible && visible->data[i] == 0 ? -1 : next++;
  }
  return define(op->getResult(0), std::move(positions));
}

/// Number of tokens of sequence b that are not padding.
static int64_t visibleTokens(const Tensor &positions, int64_t b) {
  const auto first = positions.data.begin() + b * positions.dim(1);
  return std::count_if(first, first + positions.dim(1), [](double p) { return p >= 0; });
}

absl::Status Run::visit(layer::CacheAdvanceOp op) {
  defineCache(op.getUpdated(), -1, false);
  if (isAbsent(op.getCache()))
    return absl::OkStatus();
  const TensorPtr positions = tensor(op.getPositions());
  if (positions->shape.size() != 2 || positions->dim(0) != cache->batch())
    return layerError(op, "positions of ", describe(*positions), " do not fit the cache");
  for (int64_t b = 0; b < cache->batch(); ++b)
    cache->lengths[b] += int32_t(visibleTokens(*positions, b));
  return absl::OkStatus();
}

absl::Status Run::append(Operation *op, CacheSlot &slot, bool cross, const Tensor &key, const Tensor &value,
                         const Tensor &positions, DType compute) {
  for (auto [rows, side] : {std::pair(&key, &slot.keys), std::pair(&value, &slot.values)})
    if (rows->shape != std::vector{slot.batch(), side->rows.dim(1), positions.columns(), side->rows.dim(3)} ||
        positions.shape != std::vector{slot.batch(), rows->dim(2)})
      return layerError(op, "rows of ", describe(*rows), " at ", describe(positions), " do not fit the slot of ",
                        describe(side->rows));
  for (int64_t i = 0; i < positions.size(); ++i) {
    if (positions.data[i] >= double(slot.capacity()))
      return layerError(op, "row ", int64_t(positions.data[i]), " is beyond the capacity of ", slot.capacity());
    int32_t &written = slot.written[i / positions.dim(1)];
    if (cross)
      written = std::max(written, int32_t(positions.data[i]) + 1);
  }
  // Explicit casts have already made rows of a pinned cache its values, or those
  // of the compute type that are quantised here.
  for (auto [rows, side] : {std::pair(&key, &slot.keys), std::pair(&value, &slot.values)})
    appendRows(arithmetic, *side, *rows, positions, compute, /*converted=*/castsAreExplicit() && side->pin.has_value());
  return absl::OkStatus();
}

absl::Status Run::visit(layer::CacheAppendOp op) {
  const Item target = item(op.getCache());
  defineCache(op.getUpdated(), target.block, target.cross);
  if (isAbsent(op.getCache())) { // what attention reads then: the new rows alone
    items[op.getUpdated()] = {Item::Kind::Group, nullptr, -1, false, {item(op.getKey()), item(op.getValue())}};
    return absl::OkStatus();
  }
  // The compute type at the cache is that of the attention that reads the slot.
  const TensorPtr key = tensor(op.getKey()), value = tensor(op.getValue());
  DType compute = DType::F32;
  for (Operation *user : op.getUpdated().getUsers())
    if (isa<layer::AttentionOp>(user))
      compute = computeType(user);
  return append(op, slotOf(target), target.cross, *key, *value, *tensor(op.getPositions()), compute);
}

absl::Status Run::visit(layer::CacheStoreOp op) {
  const DType compute = computeType(op);
  const TensorPtr key = operand(op, op.getKey()), value = operand(op, op.getValue());
  const TensorPtr positions = tensor(op.getPositions());
  const Item target = item(op.getCache());
  defineCache(op.getUpdated(), target.block, target.cross);
  CacheSlot &slot = slotOf(target);
  if (positions->shape.size() != 2 || positions->dim(0) != slot.batch())
    return layerError(op, "positions of ", describe(*positions), " do not fit the cache");
  for (int64_t b = 0; b < slot.batch(); ++b)
    if (visibleTokens(*positions, b) > 0)
      dropRows(slot, b);
  return append(op, slot, target.cross, *key, *value, *positions, compute);
}

bool Run::wants(Operation *op, unsigned result) const {
  return result < op->getNumResults() && (!op->getResult(result).use_empty() || state.options.observe);
}

absl::Status Run::attend(Operation *op, const Tensor &query, const Tensor &key, const Tensor &value,
                         const Tensor &positions, const Tensor &keyPositions, const AttentionSettings &settings,
                         unsigned weightsResult, RowScales scales) {
  if (query.shape.size() != 4 || key.shape.size() != 4 || value.shape.size() != 4 ||
      positions.shape != std::vector{query.dim(0), query.dim(2)} || key.dim(0) != query.dim(0) ||
      key.dim(1) < 1 || query.dim(1) % key.dim(1) || key.dim(3) != query.dim(3) ||
      value.shape != std::vector{key.dim(0), key.dim(1), key.dim(2), value.dim(3)} ||
      keyPositions.shape != std::vector{key.dim(0), key.dim(2)})
    return layerError(op, "operands do not fit: query ", describe(query), ", key ", describe(key), ", value ",
                      describe(value), ", positions ", describe(positions));
  // The weights may have an output type of their own; the values are the same.
  AttentionResult result =
      attention(arithmetic, query, key, value, positions, keyPositions, settings, rounding(op, 0), scales);
  if (settings.wantWeights) {
    const Rounding own = rounding(op, weightsResult);
    if (own.output != rounding(op, 0).output)
      result.weights = attention(arithmetic, query, key, value, positions, keyPositions, settings, own, scales).weights;
    if (absl::Status status = define(op->getResult(weightsResult), std::move(result.weights)); !status.ok())
      return status;
  }
  return define(op->getResult(0), std::move(result.y));
}

absl::Status Run::attendOver(Operation *op, const CacheSlot &slot, bool cross, const Tensor &query,
                             const Tensor &positions, AttentionSettings settings, unsigned weightsResult) {
  if (positions.shape.size() != 2 || positions.dim(0) != slot.batch())
    return layerError(op, "positions of ", describe(positions), " do not fit the cache");
  std::vector<int64_t> rows(slot.batch());
  for (int64_t b = 0; b < slot.batch(); ++b)
    rows[b] = cross ? slot.written[b]
                    : std::min(cache->lengths[b] + visibleTokens(positions, b), slot.capacity());
  const int64_t count = *std::max_element(rows.begin(), rows.end());
  Tensor keyPositions(DType::I32, {slot.batch(), count});
  for (int64_t i = 0; i < keyPositions.size(); ++i)
    keyPositions.data[i] = i % count < rows[i / count] ? double(i % count) : -1;
  if (slot.window)
    settings.window = settings.window ? std::min(settings.window, slot.window) : slot.window;
  Tensor keyScales, valueScales;
  RowScales scales;
  for (auto [side, tensor, used] : {std::tuple(&slot.keys, &keyScales, &scales.keys),
                                    std::tuple(&slot.values, &valueScales, &scales.values)})
    if (side->isScaled()) {
      *tensor = readScales(*side, count);
      *used = tensor;
    }
  return attend(op, query, readRows(arithmetic, slot.keys, count, settings.compute),
                readRows(arithmetic, slot.values, count, settings.compute), positions, keyPositions, settings,
                weightsResult, scales);
}

/// `bias` is the table as the layer reads it, or null.
template <typename Op>
static AttentionSettings settingsOf(Op op, DType compute, bool wantWeights, const TensorPtr &bias) {
  AttentionSettings settings = {op.getScale().convertToDouble(), op.getCausal(), int64_t(op.getWindow().value_or(0)),
                                compute, wantWeights};
  if (bias) {
    settings.bias = bias.get();
    settings.buckets = layer::relativeBuckets(*op.getRelative(), op.getBias());
  }
  return settings;
}

absl::Status Run::visit(layer::AttentionOp op) {
  const DType compute = computeType(op);
  const TensorPtr bias = op.getBias() ? operand(op, op.getBias()) : nullptr;
  const AttentionSettings settings = settingsOf(op, compute, wants(op, 1), bias);
  const TensorPtr query = operand(op, op.getQuery()), positions = tensor(op.getPositions());
  TensorPtr key, value;
  if (op.getCache()) {
    const Item &slot = item(op.getCache());
    if (slot.kind == Item::Kind::Cache)
      return attendOver(op, slotOf(slot), slot.cross, *query, *positions, settings, 1);
    if (slot.group.size() != 2)
      return layerError(op, "there is no cache and there are no new rows");
    key = slot.group[0].tensor, value = slot.group[1].tensor;
  } else {
    key = tensor(op.getKey()), value = tensor(op.getValue());
  }
  // Without a cache rows are read as rd_C too.
  return attend(op, *query, read(arithmetic, compute, *key), read(arithmetic, compute, *value), *positions, *positions,
                settings, 1);
}

absl::Status Run::visit(layer::CachedAttentionOp op) {
  const DType compute = computeType(op);
  const TensorPtr query = operand(op, op.getQuery()), positions = tensor(op.getPositions());
  const TensorPtr key = operand(op, op.getKey()), value = operand(op, op.getValue());
  const TensorPtr bias = op.getBias() ? operand(op, op.getBias()) : nullptr;
  defineCache(op.getUpdated(), -1, false);
  if (query->shape.size() != 4 || key->shape.size() != 4 || value->shape.size() != 4)
    return layerError(op, "query, key and value must be (batch, heads, tokens, headDim)");
  CacheSlot &slot = cache->blocks[op.getBlock()].self;
  if (absl::Status status = append(op, slot, /*cross=*/false, *key, *value, *positions, compute); !status.ok())
    return status;
  return attendOver(op, slot, /*cross=*/false, *query, *positions, settingsOf(op, compute, wants(op, 2), bias), 2);
}

} // namespace graphc::reference
