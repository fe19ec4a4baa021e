// Runtime/Unicode: repair of invalid UTF-8, normal forms, the byte alphabet.
#include "Runtime/Unicode.h"

#include <chrono>
#include <gtest/gtest.h>
#include <set>

using namespace graphc;

TEST(Unicode, repairsMaximalSubparts) {
  const std::string bad(kReplacementCharacter);
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"a\u00e9\u4e2d\U0001f600", "a\u00e9\u4e2d\U0001f600"},
      {"\xFF", bad},
      {"a\xC3", "a" + bad},
      {"\xC3(", bad + "("},
      {"\xE2\x82", bad},                           // one cut-off character
      {"\xF0\x9F\x98z", bad + "z"},                //
      {"\xED\xA0\x80", bad + bad + bad},           // a surrogate: no part of it can continue
      {"\xC0\xAF", bad + bad},                     // overlong
      {"\xF4\x90\x80\x80", bad + bad + bad + bad}, // beyond U+10FFFF
      {"\xE2\xE2\x82\xAC", bad + "\u20ac"},        // the second starts anew
  };
  for (const auto &[bytes, text] : cases) {
    EXPECT_EQ(toValidUtf8(bytes), text);
    EXPECT_EQ(isValidUtf8(bytes), bytes == text);
    std::string streamed;
    Utf8Repair repair;
    for (char byte : bytes)
      repair.push(std::string_view(&byte, 1), streamed);
    repair.finish(streamed);
    EXPECT_EQ(streamed, text);
  }
}

TEST(Unicode, everyCodePointSurvives) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000)
      continue;
    std::string text;
    appendUtf8(text, c);
    ASSERT_EQ(codePointAt(text, 0), c);
    ASSERT_EQ(utf8Length(text[0]), text.size());
    ASSERT_TRUE(isValidUtf8(text));
  }
}

TEST(Unicode, normalizes) {
  EXPECT_EQ(normalizeUnicode("A\u030a e\u0301", NormalForm::NFC), "\u00c5 \u00e9");
  EXPECT_EQ(normalizeUnicode("\u212b\u00e9", NormalForm::NFD), "A\u030ae\u0301");
  EXPECT_EQ(normalizeUnicode("\ufb01\u00b2", NormalForm::NFKC), "fi2");
  EXPECT_EQ(normalizeUnicode("\u1e69", NormalForm::NFKD), "s\u0323\u0307");
  EXPECT_EQ(normalizeUnicode("s\u0307\u0323", NormalForm::NFC), "\u1e69"); // marks are sorted
  EXPECT_EQ(normalizeUnicode("\u1100\u1161\u11a8", NormalForm::NFC), "\uac01");
  EXPECT_EQ(normalizeUnicode("\u0958", NormalForm::NFC), "\u0915\u093c"); // excluded
  EXPECT_EQ(normalizeUnicode(std::string_view("a\0\u00e9", 4), NormalForm::NFC),
            std::string_view("a\0\u00e9", 4));
}

TEST(Unicode, normalizesLongRunsOfMarksInReasonableTime) {
  std::string text = "a";
  for (int i = 0; i < 200000; ++i)
    text += "\u0301\u0323"; // each pair out of order
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(normalizeUnicode(text, NormalForm::NFD).size(), text.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(Unicode, byteAlphabetIsThatOfGpt2) {
  std::set<char32_t> seen;
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string text;
    appendByteCharacter(text, static_cast<unsigned char>(byte));
    const char32_t character = codePointAt(text, 0);
    EXPECT_TRUE(seen.insert(character).second);
    EXPECT_EQ(byteOfCharacter(character), byte);
  }
  std::string text;
  for (unsigned char byte : {' ', '\n', 'a', '\xAD', '\x7F'})
    appendByteCharacter(text, byte);
  EXPECT_EQ(text, "\u0120\u010aa\u0143\u0121");
  EXPECT_EQ(byteOfCharacter(U' '), std::nullopt);
  EXPECT_EQ(byteOfCharacter(0x144), std::nullopt);
}
