// Sizes are checked before they are multiplied: a file may come from anywhere.
#include "Runtime/SavedCache.h"

#include "Support/Json.h"
#include "Support/Message.h"

#include <algorithm>
#include <cstring>

namespace graphc {

namespace {
constexpr std::string_view kMagic = "graphckv";
constexpr int64_t kVersion = 1;
constexpr int64_t kMost = (int64_t(1) << 31) - 1; // of lengths, heads, elements: their products fit

/// Reads one object of the header; the first error stays.
class Fields {
public:
  Fields(const nlohmann::json &object, std::string_view where) : object(object), where(where) {}

  int64_t integer(std::string_view key, int64_t least) {
    absl::StatusOr<int64_t> value = getInt(object, key, where);
    if (value.ok() && (*value < least || *value > kMost))
      value = invalidArgument(where, ": key '", key, "' must be from ", least, " to ", kMost, ", got ", *value);
    return keep(std::move(value));
  }
  std::string text(std::string_view key) { return keep(getString(object, key, where)); }
  DType dtype(std::string_view key) {
    const std::string name = text(key);
    const std::optional<DType> dtype = parseDType(name);
    if (!dtype && status.ok())
      status = invalidArgument(where, ": key '", key, "' must be a dtype, got '", name, "'");
    return dtype.value_or(DType::F32);
  }
  /// Integers from `least` on.
  std::vector<int32_t> integers(std::string_view key, int64_t least) {
    std::vector<int32_t> values;
    const nlohmann::json *array = keep(getArray(object, key, where));
    for (size_t i = 0; array && i < array->size(); ++i) {
      const nlohmann::json &element = (*array)[i];
      const int64_t value = element.is_number_integer() ? element.get<int64_t>() : least - 1;
      if (value < least || value > kMost) {
        if (status.ok())
          status = invalidArgument(where, ": key '", key, "' must have integers from ", least, " to ", kMost,
                                   ", got ", describeJson(element));
        break;
      }
      values.push_back(int32_t(value));
    }
    return values;
  }
  template <typename T> T keep(absl::StatusOr<T> value) {
    if (value.ok())
      return *std::move(value);
    if (status.ok())
      status = value.status();
    return T{};
  }

