// A cache as a file: what model and layout it is of, how long each sequence is,
// and the rows. A reader knows all but the rows before it touches its own cache.
//
//   "graphckv", u64 little-endian n, n bytes of JSON padded with blanks so that
//   rows begin at a multiple of 64, rows: side by side in the header's order,
//   sequence by sequence, head by head, by position, as they lie in memory.
#pragma once

#include "Support/DType.h"
#include "Support/Program.h"

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

/// What one cache binding of a program holds.
struct SavedSide {
  int64_t block = 0;
  std::string name;        ///< Of the binding: "keys", "values".
  DType dtype = DType::F32;
  int64_t heads = 1;       ///< Rows of a token.
  int64_t rowElements = 1;
  int64_t window = 0;      ///< Tokens that a query sees; 0: all before it.

  /// True if its rows are a source's, not the sequence's.
  bool isOfCross() const { return name.starts_with("cross_"); }
  /// First position with a row in the file, of a sequence of `length` tokens.
  int64_t firstPosition(int64_t length) const;
  uint64_t rowBytes() const { return uint64_t(rowElements) * byteSize(dtype); }
  bool operator==(const SavedSide &) const = default;
};

struct SavedCache {
  std::string model;            ///< modelFingerprint of the program and its weights.
  int64_t capacity = 0;         ///< Of the session that saved it.
  std::vector<int32_t> lengths; ///< (batch): tokens of each sequence.
  std::vector<int32_t> pending; ///< (batch): the token that comes next, taken but not in the cache; -1: none.
  std::vector<int32_t> sources; ///< (batch): tokens of each sequence's source; empty without an encoder.
  std::vector<SavedSide> sides;

  /// Tokens that `side` has rows of: the sequences', or their sources'.
  const std::vector<int32_t> &lengthsOf(const SavedSide &side) const { return side.isOfCross() ? sources : lengths; }
  /// Bytes of all rows.
  uint64_t rowBytes() const;
  /// What a file begins with; rows follow.
  std::string header() const;
  bool operator==(const SavedCache &) const = default;
};

/// The header of `file`, whose rows are its last rowBytes() bytes. InvalidArgument,
/// `nameForErrors` in front, unless the file is one that `header` and the rows
/// make, to the byte.
absl::StatusOr<SavedCache> parseSavedCache(std::string_view file, std::string_view nameForErrors);

/// The sides of `program`, in the order of its bindings. FailedPrecondition if the
/// length of one is not that of its sequence.
absl::StatusOr<std::vector<SavedSide>> savedSides(const Program &program);

} // namespace graphc
