// The key/value cache of the reference interpreter: rows in their stored form,
// written in place. Rows that were never written are NaN, so that a read of one
// shows (numerics A5).
#pragma once

#include "Reference/Arithmetic.h"

#include <absl/status/statusor.h>
#include <optional>

namespace graphc::layer {
class CacheType;
}

namespace graphc::reference {

/// One side of a slot: rows (batch, kvHeads, capacity, headDim).
struct CacheRows {
  std::optional<DType> pin; ///< Stored type; nothing: the attention's compute type.
  Tensor rows;              ///< Elements as stored: of an 8-bit pin, not multiplied by their scale.
  Tensor scales;            ///< (batch, kvHeads, capacity) f32 of an 8-bit pin; empty for others.

  bool isScaled() const { return pin && isEightBit(*pin); }
};

struct CacheSlot {
  CacheRows keys, values;
  int64_t window = 0;           ///< A ring shows the last `window` rows; 0: all.
  std::vector<int32_t> written; ///< (batch): rows of a cross slot, which has no part in `lengths`.

  int64_t batch() const { return keys.rows.dim(0); }
  int64_t capacity() const { return keys.rows.dim(2); }
};

struct CacheBlock {
  CacheSlot self;
  std::optional<CacheSlot> cross;
};

struct CacheState {
  int64_t capacity = 0;         ///< Rows a sequence may have: the session's declared length.
  int64_t sourceCapacity = 0;   ///< The same of cross slots.
  std::vector<CacheBlock> blocks;
  std::vector<int32_t> lengths; ///< (batch): rows that each sequence has.
  std::vector<Tensor> seed;     ///< Seed mode: the container's leaves, offset and mask, and no blocks.

  int64_t batch() const { return int64_t(lengths.size()); }
};

/// An empty cache of `type` for `batch` sequences of at most `capacity` tokens,
/// and sources of at most `sourceCapacity` (0: capacity). InvalidArgument if a
/// size is not positive or the cache would pass 2^31 elements.
absl::StatusOr<CacheState> createCache(layer::CacheType type, int64_t batch, int64_t capacity,
                                       int64_t sourceCapacity = 0);

/// Writes rows (batch, kvHeads, tokens, headDim) at positions (batch, tokens),
/// which are -1 (left out) or below the capacity: stored = pin(rd_C(row)), or
/// pin(row) where rows are already `converted` to their pin (A1). Rows of an 8-bit
/// pin are quantised from rd_C(row), which `converted` says they are already.
void appendRows(const Arithmetic &arithmetic, CacheRows &side, const Tensor &rows, const Tensor &positions,
                DType compute, bool converted);

/// Forgets the rows of one sequence.
void dropRows(CacheSlot &slot, int64_t sequence);

/// The first `count` rows of every head as attention reads them,
/// rd_C(unpin(stored)): (batch, kvHeads, count, headDim).
Tensor readRows(const Arithmetic &arithmetic, const CacheRows &side, int64_t count, DType compute);
/// Their scales: (batch, kvHeads, count).
Tensor readScales(const CacheRows &side, int64_t count);

} // namespace graphc::reference
