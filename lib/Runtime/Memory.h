// Memory of a session: anonymous pages, zero until they are written, in huge
// pages where the system has them.
#pragma once

#include <absl/status/statusor.h>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace graphc {

/// Owns a mapping; move only.
class Memory {
public:
  Memory() = default;
  /// `bytes` zeros at a page boundary. No page is used before it is touched.
  /// ResourceExhausted, naming `what`, if the system refuses.
  static absl::StatusOr<Memory> reserve(uint64_t bytes, std::string_view what);

  Memory(Memory &&other) noexcept
      : start(std::exchange(other.start, nullptr)), bytes(std::exchange(other.bytes, 0)) {}
  Memory &operator=(Memory &&other) noexcept {
    std::swap(start, other.start);
    std::swap(bytes, other.bytes);
    return *this;
  }
  ~Memory();

  std::byte *data() const { return start; }
  uint64_t size() const { return bytes; }

private:
  Memory(std::byte *start, uint64_t bytes) : start(start), bytes(bytes) {}
  std::byte *start = nullptr;
  uint64_t bytes = 0;
};

/// Places regions one after the other, each at a multiple of kAlignment.
class Layout {
public:
  /// The offset of the next region.
  uint64_t place(uint64_t bytes);
  uint64_t size() const { return end; }

private:
  uint64_t end = 0;
};

} // namespace graphc
