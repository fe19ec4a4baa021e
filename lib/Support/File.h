// Whole files in and out. Writing is atomic: readers see the old file or the
// new one, never a part, and a failed write leaves the old one in place.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace graphc {

/// Returns the bytes of the file at `path`. Errors name the path: NotFound if
/// it does not exist, InvalidArgument if it is a folder or has more than
/// `maxBytes` bytes, Unavailable if reading fails.
absl::StatusOr<std::string> readFile(const std::string &path, size_t maxBytes = size_t(1) << 34);

/// Writes `chunks` one after the other to a temporary file beside `path`, then
/// renames it to `path`. A path that names something other than a regular file
/// (a pipe, /dev/null) is written directly, since a rename would replace it.
absl::Status writeFileAtomically(const std::string &path,
                                 std::span<const std::string_view> chunks);
/// The same of a list in braces.
inline absl::Status writeFileAtomically(const std::string &path,
                                        std::initializer_list<std::string_view> chunks) {
  return writeFileAtomically(path, std::span(chunks.begin(), chunks.size()));
}

/// The error that writeFileAtomically would have now before its first byte, if any:
/// to refuse a path before time is spent on what is to be written there.
absl::Status checkWritable(const std::string &path);

} // namespace graphc
