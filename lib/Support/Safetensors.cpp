// The header is hostile until proved otherwise: every number in it is checked
// against the file's size before it is used, in arithmetic that cannot wrap.
#include "Support/Safetensors.h"
#include "Support/Json.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

namespace graphc {

using nlohmann::json;

namespace {
constexpr uint64_t kMaxHeaderBytes = 100'000'000; // the reference implementation's limit
constexpr size_t kMaxRank = 32;
constexpr uint64_t kMaxElements = uint64_t(1) << 60; // any dtype's bytes then fit 64 bits

/// `value` as an unsigned number of at most `limit`, or nothing.
std::optional<uint64_t> asUnsigned(const json &value, uint64_t limit) {
  const auto *number =
      value.is_number_unsigned() ? value.get_ptr<const json::number_unsigned_t *>() : nullptr;
  return number && *number <= limit ? std::optional<uint64_t>(*number) : std::nullopt;
}

absl::Status parseShape(const json &array, std::string_view where, TensorInfo &tensor) {
  if (array.size() > kMaxRank)
    return invalidArgument(where, ": rank must be at most ", kMaxRank, ", got ", array.size());
  uint64_t elements = 1;
  for (const json &entry : array) {
    std::optional<uint64_t> size = asUnsigned(entry, kMaxElements);
    if (!size)
      return invalidArgument(where, ": shape must hold sizes, got ", describeJson(entry));
    tensor.shape.push_back(int64_t(*size));
    if (__builtin_mul_overflow(elements, *size, &elements) || elements > kMaxElements)
      return invalidArgument(where, ": shape (", join(tensor.shape), ") has too many elements");
  }
  if (!tensor.dtype)
    return absl::OkStatus(); // the error comes when the tensor is used
  const uint64_t expected = elements * byteSize(*tensor.dtype);
  if (expected != tensor.bytes)
    return invalidArgument(where, ": data must have ", expected, " bytes for ", tensor.dtypeName,
                           " of shape (", join(tensor.shape), "), got ", tensor.bytes);
  return absl::OkStatus();
}

/// Parses `{"dtype": .., "shape": [..], "data_offsets": [begin, end]}`, offsets
/// counted from the start of `data`.
absl::StatusOr<TensorInfo> parseTensor(const std::string &name, const json &entry,
                                       std::span<const std::byte> data, std::string_view file) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.file = file;
  const std::string where = concat(file, ": tensor '", name, "'");
  absl::StatusOr<std::string> dtype = getString(entry, "dtype", where);
  if (!dtype.ok())
    return dtype.status();
  tensor.dtypeName = *std::move(dtype);
  tensor.dtype = parseSafetensorsDType(tensor.dtypeName);
  absl::StatusOr<const json *> offsets = getArray(entry, "data_offsets", where);
  if (!offsets.ok())
    return offsets.status();
  if ((*offsets)->size() != 2)
    return invalidArgument(where, ": data_offsets must have 2 entries, got ", (*offsets)->size());
  std::optional<uint64_t> end = asUnsigned((**offsets)[1], data.size());
  if (!end)
    return invalidArgument(where, ": data must end within the file's ", data.size(),
                           " bytes of data, got ", describeJson((**offsets)[1]));
  std::optional<uint64_t> begin = asUnsigned((**offsets)[0], *end);
  if (!begin)
    return invalidArgument(where, ": data must begin before its end ", *end, ", got ",
                           describeJson((**offsets)[0]));
  tensor.data = data.data() + *begin;
  tensor.bytes = *end - *begin;
  absl::StatusOr<const json *> shape = getArray(entry, "shape", where);
  if (!shape.ok())
    return shape.status();
  if (absl::Status status = parseShape(**shape, where, tensor); !status.ok())
    return status;
  return tensor;
}

/// The format demands that the tensors cover the data exactly, in any order of
/// names. Sorts `tensors` by place.
absl::Status checkCover(std::vector<TensorInfo> &tensors, std::span<const std::byte> data,
                        std::string_view file) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo &a, const TensorInfo &b) {
    return std::tie(a.data, a.bytes, a.name) < std::tie(b.data, b.bytes, b.name);
  });
  const std::byte *end = data.data();
  for (const TensorInfo &tensor : tensors) {
    if (tensor.data != end)
      return invalidArgument(file, ": tensor '", tensor.name, "' must begin at byte ",
                             end - data.data(), " of the data, where the one before it ends, got ",
                             tensor.data - data.data());
    end = tensor.data + tensor.bytes;
  }
  if (end != data.data() + data.size())
    return invalidArgument(file, ": data must end with the last tensor at byte ",
                           end - data.data(), ", got ", data.size(), " bytes");
  return absl::OkStatus();
}

