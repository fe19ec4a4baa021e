// UTF-8 as the tokenizer needs it: repair of invalid input, iteration over
// valid text, white space, normal forms, and the byte alphabet of GPT-2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace graphc {

/// U+FFFD in UTF-8: what stands for bytes that are no text.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// Turns a stream of bytes into valid UTF-8. Each maximal part of a sequence
/// that cannot be completed becomes one U+FFFD (Unicode 15, section 3.9, U+FFFD
/// substitution of maximal subparts), which is what Python's errors="replace"
/// and Rust's from_utf8_lossy give. A character split over calls is held back.
class Utf8Repair {
public:
  void push(std::string_view bytes, std::string &out);
  /// The end of the stream: an unfinished character becomes U+FFFD.
  void finish(std::string &out);

private:
  char pending[4];
  unsigned count = 0;  ///< Bytes in `pending`, all part of one valid sequence.
  unsigned needed = 0; ///< The bytes of that whole sequence.
};

/// `bytes` as valid UTF-8, through Utf8Repair.
std::string toValidUtf8(std::string_view bytes);

/// True if `bytes` is valid UTF-8.
bool isValidUtf8(std::string_view bytes);

/// The bytes of the character that starts with `lead`, in valid UTF-8.
inline size_t utf8Length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

/// The code point at `position` of valid UTF-8 (position < size).
char32_t codePointAt(std::string_view text, size_t position);

/// Appends `codePoint`, which is at most U+10FFFF and no surrogate.
void appendUtf8(std::string &out, char32_t codePoint);

/// The bytes of the extended grapheme cluster (UAX #29) that starts at `position`
/// of valid UTF-8 (position < size).
size_t graphemeLength(std::string_view text, size_t position);

/// Unicode's White_Space property.
bool isWhiteSpace(char32_t codePoint);

enum class NormalForm : uint8_t { NFC, NFD, NFKC, NFKD };

/// `text` (valid UTF-8) in the given normal form, in time O(n log n).
std::string normalizeUnicode(std::string_view text, NormalForm form);

// The byte alphabet of GPT-2 (its encoder.py, bytes_to_unicode): every byte has
// a printable character, itself where it is printable Latin-1, else the next of
// U+0100, U+0101, ...

/// Appends the character of `byte`.
void appendByteCharacter(std::string &out, unsigned char byte);
/// The byte whose character is `codePoint`, or nothing.
std::optional<unsigned char> byteOfCharacter(char32_t codePoint);

} // namespace graphc
