// Creation, append and read of the reference cache.
#include "Reference/Cache.h"

#include "Reference/Quantize.h"
#include "Support/Message.h"
#include "graphc/IR/Layer.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace graphc::reference {

static CacheSlot createSlot(layer::AttentionCacheType type, int64_t batch, int64_t capacity) {
  CacheSlot slot;
  for (auto [side, element] : {std::pair(&slot.keys, type.getKeys()), std::pair(&slot.values, type.getValues())}) {
    side->pin = layer::dtypeOf(element);
    side->rows = Tensor(side->pin.value_or(DType::F32), {batch, type.getKvHeads(), capacity, type.getHeadDim()});
    if (side->isScaled())
      side->scales = Tensor(DType::F32, {batch, type.getKvHeads(), capacity});
    for (Tensor *tensor : {&side->rows, &side->scales})
      std::fill(tensor->data.begin(), tensor->data.end(), std::numeric_limits<double>::quiet_NaN());
  }
  slot.window = type.isRing() ? type.getWindow() : 0;
  slot.written.assign(batch, 0);
  return slot;
}

absl::StatusOr<CacheState> createCache(layer::CacheType type, int64_t batch, int64_t capacity,
                                       int64_t sourceCapacity) {
  if (sourceCapacity == 0)
    sourceCapacity = capacity;
  if (batch < 1 || capacity < 1 || sourceCapacity < 1)
    return invalidArgument("cache must have at least one sequence and one row, got ", batch, " and ",
                           std::min(capacity, sourceCapacity));
  int64_t total = 0;
  const auto count = [&](layer::AttentionCacheType slot) {
    const int64_t rows = slot.isCross() ? sourceCapacity : capacity;
    const int64_t elements = elementCount({batch, slot.getKvHeads(), rows, slot.getHeadDim()});
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
  cache.sourceCapacity = sourceCapacity;
  cache.lengths.assign(batch, 0);
  for (layer::BlockCacheType block : type.getBlocks()) {
    cache.blocks.push_back({createSlot(block.getSelf(), batch, capacity), std::nullopt});
    if (block.getCross())
      cache.blocks.back().cross = createSlot(block.getCross(), batch, sourceCapacity);
  }
  return cache;
}

void appendRows(const Arithmetic &arithmetic, CacheRows &side, const Tensor &rows, const Tensor &positions,
                DType compute, bool converted) {
  const int64_t batch = rows.dim(0), kvHeads = rows.dim(1), tokens = rows.dim(2), headDim = rows.dim(3);
  const int64_t capacity = side.rows.dim(2);
  const DType pin = side.pin.value_or(compute);
  Tensor stored = converted ? rows : read(arithmetic, compute, rows), scales;
  if (side.isScaled())
    std::tie(stored, scales) = quantize(arithmetic, pin, stored);
  else
    stored = read(arithmetic, pin, std::move(stored));
  side.rows.dtype = arithmetic.isF64() ? DType::F64 : pin;
  if (!stored.radius.empty())
    for (Tensor *tensor : {&side.rows, &side.scales})
      tensor->radius.resize(tensor->data.size());
  for (int64_t i = 0; i < batch * kvHeads * tokens; ++i) { // i = (batch, kvHead, token)
    const int64_t position = int64_t(positions.data[i / (kvHeads * tokens) * tokens + i % tokens]);
    if (position < 0)
      continue;
    const int64_t from = i * headDim, to = (i / tokens * capacity + position) * headDim;
    std::copy_n(stored.data.begin() + from, headDim, side.rows.data.begin() + to);
    if (!stored.radius.empty())
      std::copy_n(stored.radius.begin() + from, headDim, side.rows.radius.begin() + to);
    if (side.isScaled())
      side.scales.data[to / headDim] = scales.data[i];
    if (!scales.radius.empty())
      side.scales.radius[to / headDim] = scales.radius[i];
  }
}

void dropRows(CacheSlot &slot, int64_t sequence) {
  for (CacheRows *side : {&slot.keys, &slot.values})
    for (Tensor *all : {&side->rows, &side->scales}) {
      const int64_t elements = all->size() / slot.batch();
      std::fill_n(all->data.begin() + sequence * elements, all->data.empty() ? 0 : elements,
                  std::numeric_limits<double>::quiet_NaN());
    }
  slot.written[sequence] = 0;
}

/// The first `count` rows of every head out of `all` (batch, kvHeads, capacity, ..).
static Tensor firstRows(const Tensor &all, int64_t count) {
  const int64_t heads = all.dim(0) * all.dim(1), capacity = all.dim(2), width = all.shape.size() == 4 ? all.dim(3) : 1;
  Tensor rows = all;
  rows.shape[2] = count;
  for (auto [from, to] : {std::pair(&all.data, &rows.data), std::pair(&all.radius, &rows.radius)}) {
    to->resize(from->empty() ? 0 : heads * count * width);
    for (int64_t h = 0; h < heads && !from->empty(); ++h)
      std::copy_n(from->begin() + h * capacity * width, count * width, to->begin() + h * count * width);
  }
  return rows;
}

Tensor readRows(const Arithmetic &arithmetic, const CacheRows &side, int64_t count, DType compute) {
  return read(arithmetic, compute, firstRows(side.rows, count));
}

Tensor readScales(const CacheRows &side, int64_t count) { return firstRows(side.scales, count); }

} // namespace graphc::reference
