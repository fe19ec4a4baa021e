// Text to token ids and back, as a Hugging Face tokenizer.json says: byte-level
// BPE (GPT-2, Llama 3, Qwen) and BPE with byte fallback (Llama 2, Mistral). The
// ids equal those of Hugging Face tokenizers; a file with a component that is
// not known here is refused rather than read in part.
#pragma once

#include <absl/status/statusor.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

class TokenDecoder;

/// Immutable; one object may be used by many threads at once.
class Tokenizer {
public:
  /// Reads the tokenizer.json at `path`. Errors name the file, the key, what
  /// was expected and what was found. `truncation` and `padding` are left to
  /// whoever batches, as transformers leaves them.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> load(const std::string &path);
  /// The same from text; `nameForErrors` stands for the path.
  static absl::StatusOr<std::unique_ptr<Tokenizer>>
  parse(std::string_view json, std::string_view nameForErrors = "tokenizer.json");
  ~Tokenizer();

  /// The ids of `text`; with `addSpecialTokens` also those that the file's
  /// post-processor puts around them (BOS, EOS). Bytes that are no UTF-8 count
  /// as U+FFFD each, a cut-off character as one. Errors: ResourceExhausted if
  /// the file's pattern needs unreasonably long on this text, InvalidArgument
  /// beyond 64 MiB of text or 1 GiB once normalized.
  absl::StatusOr<std::vector<int32_t>> encode(std::string_view text, bool addSpecialTokens) const;

  /// The text of `ids`, valid UTF-8. Ids without a token are passed over (models
  /// pad their vocabulary), special tokens too with `skipSpecialTokens`.
  std::string decode(std::span<const int32_t> ids, bool skipSpecialTokens) const;

  /// One more than the greatest id: the rows that an embedding needs.
  int32_t vocabSize() const;
  /// The id of the token that is spelled `token` in the file, or nothing.
  std::optional<int32_t> tokenToId(std::string_view token) const;
  /// The spelling in the file of the token `id`, or nothing.
  std::optional<std::string> idToToken(int32_t id) const;
  /// Whether the file calls the token `id` special.
  bool isSpecial(int32_t id) const;

private:
  friend class StreamDecoder;
  struct Parts;
  explicit Tokenizer(std::unique_ptr<const Parts> parts);
  /// What the decoder is given for `id`, or nullptr if it is passed over.
  const std::string *textForDecoder(int32_t id, bool skipSpecialTokens) const;

  std::unique_ptr<const Parts> parts;
};

/// Decodes ids one by one. What push() and finish() return, put together, is
/// decode() of all the ids; each part is whole characters. Text that later ids
/// may still change is held back: half a character, and with byte fallback a
/// run of byte tokens.
class StreamDecoder {
public:
  /// `tokenizer` must outlive the object.
  StreamDecoder(const Tokenizer &tokenizer, bool skipSpecialTokens);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder &&) noexcept;
  StreamDecoder &operator=(StreamDecoder &&) noexcept;

  /// The text that `id` makes certain; often empty.
  std::string push(int32_t id);
  /// The rest; the next push() starts a new text.
  std::string finish();

private:
  const Tokenizer *tokenizer;
  bool skipSpecialTokens;
  std::unique_ptr<TokenDecoder> decoder;
};

} // namespace graphc
