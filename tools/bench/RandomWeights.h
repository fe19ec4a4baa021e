// A checkpoint of random values, of the tensors that a program asks for. It is a
// file that the runtime maps, because that is how weights are used: in place,
// from the page cache.
#pragma once

#include "Support/Program.h"

#include <absl/status/statusor.h>
#include <string>
#include <utility>

namespace graphc::bench {

/// Owns a folder with model.safetensors. The file has no name of its own: the
/// folder holds a link to a descriptor of this process, and the space is given
/// back when that is closed and nothing maps the file, however the process ends.
class RandomWeights {
public:
  /// Writes them to the folder for temporary files (TMPDIR). ResourceExhausted
  /// if it has too little room, which is asked for before anything is written.
  static absl::StatusOr<RandomWeights> create(const Program &program);

  RandomWeights(RandomWeights &&other) noexcept
      : path(std::exchange(other.path, {})), file(std::exchange(other.file, -1)) {}
  RandomWeights &operator=(RandomWeights &&) = delete;
  ~RandomWeights();

  /// To open as a checkpoint while this object lives; mappings outlive it.
  const std::string &folder() const { return path; }

private:
  RandomWeights() = default;
  std::string path;
  int file = -1;
};

} // namespace graphc::bench
