// Creation, append and read of the reference cache.
#include "Reference/Cache.h"

#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include <algorithm>
#include <limits>

namespace graphc::reference {

static CacheSlot createSlot(layer::AttentionCacheType type, int64_t batch, int64_t capacity) {
  CacheSlot slot;
  for (auto [side, element] : {std::pair(&slot.keys, type.getKeys()), std::pair(&slot.values, type.getValues())}) {
    side->pin = layer::dtypeOf(element);
    side->rows = Tensor(side->pin.value_or(DType::F32), {batch, type.getKvHeads(), capacity, type.getHeadDim()});
    std::fill(side->rows.data.begin(), side->rows.data.end(), std::numeric_limits<double>::quiet_NaN());
  }
  slot.window = type.isRing() ? type.getWindow() : 0;
  slot.written.assign(batch, 0);
  return slot;
}

absl::StatusOr<CacheState> createCache(layer::CacheType type, int64_t batch, int64_t capacity) {
  if (batch < 1 || capacity < 1)
    return invalidArgument("cache must have at least one sequence and one row, got ", batch, " and ", capacity);
  int64_t total = 0;
  const auto count = [&](layer::AttentionCacheType slot) {
    const int64_t elements = elementCount({batch, slot.getKvHeads(), capacity, slot.getHeadDim()});
    total = elements < 0 || total < 0 ? -1 : total + 2 * elements;
  };
  for (layer::BlockCacheType block : type.getBlocks()) {
    count(block.getSelf());
    if (block.getCross())
      count(block.getCross());
  }
  if (total < 0 || total > (int64_t(1) << 31))
    return invalidArgument("reference cache of ", batch, " sequences of ", capacity,
                           " rows passes 2^31 elements; ask for a shorter session");
  CacheState cache;
  cache.capacity = capacity;
  cache.lengths.assign(batch, 0);
  for (layer::BlockCacheType block : type.getBlocks()) {
    cache.blocks.push_back({createSlot(block.getSelf(), batch, capacity), std::nullopt});
    if (block.getCross())
      cache.blocks.back().cross = createSlot(block.getCross(), batch, capacity);
  }
  return cache;
}

void appendRows(const Arithmetic &arithmetic, CacheRows &side, const Tensor &rows, const Tensor &positions,
                DType compute, bool converted) {
  const int64_t batch = rows.dim(0), kvHeads = rows.dim(1), tokens = rows.dim(2), headDim = rows.dim(3);
  const int64_t capacity = side.rows.dim(2);
  const DType pin = side.pin.value_or(compute);
  const Tensor stored = read(arithmetic, pin, converted ? rows : read(arithmetic, compute, rows));
  side.rows.dtype = arithmetic.isF64() ? DType::F64 : pin;
  if (!stored.radius.empty())
    side.rows.radius.resize(side.rows.data.size());
  for (int64_t i = 0; i < batch * kvHeads * tokens; ++i) { // i = (batch, kvHead, token)
    const int64_t position = int64_t(positions.data[i / (kvHeads * tokens) * tokens + i % tokens]);
    if (position < 0)
      continue;
    const int64_t from = i * headDim, to = (i / tokens * capacity + position) * headDim;
    std::copy_n(stored.data.begin() + from, headDim, side.rows.data.begin() + to);
    if (!stored.radius.empty())
      std::copy_n(stored.radius.begin() + from, headDim, side.rows.radius.begin() + to);
  }
}

Tensor readRows(const Arithmetic &arithmetic, const CacheRows &side, int64_t count, DType compute) {
  const int64_t heads = side.rows.dim(0) * side.rows.dim(1), capacity = side.rows.dim(2), headDim = side.rows.dim(3);
  Tensor rows(side.rows.dtype, {side.rows.dim(0), side.rows.dim(1), count, headDim});
  rows.radius.resize(side.rows.radius.empty() ? 0 : rows.data.size());
  for (auto [from, to] : {std::pair(&side.rows.data, &rows.data), std::pair(&side.rows.radius, &rows.radius)})
    for (int64_t h = 0; h < heads && !from->empty(); ++h)
      std::copy_n(from->begin() + h * capacity * headDim, count * headDim, to->begin() + h * count * headDim);
  return read(arithmetic, compute, std::move(rows));
}

} // namespace graphc::reference
