#include "Import/Config.h"

#include "Support/File.h"
#include "Support/Json.h"
#include "Support/Message.h"

#include "mlir/IR/Location.h"

#include <cmath>
#include <filesystem>

using namespace mlir;
using namespace graphc;
using namespace graphc::importer;
using nlohmann::json;

/// Keys that transformers may write for every model and that change neither its
/// computation nor its parameters: provenance, training, generation defaults,
/// labels of fine-tuning tasks, and what the forward pass returns. Sorted.
static constexpr llvm::StringLiteral kHarmless[] = {
    "_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "architectures",
    "attention_dropout", "bad_words_ids", "begin_suppress_tokens", "cls_token_id", "decoder_start_token_id",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label",
    "initializer_range", "is_decoder", "label2id", "length_penalty", "mask_token_id", "max_length", "min_length", "model_type",
    "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_return_sequences", "output_attentions",
    "output_hidden_states", "output_past", "output_scores", "pad_token_id", "prefix", "problem_type",
    "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id",
    "suppress_tokens", "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p",
    "torch_dtype", "torchscript", "transformers_version", "typical_p", "unk_token_id", "use_cache"};

FailureOr<Config> Config::open(MLIRContext &context, const std::string &folder) {
  const std::string path = std::filesystem::path(folder) / "config.json";
  absl::StatusOr<std::string> text = readFile(path, /*maxBytes=*/size_t(1) << 24);
  if (text.ok())
    return parse(context, *std::move(text), path);
  const Location whole = FileLineColLoc::get(&context, path, 0, 0);
  if (absl::IsNotFound(text.status()))
    return emitError(whole, "checkpoint folder must have config.json, got nothing");
  return emitError(whole, std::string(text.status().message()));
}

FailureOr<Config> Config::parse(MLIRContext &context, std::string text, std::string path) {
  Config config(context, std::move(path));
  config.contents = std::move(text);
  const Location whole = FileLineColLoc::get(&context, config.path, 0, 0);
  absl::StatusOr<json> root = parseJson(config.contents, "config.json");
  if (!root.ok())
    return emitError(whole, std::string(root.status().message()));
  if (!root->is_object())
    return emitError(whole, "config.json must be an object, got " + describeJson(*root));
  config.root = *std::move(root);
  return config;
}

InFlightDiagnostic Config::error(StringRef key) {
  failed = true;
  // The first place where the key stands as a key; 0 (no line) if it is absent.
  unsigned line = 0, column = 0;
  const std::string quoted = ("\"" + key + "\"").str();
  for (size_t at = contents.find(quoted); at != std::string::npos && !line; at = contents.find(quoted, at + 1)) {
    const StringRef after = StringRef(contents).drop_front(at + quoted.size()).ltrim();
    if (!after.starts_with(":"))
      continue;
    const StringRef before = StringRef(contents).take_front(at);
    line = unsigned(before.count('\n')) + 1;
    column = unsigned(before.size() - (before.rfind('\n') + 1)) + 1;
  }
  return emitError(FileLineColLoc::get(context, path, line, column));
}

const json *Config::value(StringRef key) {
  read.insert(key.str());
  const auto entry = root.find(key);
  return entry == root.end() || entry->is_null() ? nullptr : &*entry;
}

template <typename T>
T Config::take(StringRef key, absl::StatusOr<std::optional<T>> found, std::optional<T> fallback, StringRef expected,
               T onError) {
  read.insert(key.str());
  if (!found.ok()) {
    error(key) << std::string(found.status().message());
    return onError;
  }
  if (*found)
    return std::move(**found);
  if (fallback)
    return std::move(*fallback);
  error(key) << "key '" << key << "' must be " << expected << ", got nothing";
  return onError;
}

int64_t Config::size(StringRef key, std::optional<int64_t> fallback, int64_t most) {
  const int64_t size = take<int64_t>(key, getOptionalInt(root, key), fallback, "an integer", 1);
  if (size >= 1 && size <= most)
    return size;
  error(key) << "key '" << key << "' must be from 1 to " << most << ", got " << size;
  return 1;
}

double Config::positive(StringRef key, std::optional<double> fallback) {
  const double number = take<double>(key, getOptionalDouble(root, key), fallback, "a number", 1);
  if (std::isfinite(number) && number > 0)
    return number;
  error(key) << "key '" << key << "' must be a positive number, got " << concat(number);
  return 1;
}

bool Config::flag(StringRef key, bool fallback) {
  return take<bool>(key, getOptionalBool(root, key), fallback, "true or false", fallback);
}

std::string Config::text(StringRef key, std::optional<StringRef> fallback) {
  std::optional<std::string> owned;
  if (fallback)
    owned = fallback->str();
  return take<std::string>(key, getOptionalString(root, key), owned, "a string", "");
}

const json *Config::object(StringRef key) {
  const json *found = value(key);
  if (!found || found->is_object())
    return found;
  error(key) << "key '" << key << "' must be an object, got " << describeJson(*found);
  return nullptr;
}

void Config::demand(StringRef key, const json &supported, StringRef reason) {
  const json *found = value(key);
  if (found && *found != supported)
    error(key) << "key '" << key << "' must be " << supported.dump() << ", got " << describeJson(*found) << ": "
               << reason;
}

LogicalResult Config::finish(StringRef family, ArrayRef<llvm::StringLiteral> harmless) {
  for (const auto &[key, value] : root.items()) {
    if (value.is_null() || read.count(key) || llvm::is_contained(kHarmless, key) || llvm::is_contained(harmless, key))
      continue;
    error(key) << "key '" << key << "' must be absent for family '" << family << "', got " << describeJson(value)
               << "; remove it if it does not change what the model computes";
  }
  return failure(failed);
}
