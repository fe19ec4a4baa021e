// Checkpoints as Hugging Face stores them: one model.safetensors, or shards with
// an index. Opening maps the files and reads their headers; no weight is
// touched, so it costs the same for any model.
// Format: https://github.com/huggingface/safetensors (README, "Format").
#pragma once

#include "Support/DType.h"
#include "Support/MappedFile.h"

#include <absl/status/statusor.h>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

struct TensorInfo {
  std::string name;
  std::optional<DType> dtype;      ///< Nothing if graphc has no such type.
  std::string dtypeName;           ///< As the header spells it: "BF16", "F8_E8M0".
  std::vector<int64_t> shape;      ///< Row-major; empty for a scalar.
  const std::byte *data = nullptr; ///< Little-endian, in the mapping; alignment is not promised.
  uint64_t bytes = 0;              ///< product(shape) * byteSize(*dtype), if there is a dtype.
  std::string file;                ///< Name of the file in the folder.
};

/// True if a tensor of shape `stored` is one of shape `wanted`: equal, or equal
/// without the 1s that it has in front (BART stores a bias as (1, vocab)).
bool hasShape(std::span<const int64_t> stored, std::span<const int64_t> wanted);

class Checkpoint {
public:
  /// Opens model.safetensors in `folder`, or else the shards that
  /// model.safetensors.index.json names. NotFound if there is neither;
  /// InvalidArgument if a file is malformed.
  static absl::StatusOr<Checkpoint> open(const std::string &folder);

  /// The tensor called `name`; null if there is none. Tensors and their data
  /// live as long as the checkpoint, moves of it included.
  const TensorInfo *find(std::string_view name) const;

  /// All tensors, ordered by name.
  std::span<const TensorInfo> tensors() const { return all; }

  /// Its files, mapped.
  std::span<const MappedFile> mappings() const { return files; }

private:
  std::vector<MappedFile> files;
  std::vector<TensorInfo> all;
};

/// Parses one file's bytes: the tensors in the order of their data, pointing
/// into `bytes`. Refused are a header of more than 100 MB or beyond the end,
/// malformed JSON, a name that appears twice, ranges that overlap, leave holes
/// or pass the end, and a range that is not shape times dtype. `file` goes into
/// TensorInfo::file and in front of every message.
absl::StatusOr<std::vector<TensorInfo>> parseSafetensors(std::span<const std::byte> bytes,
                                                         std::string_view file);

} // namespace graphc