  absl::Status status;

private:
  const nlohmann::json &object;
  std::string_view where;
};

absl::StatusOr<SavedCache> parseHeader(std::string_view text, std::string_view where) {
  absl::StatusOr<nlohmann::json> json = parseJson(text, where);
  if (!json.ok())
    return json.status();
  Fields fields(*json, where);
  const int64_t version = fields.integer("version", 1);
  if (fields.status.ok() && version != kVersion)
    return invalidArgument(where, ": version must be ", kVersion, ", got ", version, "; save the cache anew");
  SavedCache cache;
  cache.model = fields.text("model");
  cache.capacity = fields.integer("capacity", 1);
  cache.lengths = fields.integers("lengths", 0);
  cache.pending = fields.integers("pending", -1);
  if (json->contains("sources"))
    cache.sources = fields.integers("sources", 0);
  const nlohmann::json *sides = fields.keep(getArray(*json, "sides", where));
  for (size_t i = 0; sides && i < sides->size() && fields.status.ok(); ++i) {
    Fields side((*sides)[i], where);
    cache.sides.push_back({side.integer("block", 0), side.text("name"), side.dtype("dtype"), side.integer("heads", 1),
                           side.integer("row", 1), side.integer("window", 0)});
    fields.status = side.status;
  }
  if (!fields.status.ok())
    return fields.status;
  if (cache.pending.size() != cache.lengths.size())
    return invalidArgument(where, ": key 'pending' must have ", cache.lengths.size(), " tokens, got ",
                           cache.pending.size());
  const bool hasCross = std::ranges::any_of(cache.sides, &SavedSide::isOfCross);
  if (cache.sources.size() != (hasCross ? cache.lengths.size() : 0))
    return invalidArgument(where, ": key 'sources' must have ", hasCross ? cache.lengths.size() : 0, " lengths, got ",
                           cache.sources.size());
  for (int32_t length : cache.lengths)
    if (length > cache.capacity)
      return invalidArgument(where, ": lengths must be within the capacity of ", cache.capacity, ", got ", length);
  return cache;
}

/// Bytes of all rows, or nothing if they exceed `most`.
std::optional<uint64_t> boundedRowBytes(const SavedCache &cache, uint64_t most) {
  uint64_t total = 0;
  for (const SavedSide &side : cache.sides)
    for (int32_t length : cache.lengthsOf(side)) {
      uint64_t bytes = uint64_t(length - side.firstPosition(length)) * uint64_t(side.heads); // below 2^62
      if (__builtin_mul_overflow(bytes, side.rowBytes(), &bytes) || bytes > most - total)
        return std::nullopt;
      total += bytes;
    }
  return total;
}
} // namespace

int64_t SavedSide::firstPosition(int64_t length) const {
  return window ? std::max<int64_t>(0, length - window) : 0;
}

uint64_t SavedCache::rowBytes() const { return boundedRowBytes(*this, UINT64_MAX).value_or(UINT64_MAX); }

std::string SavedCache::header() const {
  nlohmann::json list = nlohmann::json::array();
  for (const SavedSide &side : sides)
    list.push_back({{"block", side.block},
                    {"name", side.name},
                    {"dtype", std::string(info(side.dtype).name)},
                    {"heads", side.heads},
                    {"row", side.rowElements},
                    {"window", side.window}});
  nlohmann::json json{{"version", kVersion}, {"model", model},     {"capacity", capacity},
                      {"lengths", lengths},  {"pending", pending}, {"sides", list}};
  if (!sources.empty())
    json["sources"] = sources;
  std::string text = json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  text.append(-(kMagic.size() + sizeof(uint64_t) + text.size()) % kAlignment, ' ');
  const uint64_t size = text.size();
  std::string header(kMagic);
  header.append(reinterpret_cast<const char *>(&size), sizeof size);
  return header + text;
}

absl::StatusOr<SavedCache> parseSavedCache(std::string_view file, std::string_view nameForErrors) {
  const std::string where(nameForErrors);
  constexpr size_t kStart = kMagic.size() + sizeof(uint64_t);
  if (file.substr(0, kMagic.size()) != kMagic || file.size() < kStart)
    return invalidArgument(where, ": must be a cache that graphc saved, got another file");
  uint64_t size;
  std::memcpy(&size, file.data() + kMagic.size(), sizeof size);
  if (size > file.size() - kStart)
    return invalidArgument(where, ": header must have ", size, " bytes, got ", file.size() - kStart);
  absl::StatusOr<SavedCache> cache = parseHeader(file.substr(kStart, size), where);
  if (!cache.ok())
    return cache;
  const uint64_t rows = file.size() - kStart - size;
  const std::optional<uint64_t> expected = boundedRowBytes(*cache, uint64_t(1) << 56);
  if (expected != rows)
    return invalidArgument(where, ": rows must have ", expected ? concat(*expected) : "fewer", " bytes, got ", rows);
  return cache;
}

absl::StatusOr<std::vector<SavedSide>> savedSides(const Program &program) {
  std::vector<SavedSide> sides;
  for (const Binding &binding : program.bindings) {
    if (binding.kind != Binding::Kind::Cache)
      continue;
    const std::optional<int64_t> window = windowOf(binding.dims[2].symbol); // (batch, heads, rows, ..)
    if (!window && binding.dims[2].symbol != (binding.isOfCross() ? "source" : "capacity"))
      return absl::FailedPreconditionError(concat("cache '", binding.name, "' of block ", binding.block,
                                                  " must have a row for each token to be saved, got rows ",
                                                  dimText(binding.dims[2])));
    SavedSide side{binding.block, binding.name, binding.dtype, binding.dims[1].offset, 1, window.value_or(0)};
    for (size_t i = 3; i < binding.dims.size(); ++i)
      side.rowElements *= binding.dims[i].offset;
    sides.push_back(std::move(side));
  }
  return sides;
}

} // namespace graphc
