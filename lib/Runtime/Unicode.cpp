// The normal forms use utf8proc's tables, but not its driver: that one sorts
// combining marks by insertion, so that a long run of marks takes quadratic time.
#include "Runtime/Unicode.h"

#include <algorithm>
#include <array>
#include <utf8proc.h>
#include <vector>

namespace graphc {

namespace {
/// The length of the sequence that `lead` starts, or 0 if none starts so.
unsigned sequenceLength(unsigned char lead) {
  if (lead < 0x80)
    return 1;
  if (lead < 0xC2 || lead > 0xF4)
    return 0;
  return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/// Whether `byte` may follow; the second byte also excludes overlong forms,
/// surrogates and what is beyond U+10FFFF.
bool continues(unsigned char lead, unsigned index, unsigned char byte) {
  unsigned char low = 0x80, high = 0xBF;
  if (index == 1) {
    low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  }
  return byte >= low && byte <= high;
}

struct ByteAlphabet {
  std::array<char32_t, 256> characters;
  std::array<int16_t, 0x144> bytes; ///< By code point; -1 where none.

  constexpr ByteAlphabet() : characters{}, bytes{} {
    for (int16_t &byte : bytes)
      byte = -1;
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      characters[byte] = printable ? char32_t(byte) : next++;
      bytes[characters[byte]] = int16_t(byte);
    }
  }
};
constexpr ByteAlphabet kAlphabet;

/// Canonical order: each run of marks sorted by combining class, stably.
void orderMarks(std::vector<utf8proc_int32_t> &points) {
  const auto classOf = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  std::vector<uint64_t> marks; // class, position in the run, code point: 8 + 35 + 21 bits
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if(begin, points.end(), classOf);
    const auto end = std::find_if_not(begin, points.end(), classOf);
    marks.clear();
    for (auto point = begin; point != end; ++point)
      marks.push_back(uint64_t(classOf(*point)) << 56 | uint64_t(point - begin) << 21 |
                      uint64_t(*point));
    std::sort(marks.begin(), marks.end());
    for (uint64_t mark : marks)
      *begin++ = utf8proc_int32_t(mark & 0x1FFFFF);
  }
}
} // namespace

void Utf8Repair::push(std::string_view bytes, std::string &out) {
  for (char character : bytes) {
    const auto byte = static_cast<unsigned char>(character);
    if (count && !continues(static_cast<unsigned char>(pending[0]), count, byte)) {
      out += kReplacementCharacter;
      count = 0;
    }
    if (count == 0) {
      needed = sequenceLength(byte);
      if (needed == 0) {
        out += kReplacementCharacter;
        continue;
      }
    }
    pending[count++] = character;
    if (count == needed) {
      out.append(pending, count);
      count = 0;
    }
  }
}

void Utf8Repair::finish(std::string &out) {
  if (count)
    out += kReplacementCharacter;
  count = 0;
}

std::string toValidUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  Utf8Repair repair;
  repair.push(bytes, out);
  repair.finish(out);
  return out;
}

bool isValidUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    const unsigned length = sequenceLength(lead);
    if (length == 0 || length > bytes.size() - i)
      return false;
    for (unsigned k = 1; k < length; ++k)
      if (!continues(lead, k, static_cast<unsigned char>(bytes[i + k])))
        return false;
    i += length;
  }
  return true;
}

char32_t codePointAt(std::string_view text, size_t position) {
  const size_t length = utf8Length(text[position]);
  const auto lead = static_cast<unsigned char>(text[position]);
  char32_t codePoint = length == 1 ? lead : lead & (0x7F >> length);
  for (size_t k = 1; k < length; ++k)
    codePoint = codePoint << 6 | (static_cast<unsigned char>(text[position + k]) & 0x3F);
  return codePoint;
}

void appendUtf8(std::string &out, char32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += {char(0xC0 | c >> 6), char(0x80 | (c & 0x3F))};
  } else if (c < 0x10000) {
    out += {char(0xE0 | c >> 12), char(0x80 | (c >> 6 & 0x3F)), char(0x80 | (c & 0x3F))};
  } else {
    out += {char(0xF0 | c >> 18), char(0x80 | (c >> 12 & 0x3F)), char(0x80 | (c >> 6 & 0x3F)),
            char(0x80 | (c & 0x3F))};
  }
}

size_t graphemeLength(std::string_view text, size_t position) {
  size_t at = position + utf8Length(text[position]);
  utf8proc_int32_t state = 0;
  for (auto before = utf8proc_int32_t(codePointAt(text, position)); at < text.size();) {
    const auto next = utf8proc_int32_t(codePointAt(text, at));
    if (utf8proc_grapheme_break_stateful(before, next, &state))
      break;
    at += utf8Length(text[at]);
    before = next;
  }
  return at - position;
}

bool isWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::string normalizeUnicode(std::string_view text, NormalForm form) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; }))
    return std::string(text);
  const bool compatible = form == NormalForm::NFKC || form == NormalForm::NFKD;
  const bool compose = form == NormalForm::NFC || form == NormalForm::NFKC;
  const auto options =
      utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size(); i += utf8Length(text[i])) {
    utf8proc_int32_t parts[32]; // the longest decomposition of Unicode has 18
    const auto count = utf8proc_decompose_char(utf8proc_int32_t(codePointAt(text, i)), parts, 32,
                                               options, nullptr);
    points.insert(points.end(), parts, parts + std::clamp<utf8proc_ssize_t>(count, 0, 32));
  }
  orderMarks(points);
  auto size = utf8proc_ssize_t(points.size());
  if (compose)
    size = utf8proc_normalize_utf32(points.data(), size,
                                    utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < size; ++i)
    appendUtf8(out, char32_t(points[size_t(i)]));
  return out;
}

void appendByteCharacter(std::string &out, unsigned char byte) {
  appendUtf8(out, kAlphabet.characters[byte]);
}

std::optional<unsigned char> byteOfCharacter(char32_t codePoint) {
  if (codePoint >= kAlphabet.bytes.size() || kAlphabet.bytes[codePoint] < 0)
    return std::nullopt;
  return static_cast<unsigned char>(kAlphabet.bytes[codePoint]);
}

} // namespace graphc
