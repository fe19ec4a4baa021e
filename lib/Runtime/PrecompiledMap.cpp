// Units of the trie pack a label, an offset and whether a value follows. The
// array may come from anywhere: no index of it is used unchecked.
#include "Runtime/PrecompiledMap.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

namespace {
/// Longer clusters are mapped character by character.
constexpr size_t kMaxCluster = 5;
constexpr size_t kMaxBase64 = 4 << 20; // SentencePiece's NFKC map has some 300 KB

bool hasValue(uint32_t unit) { return unit >> 8 & 1; }
uint32_t valueOf(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t labelOf(uint32_t unit) { return unit & 0x800000FF; }
uint32_t offsetOf(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }

/// The bytes of padded base64 (RFC 4648); nothing if `text` is none.
std::optional<std::string> decodeBase64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4)
    return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=')
    text.remove_suffix(1), ++padding;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t bits = 0, count = 0;
  for (char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos)
      return std::nullopt;
    bits = bits << 6 | uint32_t(digit);
    if ((count += 6) >= 8)
      bytes.push_back(char(bits >> (count -= 8)));
  }
  return bytes;
}

uint32_t littleEndian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= uint32_t(static_cast<unsigned char>(bytes[at + i])) << 8 * i;
  return value;
}
} // namespace

const char *PrecompiledMap::find(std::string_view text) const {
  size_t node = offsetOf(units[0]);
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    node ^= byte;
    if (byte == 0 || node >= units.size() || labelOf(units[node]) != byte)
      return nullptr;
    const uint32_t unit = units[node];
    node ^= offsetOf(unit);
    if (hasValue(unit))
      return replacements.data() + valueOf(units[node]); // checked when the map was read
  }
  return nullptr;
}

/// Visits every node that a search can reach, each once.
absl::Status PrecompiledMap::check(const std::string &where) {
  std::vector<bool> seen(units.size() + 0x100);
  std::vector<size_t> open = {offsetOf(units[0])};
  while (!open.empty()) {
    const size_t base = open.back();
    open.pop_back();
    for (size_t byte = 1; byte < 256; ++byte) {
      const size_t node = base ^ byte;
      if (node >= units.size() || labelOf(units[node]) != byte || seen[node])
        continue;
      seen[node] = true;
      const size_t next = node ^ offsetOf(units[node]);
      open.push_back(next);
      if (!hasValue(units[node]))
        continue;
      const size_t place = next < units.size() ? valueOf(units[next]) : replacements.size();
      if (place >= replacements.size() || (uint8_t(replacements[place]) & 0xC0) == 0x80)
        return invalidArgument(where, ": key 'precompiled_charsmap' must map to the ", replacements.size(),
                               " bytes of its replacements, got place ", place);
      longest = std::max<uint64_t>(longest, replacements.find('\0', place) - place);
    }
  }
  return absl::OkStatus();
}

std::string PrecompiledMap::apply(std::string text) const {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const std::string_view cluster = std::string_view(text).substr(at, graphemeLength(text, at));
    at += cluster.size();
    if (cluster.size() <= kMaxCluster)
      if (const char *mapped = find(cluster)) {
        out += mapped;
        continue;
      }
    for (size_t i = 0, length; i < cluster.size(); i += length) {
      length = utf8Length(cluster[i]);
      const std::string_view character = cluster.substr(i, length);
      if (const char *mapped = find(character))
        out += mapped;
      else
        out += character;
    }
  }
  return out;
}

absl::StatusOr<std::unique_ptr<Normalizer>> PrecompiledMap::parse(const nlohmann::json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "precompiled_charsmap"}, where); !status.ok())
    return status;
  absl::StatusOr<std::string> text = getString(json, "precompiled_charsmap", where);
  if (!text.ok())
    return text.status();
  const auto refuse = [&](std::string_view expected, const auto &...found) {
    return invalidArgument(where, ": key 'precompiled_charsmap' must ", expected, ", got ", found...);
  };
  const std::optional<std::string> bytes = text->size() <= kMaxBase64 ? decodeBase64(*text) : std::nullopt;
  if (!bytes)
    return refuse("be base64 of at most 4 MiB", text->size(), " characters that are not");
  if (bytes->size() < 8)
    return refuse("hold a trie", bytes->size(), " bytes");
  const uint32_t trie = littleEndian(*bytes, 0);
  if (trie < 4 || trie % 4 || trie > bytes->size() - 4)
    return refuse("begin with the size of a trie within it", trie, " of ", bytes->size(), " bytes");
  auto map = std::make_unique<PrecompiledMap>();
  for (uint32_t at = 0; at < trie; at += 4)
    map->units.push_back(littleEndian(*bytes, 4 + at));
  map->replacements = bytes->substr(4 + size_t(trie)) + '\0';
  if (!isValidUtf8(map->replacements))
    return refuse("map to valid UTF-8", "other bytes");
  if (absl::Status status = map->check(where); !status.ok())
    return status;
  return map;
}

} // namespace graphc
