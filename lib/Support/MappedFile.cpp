#include "Support/MappedFile.h"
#include "Support/Message.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace graphc {

static absl::Status failure(std::string_view what, const std::string &path, int error) {
  const std::string message = concat("file '", path, "' ", what, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

absl::StatusOr<MappedFile> MappedFile::open(const std::string &path) {
  // Without O_NONBLOCK, opening a pipe waits for its writer.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    return failure("cannot be opened", path, errno);
  struct stat status;
  void *address = nullptr;
  absl::Status result;
  if (::fstat(file, &status) != 0)
    result = failure("cannot be inspected", path, errno);
  else if (!S_ISREG(status.st_mode))
    result = invalidArgument("path '", path, "' must be a regular file, got ",
                             S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
  else if (status.st_size > 0) { // an empty mapping is refused by the kernel
    address = ::mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_SHARED, file, 0);
    if (address == MAP_FAILED)
      result = failure("cannot be mapped", path, errno);
  }
  ::close(file); // the mapping holds the file open
  if (!result.ok())
    return result;
  return MappedFile({static_cast<const std::byte *>(address), size_t(status.st_size)});
}

MappedFile::~MappedFile() {
  if (!mapped.empty())
    ::munmap(const_cast<std::byte *>(mapped.data()), mapped.size());
}

} // namespace graphc
