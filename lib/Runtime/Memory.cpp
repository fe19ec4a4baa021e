#include "Runtime/Memory.h"
#include "Support/Message.h"
#include "Support/Program.h"

#include <cerrno>
#include <cstring>
#include <sys/mman.h>

namespace graphc {

static constexpr uint64_t kHugePage = uint64_t(2) << 20;

absl::StatusOr<Memory> Memory::reserve(uint64_t bytes, std::string_view what) {
  if (bytes == 0)
    return Memory();
  // Huge pages begin at multiples of their size: map one more and cut the ends.
  const uint64_t slack = bytes >= kHugePage ? kHugePage : 0;
  bytes = (bytes + 4095) / 4096 * 4096;
  void *address = ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    return absl::ResourceExhaustedError(
        concat(what, " must get ", bytes, " bytes of memory: ", std::strerror(errno)));
  auto *start = static_cast<std::byte *>(address);
  if (slack) {
    const uint64_t head = -reinterpret_cast<uint64_t>(start) % kHugePage;
    if (head)
      ::munmap(start, head);
    if (slack - head)
      ::munmap(start + head + bytes, slack - head);
    start += head;
    (void)::madvise(start, bytes, MADV_HUGEPAGE); // a wish: kernels may lack them
  }
  return Memory(start, bytes);
}

Memory::~Memory() {
  if (start)
    ::munmap(start, bytes);
}

uint64_t Layout::place(uint64_t bytes) {
  const uint64_t offset = end;
  end = (offset + bytes + kAlignment - 1) / kAlignment * kAlignment;
  return offset;
}

} // namespace graphc
