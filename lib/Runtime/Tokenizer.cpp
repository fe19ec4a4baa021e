// The pipeline: repair the text, cut it at added tokens (normalizing on the
// way), cut the rest into words, merge each word, surround with the template.
#include "Runtime/Tokenizer.h"
#include "Runtime/TokenizerParts.h"
#include "Support/File.h"
#include "Support/Message.h"

namespace graphc {

namespace {
constexpr size_t kMaxText = 64 << 20;         // bytes
constexpr size_t kMaxNormalized = 1024 << 20; // bytes: words are indexed by int32_t
constexpr size_t kMaxFile = 512 << 20;        // bytes: the greatest in use has some 30 MB
} // namespace

Tokenizer::Tokenizer(std::unique_ptr<const Parts> parts) : parts(std::move(parts)) {}
Tokenizer::~Tokenizer() = default;

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string &path) {
  absl::StatusOr<std::string> text = readFile(path, kMaxFile);
  if (!text.ok())
    return text.status();
  return parse(*text, path);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::parse(std::string_view json,
                                                            std::string_view nameForErrors) {
  absl::StatusOr<std::unique_ptr<const Parts>> parts = Parts::parse(json, nameForErrors);
  if (!parts.ok())
    return parts.status();
  return std::unique_ptr<Tokenizer>(new Tokenizer(*std::move(parts)));
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::encode(std::string_view text,
                                                       bool addSpecialTokens) const {
  if (text.size() > kMaxText)
    return invalidArgument("text must have at most ", kMaxText, " bytes, got ", text.size());
  const uint64_t growth = parts->normalizer->growth();
  if (!text.empty() && growth > kMaxNormalized / (3 * text.size())) // repair makes 3 of 1
    return invalidArgument("normalizer must keep text within ", kMaxNormalized, " bytes, got ",
                           text.size(), " that may grow ", growth, " times");
  std::vector<TextPiece> pieces = parts->added.cut(toValidUtf8(text), *parts->normalizer);
  if (absl::Status status = parts->preTokenizer->apply(pieces); !status.ok())
    return status;
  std::vector<int32_t> ids;
  if (addSpecialTokens)
    ids = parts->prefix;
  for (const TextPiece &piece : pieces) {
    if (piece.token >= 0)
      ids.push_back(piece.token);
    else
      parts->model->encode(piece.text, ids);
  }
  if (addSpecialTokens)
    ids.insert(ids.end(), parts->suffix.begin(), parts->suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecialTokens) const {
  TokenDecoder decoder = parts->decoder;
  std::string text;
  for (int32_t id : ids)
    if (const std::string *token = textForDecoder(id, skipSpecialTokens))
      decoder.push(*token, text);
  decoder.finish(text);
  return text;
}

const std::string *Tokenizer::textForDecoder(int32_t id, bool skipSpecialTokens) const {
  if (const AddedToken *added = parts->added.byId(id))
    return added->special && skipSpecialTokens ? nullptr : &added->decoded;
  return parts->model->idToToken(id);
}

int32_t Tokenizer::vocabSize() const {
  const auto &added = parts->added.all();
  return std::max(parts->model->idCount(), added.empty() ? 0 : added.rbegin()->first + 1);
}

std::optional<int32_t> Tokenizer::tokenToId(std::string_view token) const {
  if (const AddedToken *added = parts->added.byContent(token))
    return added->id;
  return parts->model->tokenToId(token);
}

std::optional<std::string> Tokenizer::idToToken(int32_t id) const {
  if (const AddedToken *added = parts->added.byId(id))
    return added->content;
  const std::string *token = parts->model->idToToken(id);
  return token ? std::optional(*token) : std::nullopt;
}

bool Tokenizer::isSpecial(int32_t id) const {
  const AddedToken *added = parts->added.byId(id);
  return added && added->special;
}

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool skipSpecialTokens)
    : tokenizer(&tokenizer), skipSpecialTokens(skipSpecialTokens),
      decoder(std::make_unique<TokenDecoder>(tokenizer.parts->decoder)) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder &&) noexcept = default;
StreamDecoder &StreamDecoder::operator=(StreamDecoder &&) noexcept = default;

std::string StreamDecoder::push(int32_t id) {
  std::string text;
  if (const std::string *token = tokenizer->textForDecoder(id, skipSpecialTokens))
    decoder->push(*token, text);
  return text;
}

std::string StreamDecoder::finish() {
  std::string text;
  decoder->finish(text);
  *decoder = tokenizer->parts->decoder;
  return text;
}

} // namespace graphc
