// The header is a Python dictionary literal. NumPy writes exactly three keys,
// so a cursor over those, in any order, is the whole grammar.
#include "Support/Npy.h"
#include "Support/File.h"
#include "Support/Message.h"

#include <bit>
#include <cstring>
#include <optional>
#include <utility>

namespace graphc {

static_assert(std::endian::native == std::endian::little, "values are used as stored");

namespace {
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = size_t(1) << 20; // bytes; NumPy's own are below 1 KiB
constexpr size_t kMaxRank = 64;                // NumPy's limit

struct Code {
  DType dtype;
  std::string_view descr;
};
constexpr Code kCodes[] = {{DType::F32, "<f4"},
                           {DType::F64, "<f8"},
                           {DType::F16, "<f2"},
                           {DType::I32, "<i4"},
                           {DType::I64, "<i8"}};

bool consume(std::string_view &rest, std::string_view prefix) {
  const bool found = rest.starts_with(prefix);
  rest.remove_prefix(found ? prefix.size() : 0);
  return found;
}

absl::Status malformed(std::string_view name, std::string_view expected, std::string_view rest) {
  return invalidArgument(name, ": npy header must have ", expected, ", got '", rest.substr(0, 40),
                         "'");
}

/// product(shape) * elementBytes, or nothing if it does not fit in 63 bits.
std::optional<uint64_t> byteCount(const std::vector<int64_t> &shape, uint64_t elementBytes) {
  uint64_t count = elementBytes;
  for (int64_t extent : shape)
    if (extent < 0)
      return std::nullopt;
  for (int64_t extent : shape)
    if (extent == 0)
      return 0;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(count, uint64_t(extent), &count) || count >> 63)
      return std::nullopt;
  return count;
}

class Header {
public:
  Header(std::string_view text, std::string_view name) : rest(text), name(name) {}

  absl::Status parse(NpyArray &array) {
    if (!eat("{"))
      return malformed(name, "'{' at its start", rest);
    bool seenDescr = false, seenOrder = false, seenShape = false;
    while (!eat("}")) {
      absl::Status status;
      if (eat("'descr':") && !std::exchange(seenDescr, true))
        status = parseDescr(array.dtype);
      else if (eat("'fortran_order':") && !std::exchange(seenOrder, true))
        status = eat("False")
                     ? absl::OkStatus()
                     : malformed(name, "fortran_order False (save a C-ordered copy)", rest);
      else if (eat("'shape':") && !std::exchange(seenShape, true))
        status = parseShape(array.shape);
      else
        status = malformed(name, "each of descr, fortran_order and shape once", rest);
      if (!status.ok())
        return status;
      if (!eat(",") && !rest.starts_with("}"))
        return malformed(name, "',' or '}' after a value", rest);
    }
    if (!seenDescr || !seenOrder || !seenShape)
      return malformed(name, "each of descr, fortran_order and shape once", rest);
    skipBlanks();
    if (!rest.empty())
      return malformed(name, "nothing after '}'", rest);
    return absl::OkStatus();
  }

private:
  void skipBlanks() { rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size())); }
  bool eat(std::string_view token) {
    skipBlanks();
    const bool found = consume(rest, token);
    skipBlanks();
    return found;
  }
  absl::Status parseDescr(DType &dtype) {
    for (const Code &code : kCodes)
      if (eat(concat("'", code.descr, "'"))) {
        dtype = code.dtype;
        return absl::OkStatus();
      }
    return malformed(name, "descr '<f4', '<f8', '<f2', '<i4' or '<i8'", rest);
  }
  absl::Status parseShape(std::vector<int64_t> &shape) {
    if (!eat("("))
      return malformed(name, "'(' before the shape", rest);
    while (!eat(")")) {
      const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
      int64_t extent;
      const char *end = rest.data() + digits;
      const auto [stop, error] = std::from_chars(rest.data(), end, extent);
      if (error != std::errc() || stop != end || shape.size() == kMaxRank)
        return malformed(name, "at most 64 extents below 2^63 in its shape", rest);
      rest.remove_prefix(digits);
      shape.push_back(extent);
      if (!eat(",") && !rest.starts_with(")"))
        return malformed(name, "',' or ')' after an extent", rest);
    }
    return absl::OkStatus();
  }

  std::string_view rest, name;
};
} // namespace

absl::StatusOr<NpyArray> parseNpy(std::string_view bytes, std::string_view name) {
  const auto refuse = [&](auto &&...parts) { return invalidArgument(name, ": ", parts...); };
  if (!consume(bytes, kMagic) || bytes.size() < 4)
    return refuse("file must start with the npy magic bytes and a version, got something else");
  const unsigned major = uint8_t(bytes[0]), minor = uint8_t(bytes[1]);
  if ((major != 1 && major != 2) || minor != 0)
    return refuse("npy version must be 1.0 or 2.0, got ", major, ".", minor);
  const size_t lengthBytes = major == 1 ? 2 : 4;
  bytes.remove_prefix(2);
  uint32_t headerBytes = 0;
  if (bytes.size() < lengthBytes)
    return refuse("npy header must have its length, got the end of the file");
  std::memcpy(&headerBytes, bytes.data(), lengthBytes);
  bytes.remove_prefix(lengthBytes);
  if (headerBytes > kMaxHeader || headerBytes > bytes.size())
    return refuse("npy header must fit the file and 1 MiB, got ", headerBytes, " bytes");

  NpyArray array;
  if (absl::Status status = Header(bytes.substr(0, headerBytes), name).parse(array); !status.ok())
    return status;
  bytes.remove_prefix(headerBytes);
  const std::optional<uint64_t> expected = byteCount(array.shape, byteSize(array.dtype));
  if (!expected || *expected != bytes.size())
    return refuse("npy data of shape (", join(array.shape, ", "), ") and dtype ",
                  info(array.dtype).name, " must fill the file, got ", bytes.size(), " bytes");
  array.data.resize(bytes.size());
  if (!bytes.empty())
    std::memcpy(array.data.data(), bytes.data(), bytes.size());
  return array;
}

absl::StatusOr<NpyArray> readNpy(const std::string &path) {
  absl::StatusOr<std::string> bytes = readFile(path);
  if (!bytes.ok())
    return bytes.status();
  return parseNpy(*bytes, path);
}

absl::Status writeNpy(const std::string &path, const NpyArray &array) {
  std::string_view descr;
  for (const Code &code : kCodes)
    if (code.dtype == array.dtype)
      descr = code.descr;
  if (descr.empty())
    return invalidArgument(path, ": npy dtype must not be ", info(array.dtype).name,
                           ", widen it to f32");
  if (byteCount(array.shape, byteSize(array.dtype)) != array.data.size() ||
      array.shape.size() > kMaxRank)
    return invalidArgument(path, ": npy data must match shape (", join(array.shape, ", "), ") of ",
                           info(array.dtype).name, ", got ", array.data.size(), " bytes");
  std::string header = concat("{'descr': '", descr, "', 'fortran_order': False, 'shape': (",
                              join(array.shape, ", "), array.shape.size() == 1 ? ",), }" : "), }");
  // Data begins on a multiple of 64 bytes, as NumPy does it, so it can be mapped.
  const size_t prefix = kMagic.size() + 4;
  header.append(63 - (prefix + header.size()) % 64, ' ');
  header += '\n';
  const char start[] = {1, 0, char(header.size() & 0xff), char(header.size() >> 8)};
  return writeFileAtomically(
      path, {kMagic,
             {start, sizeof start},
             header,
             {reinterpret_cast<const char *>(array.data.data()), array.data.size()}});
}

} // namespace graphc
