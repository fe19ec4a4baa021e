// POSIX calls rather than iostreams, because errors must carry their reason and
// the temporary file must be created exclusively.
#include "Support/File.h"
#include "Support/Message.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace graphc {

namespace {
/// Closes its descriptor on every path out of a function.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0)
      ::close(fd);
  }
};

absl::Status failure(std::string_view what, const std::string &path, int error) {
  const std::string message = concat("file '", path, "' ", what, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

absl::Status writeAll(int fd, std::string_view bytes, const std::string &path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return failure("cannot be written", path, errno);
    bytes.remove_prefix(size_t(written));
  }
  return absl::OkStatus();
}

absl::Status writeChunks(int fd, std::span<const std::string_view> chunks,
                         const std::string &path) {
  for (std::string_view chunk : chunks)
    if (absl::Status status = writeAll(fd, chunk, path); !status.ok())
      return status;
  return absl::OkStatus();
}
} // namespace

absl::StatusOr<std::string> readFile(const std::string &path, size_t maxBytes) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0)
    return failure("cannot be opened", path, errno);
  struct stat status;
  if (::fstat(file.fd, &status) != 0)
    return failure("cannot be inspected", path, errno);
  if (S_ISDIR(status.st_mode))
    return invalidArgument("path '", path, "' must be a file, got a folder");
  std::string bytes;
  if (S_ISREG(status.st_mode) && size_t(status.st_size) <= maxBytes)
    bytes.reserve(size_t(status.st_size) + 1);
  char block[1 << 16];
  while (true) {
    const ssize_t count = ::read(file.fd, block, sizeof block);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return failure("cannot be read", path, errno);
    if (count == 0)
      return bytes;
    if (bytes.size() + size_t(count) > maxBytes)
      return invalidArgument("file '", path, "' must have at most ", maxBytes, " bytes, got more");
    bytes.append(block, size_t(count));
  }
}

/// A file to write in: at `path` itself if that is no regular file, else the new
/// one at `temporary`, a path that no other call gets.
static absl::StatusOr<int> openForWriting(const std::string &path, std::string &temporary) {
  struct stat existing;
  if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return fd < 0 ? failure("cannot be opened for writing", path, errno) : absl::StatusOr<int>(fd);
  }
  static std::atomic<unsigned> counter{0}; // two threads may write one path
  temporary = concat(path, ".tmp.", ::getpid(), ".", counter++);
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return fd < 0 ? failure("cannot be created", path, errno) : absl::StatusOr<int>(fd);
}

absl::Status writeFileAtomically(const std::string &path,
                                 std::span<const std::string_view> chunks) {
  std::string temporary;
  absl::StatusOr<int> opened = openForWriting(path, temporary);
  if (!opened.ok())
    return opened.status();
  Descriptor file{*opened};
  absl::Status status = writeChunks(file.fd, chunks, path);
  if (temporary.empty())
    return status;
  // close() reports delayed write errors of network file systems.
  if (::close(std::exchange(file.fd, -1)) != 0 && status.ok())
    status = failure("cannot be written", path, errno);
  if (status.ok() && ::rename(temporary.c_str(), path.c_str()) != 0)
    status = failure("cannot be replaced", path, errno);
  if (!status.ok())
    ::unlink(temporary.c_str());
  return status;
}

absl::Status checkWritable(const std::string &path) {
  std::string temporary;
  absl::StatusOr<int> opened = openForWriting(path, temporary);
  if (!opened.ok())
    return opened.status();
  const Descriptor file{*opened};
  if (!temporary.empty())
    ::unlink(temporary.c_str());
  return absl::OkStatus();
}

} // namespace graphc
