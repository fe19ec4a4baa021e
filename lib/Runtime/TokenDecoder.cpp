// What each stage does with one token, and what it holds back. `emit` hands a
// text to the next stage.
#include "Runtime/TokenDecoder.h"
#include "Runtime/ComponentJson.h"

#include <optional>

namespace graphc {

namespace {
/// The byte of a token such as "<0x0A>", or nothing.
std::optional<char> fallbackByte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return std::nullopt;
  unsigned value = 0;
  for (char digit : token.substr(3, 2)) {
    const char lower = char(digit | 0x20);
    if (digit >= '0' && digit <= '9')
      value = value * 16 + unsigned(digit - '0');
    else if (lower >= 'a' && lower <= 'f')
      value = value * 16 + unsigned(lower - 'a' + 10);
    else
      return std::nullopt;
  }
  return char(value);
}

/// Removes up to `limit` times `content` from the front; returns how often.
uint64_t stripFront(std::string_view &text, std::string_view content, uint64_t limit) {
  uint64_t count = 0;
  for (; count < limit && text.starts_with(content); ++count)
    text.remove_prefix(content.size());
  return count;
}

/// The same from the end.
uint64_t stripBack(std::string_view &text, std::string_view content, uint64_t limit) {
  uint64_t count = 0;
  for (; count < limit && text.ends_with(content); ++count)
    text.remove_suffix(content.size());
  return count;
}
} // namespace

void TokenDecoder::feed(size_t index, std::string_view token, std::string &out) {
  if (index == stages.size()) {
    out += token;
    return;
  }
  const auto emit = [&](std::string_view text) { feed(index + 1, text, out); };
  std::visit([&](auto &stage) { push(stage, token, emit); }, stages[index]);
}

void TokenDecoder::finish(std::string &out) {
  for (size_t index = 0; index < stages.size(); ++index) {
    const auto emit = [&](std::string_view text) { feed(index + 1, text, out); };
    if (auto *bytes = std::get_if<ByteFallbackStage>(&stages[index]))
      endRun(*bytes, emit);
    if (auto *level = std::get_if<ByteLevelStage>(&stages[index])) {
      std::string rest;
      level->repair.finish(rest);
      emit(rest);
    }
    // What StripStage holds is what it strips from the end: it just goes.
  }
}

template <typename Emit>
void TokenDecoder::push(ReplaceStage &stage, std::string_view token, const Emit &emit) {
  emit(replaceAll(token, stage.pattern, stage.content));
}

template <typename Emit> void TokenDecoder::endRun(ByteFallbackStage &stage, const Emit &emit) {
  if (isValidUtf8(stage.run)) {
    if (!stage.run.empty())
      emit(stage.run);
  } else {
    for (size_t i = 0; i < stage.run.size(); ++i)
      emit(kReplacementCharacter);
  }
  stage.run.clear();
}

template <typename Emit>
void TokenDecoder::push(ByteFallbackStage &stage, std::string_view token, const Emit &emit) {
  if (const std::optional<char> byte = fallbackByte(token)) {
    stage.run += *byte;
    return;
  }
  endRun(stage, emit);
  emit(token);
}

template <typename Emit>
void TokenDecoder::push(StripStage &stage, std::string_view text, const Emit &emit) {
  if (!stage.fused) {
    stripFront(text, stage.content, stage.start);
    stripBack(text, stage.content, stage.stop);
    return emit(text);
  }
  if (text.empty())
    return;
  if (stage.frontLeft > 0) {
    stage.frontLeft -= stripFront(text, stage.content, stage.frontLeft);
    if (!text.empty())
      stage.frontLeft = 0;
  }
  // Of the copies at the text's end so far, at most `stop` may have to go.
  std::string_view body = text;
  const uint64_t ending = stripBack(body, stage.content, UINT64_MAX);
  uint64_t certain = body.empty() ? 0 : std::exchange(stage.held, 0);
  std::string ready;
  for (; certain > 0; --certain)
    ready += stage.content;
  ready += body;
  stage.held += ending;
  for (; stage.held > stage.stop; --stage.held)
    ready += stage.content;
  if (!ready.empty())
    emit(ready);
}

template <typename Emit>
void TokenDecoder::push(MetaspaceStage &stage, std::string_view token, const Emit &emit) {
  const bool drop = std::exchange(stage.atFirst, false) && stage.dropFirst;
  emit(replaceAll(token, stage.replacement, drop ? "" : " "));
}

template <typename Emit>
void TokenDecoder::push(ByteLevelStage &stage, std::string_view token, const Emit &emit) {
  std::string bytes, text;
  for (size_t i = 0; i < token.size(); i += utf8Length(token[i])) {
    const std::optional<unsigned char> byte = byteOfCharacter(codePointAt(token, i));
    if (!byte) {
      bytes = token;
      break;
    }
    bytes += char(*byte);
  }
  stage.repair.push(bytes, text);
  emit(text);
}

} // namespace graphc
