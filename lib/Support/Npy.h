// NumPy's .npy files: one dense array with its shape and dtype. Reads format
// versions 1 and 2, writes version 1; little-endian, C order only.
#pragma once

#include "Support/DType.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

struct NpyArray {
  std::vector<int64_t> shape;  ///< Empty for a scalar; no entry is negative.
  DType dtype = DType::F32;    ///< Any but BF16, which NumPy has no code for.
  std::vector<std::byte> data; ///< Row-major, product(shape) * byteSize(dtype) bytes.

  /// The elements as T, whose size must be that of `dtype`. Valid until `data`
  /// changes.
  template <typename T> std::span<const T> values() const {
    return {reinterpret_cast<const T *>(data.data()), data.size() / sizeof(T)};
  }
  template <typename T> std::span<T> values() {
    return {reinterpret_cast<T *>(data.data()), data.size() / sizeof(T)};
  }
};

/// Reads the array at `path`. A malformed file, another element type, Fortran
/// order or a size that does not fit the file gives InvalidArgument; nothing is
/// allocated before the header is known to agree with the file's size.
absl::StatusOr<NpyArray> readNpy(const std::string &path);

/// The same from bytes in memory; `nameForErrors` starts every message.
absl::StatusOr<NpyArray> parseNpy(std::string_view bytes, std::string_view nameForErrors);

/// Writes `array` to `path`, atomically. InvalidArgument if shape and data
/// disagree or the dtype is BF16.
absl::Status writeNpy(const std::string &path, const NpyArray &array);

} // namespace graphc
