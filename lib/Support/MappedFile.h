// A file's bytes as memory, read-only: nothing is read until it is touched, and
// what was read is shared with every other process that maps the file.
#pragma once

#include <absl/status/statusor.h>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace graphc {

/// Owns the mapping; move only. A file that is truncated while it is mapped
/// raises SIGBUS on access, as with every mapping.
class MappedFile {
public:
  /// Maps the regular file at `path`. Errors name the path: NotFound if it does
  /// not exist, InvalidArgument if it is not a regular file, Unavailable else.
  static absl::StatusOr<MappedFile> open(const std::string &path);

  MappedFile(MappedFile &&other) noexcept : mapped(std::exchange(other.mapped, {})) {}
  MappedFile &operator=(MappedFile &&other) noexcept {
    std::swap(mapped, other.mapped);
    return *this;
  }
  ~MappedFile();

  /// The whole file, at a page boundary; the address survives moves of this.
  std::span<const std::byte> bytes() const { return mapped; }

private:
  explicit MappedFile(std::span<const std::byte> mapped) : mapped(mapped) {}
  std::span<const std::byte> mapped;
};

} // namespace graphc
