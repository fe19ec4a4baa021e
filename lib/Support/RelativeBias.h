// Buckets of a relative position bias: the one definition that the interpreter
// and the kernels share. Buckets are model data like rope tables, so their
// arithmetic is f32 in every mode.
#pragma once

#include <cstdint>

namespace graphc {

struct RelativeBuckets {
  int64_t count = 0;          ///< Rows of the bias table.
  int64_t maxDistance = 0;    ///< From here on all distances share the last bucket.
  bool bidirectional = false; ///< Keys behind the query have the upper half of the buckets.

  /// True if each direction has at least two buckets and max_distance lies
  /// beyond the exact ones, so that `bucket` is defined.
  bool areValid() const;
  /// The bucket of a key `distance` = key position - query position away, in the
  /// order of operations of transformers' T5Attention._relative_position_bucket.
  /// Constant from maxDistance on, and from -maxDistance down.
  int64_t bucket(int64_t distance) const;
};

} // namespace graphc
