// One class per normalizer; the readers below them mirror tokenizer.json.
#include "Runtime/Normalizer.h"
#include "Runtime/ComponentJson.h"
#include "Runtime/PrecompiledMap.h"
#include "Runtime/Unicode.h"
#include "Support/Message.h"

#include <optional>

namespace graphc {

using nlohmann::json;
using NormalizerOr = absl::StatusOr<std::unique_ptr<Normalizer>>;

namespace {
class UnicodeForm : public Normalizer {
public:
  explicit UnicodeForm(NormalForm form) : form(form) {}
  std::string apply(std::string text) const override { return normalizeUnicode(text, form); }
  uint64_t growth() const override { // Unicode, UAX #15, table "maximum expansion factors"
    return form == NormalForm::NFC || form == NormalForm::NFD ? 3 : 11;
  }

private:
  NormalForm form;
};

class Prepend : public Normalizer {
public:
  explicit Prepend(std::string prefix) : prefix(std::move(prefix)) {}
  std::string apply(std::string text) const override { return text.empty() ? text : prefix + text; }
  uint64_t growth() const override { return 1 + prefix.size(); }

private:
  std::string prefix;
};

class Replace : public Normalizer {
public:
  Replace(std::string pattern, std::string content)
      : pattern(std::move(pattern)), content(std::move(content)) {}
  std::string apply(std::string text) const override { return replaceAll(text, pattern, content); }
  uint64_t growth() const override { return replacementGrowth(pattern, content); }

private:
  std::string pattern, content;
};

/// Runs of two and more blanks become `content`: the one regular expression that
/// converted SentencePiece models use here.
class ReplaceBlanks : public Normalizer {
public:
  explicit ReplaceBlanks(std::string content) : content(std::move(content)) {}
  std::string apply(std::string text) const override {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find_first_not_of(' ', at), text.size());
      if (end - at >= 2)
        out += content, at = end;
      else
        out += text[at++];
    }
    return out;
  }
  uint64_t growth() const override { return 1 + content.size() / 2; }

private:
  std::string content;
};

class Strip : public Normalizer {
public:
  Strip(bool left, bool right) : left(left), right(right) {}
  std::string apply(std::string text) const override {
    size_t begin = 0, end = text.size();
    while (left && begin < end && isWhiteSpace(codePointAt(text, begin)))
      begin += utf8Length(text[begin]);
    while (right && begin < end) {
      size_t last = end - 1;
      while ((uint8_t(text[last]) & 0xC0) == 0x80) // to the character's first byte
        --last;
      if (!isWhiteSpace(codePointAt(text, last)))
        break;
      end = last;
    }
    return text.substr(begin, end - begin);
  }
  uint64_t growth() const override { return 1; }

private:
  bool left, right;
};

class NormalizerSequence : public Normalizer {
public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps)
      : steps(std::move(steps)) {}
  std::string apply(std::string text) const override {
    for (const auto &step : steps)
      text = step->apply(std::move(text));
    return text;
  }
  uint64_t growth() const override {
    uint64_t product = 1;
    for (const auto &step : steps)
      if (__builtin_mul_overflow(product, step->growth(), &product))
        return UINT64_MAX;
    return product;
  }

private:
  std::vector<std::unique_ptr<Normalizer>> steps;
};

std::optional<NormalForm> normalForm(std::string_view type) {
  if (type == "NFC")
    return NormalForm::NFC;
  if (type == "NFD")
    return NormalForm::NFD;
  if (type == "NFKC")
    return NormalForm::NFKC;
  if (type == "NFKD")
    return NormalForm::NFKD;
  return std::nullopt;
}

NormalizerOr parseReplace(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "pattern", "content"}, where); !status.ok())
    return status;
  absl::StatusOr<std::string> content = getString(json, "content", where);
  if (!content.ok())
    return content.status();
  if (const auto given = json.find("pattern"); given != json.end() && *given == nlohmann::json{{"Regex", " {2,}"}})
    return std::make_unique<ReplaceBlanks>(*std::move(content));
  absl::StatusOr<std::string> pattern = getLiteralPattern(json, where);
  if (!pattern.ok())
    return pattern.status();
  return std::make_unique<Replace>(*std::move(pattern), *std::move(content));
}

NormalizerOr parseStrip(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "strip_left", "strip_right"}, where); !status.ok())
    return status;
  absl::StatusOr<bool> left = getBool(json, "strip_left", where);
  if (!left.ok())
    return left.status();
  absl::StatusOr<bool> right = getBool(json, "strip_right", where);
  if (!right.ok())
    return right.status();
  return std::make_unique<Strip>(*left, *right);
}

NormalizerOr parseSequence(const json &json, const std::string &where) {
  if (absl::Status status = checkKeys(json, {"type", "normalizers"}, where); !status.ok())
    return status;
  absl::StatusOr<const nlohmann::json *> list = getArray(json, "normalizers", where);
  if (!list.ok())
    return list.status();
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (size_t i = 0; i < (*list)->size(); ++i) {
    NormalizerOr step = parseNormalizer((**list)[i], concat(where, ".normalizers[", i, "]"));
    if (!step.ok())
      return step;
    steps.push_back(*std::move(step));
  }
  return std::make_unique<NormalizerSequence>(std::move(steps));
}
} // namespace

NormalizerOr parseNormalizer(const json &json, const std::string &where) {
  if (json.is_null())
    return std::make_unique<NormalizerSequence>(std::vector<std::unique_ptr<Normalizer>>());
  absl::StatusOr<std::string> type = getString(json, "type", where);
  if (!type.ok())
    return type.status();
  if (*type == "Sequence")
    return parseSequence(json, where);
  if (*type == "Replace")
    return parseReplace(json, where);
  if (*type == "Strip")
    return parseStrip(json, where);
  if (*type == "Precompiled")
    return PrecompiledMap::parse(json, where);
  if (*type == "Prepend") {
    if (absl::Status status = checkKeys(json, {"type", "prepend"}, where); !status.ok())
      return status;
    absl::StatusOr<std::string> prefix = getString(json, "prepend", where);
    if (!prefix.ok())
      return prefix.status();
    return std::make_unique<Prepend>(*std::move(prefix));
  }
  if (std::optional<NormalForm> form = normalForm(*type)) {
    if (absl::Status status = checkKeys(json, {"type"}, where); !status.ok())
      return status;
    return std::make_unique<UnicodeForm>(*form);
  }
  return unknownType(*type, "'NFC', 'NFD', 'NFKC', 'NFKD', 'Prepend', 'Replace', 'Strip', 'Precompiled' or 'Sequence'",
                     where);
}

} // namespace graphc