/// Why `folder` has no safetensors, and what to do about it.
absl::Status missing(const std::string &folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    return absl::NotFoundError(concat("checkpoint '", folder, "' must be a folder, got ",
                                      std::filesystem::exists(folder, error) ? "a file"
                                                                             : "nothing"));
  std::string_view found = "neither";
  for (std::string_view name : {"pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (std::filesystem::exists(concat(folder, "/", name), error))
      found = "pytorch_model.bin; convert it with save_pretrained(safe_serialization=True)";
  return absl::NotFoundError(concat("checkpoint '", folder, "' must have model.safetensors or "
                                    "model.safetensors.index.json, got ", found));
}

/// The index: which file holds which tensor, as file -> names. File names with
/// a folder in them are refused, so that an index cannot point outside.
absl::StatusOr<std::map<std::string, std::vector<std::string>>>
readIndex(const std::string &folder) {
  absl::StatusOr<json> index = parseJsonFile(concat(folder, "/model.safetensors.index.json"));
  if (!index.ok())
    return absl::IsNotFound(index.status()) ? missing(folder) : index.status();
  const std::string_view where = "model.safetensors.index.json";
  absl::StatusOr<const json *> map = getObject(*index, "weight_map", where);
  if (!map.ok())
    return map.status();
  std::map<std::string, std::vector<std::string>> result;
  for (const auto &[name, file] : (*map)->items()) {
    const std::string *text = file.get_ptr<const std::string *>();
    if (!text || text->empty() || *text == "." || *text == ".." ||
        text->find_first_of(std::string_view("/\0", 2)) != std::string::npos)
      return invalidArgument(where, ": tensor '", name,
                             "' must be in a file of the same folder, got ", describeJson(file));
    result[*text].push_back(name);
  }
  return result;
}
} // namespace

absl::StatusOr<std::vector<TensorInfo>> parseSafetensors(std::span<const std::byte> bytes,
                                                         std::string_view file) {
  if (bytes.size() < 8)
    return invalidArgument(file, ": file must have at least 8 bytes, got ", bytes.size());
  uint64_t headerBytes = 0;
  for (int i = 0; i < 8; ++i)
    headerBytes |= uint64_t(bytes[size_t(i)]) << (8 * i);
  const uint64_t limit = std::min<uint64_t>(bytes.size() - 8, kMaxHeaderBytes);
  if (headerBytes > limit)
    return invalidArgument(file, ": header must have at most ", limit, " bytes, got ", headerBytes);
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()) + 8, headerBytes);
  const std::span<const std::byte> data = bytes.subspan(8 + headerBytes);
  absl::StatusOr<json> header = parseJson(text, file);
  if (!header.ok())
    return header.status();
  if (!header->is_object())
    return invalidArgument(file, ": header must be an object, got ", describeJson(*header));
  std::vector<TensorInfo> tensors;
  for (const auto &[name, entry] : header->items()) {
    if (name == "__metadata__")
      continue;
    absl::StatusOr<TensorInfo> tensor = parseTensor(name, entry, data, file);
    if (!tensor.ok())
      return tensor.status();
    tensors.push_back(*std::move(tensor));
  }
  if (absl::Status status = checkCover(tensors, data, file); !status.ok())
    return status;
  return tensors;
}

bool hasShape(std::span<const int64_t> stored, std::span<const int64_t> wanted) {
  while (stored.size() > wanted.size() && stored.front() == 1)
    stored = stored.subspan(1);
  return std::ranges::equal(stored, wanted);
}

absl::StatusOr<Checkpoint> Checkpoint::open(const std::string &folder) {
  Checkpoint checkpoint;
  const auto byName = [](const TensorInfo &a, const TensorInfo &b) { return a.name < b.name; };
  // Maps `file` and returns its tensors by name.
  auto add = [&](const std::string &file) -> absl::StatusOr<std::vector<TensorInfo>> {
    absl::StatusOr<MappedFile> mapped = MappedFile::open(concat(folder, "/", file));
    if (!mapped.ok())
      return mapped.status();
    absl::StatusOr<std::vector<TensorInfo>> tensors = parseSafetensors(mapped->bytes(), file);
    if (tensors.ok())
      std::sort(tensors->begin(), tensors->end(), byName);
    checkpoint.files.push_back(*std::move(mapped));
    return tensors;
  };

  absl::StatusOr<std::vector<TensorInfo>> single = add("model.safetensors");
  if (single.ok()) {
    checkpoint.all = *std::move(single);
    return checkpoint;
  }
  if (!absl::IsNotFound(single.status()))
    return single.status();

  auto index = readIndex(folder);
  if (!index.ok())
    return index.status();
  for (const auto &[file, names] : *index) {
    absl::StatusOr<std::vector<TensorInfo>> tensors = add(file);
    if (absl::IsNotFound(tensors.status())) // NotFound means: no checkpoint at all
      return invalidArgument(tensors.status().message());
    if (!tensors.ok())
      return tensors.status();
    for (const std::string &name : names) {
      TensorInfo key;
      key.name = name;
      auto found = std::lower_bound(tensors->begin(), tensors->end(), key, byName);
      if (found == tensors->end() || found->name != name)
        return invalidArgument("model.safetensors.index.json: tensor '", name, "' must be in ",
                               file, ", got nothing there");
      checkpoint.all.push_back(std::move(*found));
      found->name = name; // it stays a key of the ordered list
    }
  }
  std::sort(checkpoint.all.begin(), checkpoint.all.end(), byName);
  return checkpoint;
}

const TensorInfo *Checkpoint::find(std::string_view name) const {
  auto found = std::lower_bound(all.begin(), all.end(), name,
                                [](const TensorInfo &a, std::string_view b) { return a.name < b; });
  return found != all.end() && found->name == name ? &*found : nullptr;
}

} // namespace graphc
