// What a tokenizer.json is made of, read and checked.
#pragma once

#include "Runtime/AddedTokens.h"
#include "Runtime/TokenDecoder.h"
#include "Runtime/TokenModel.h"
#include "Runtime/Tokenizer.h"

namespace graphc {

struct Tokenizer::Parts {
  std::unique_ptr<Normalizer> normalizer;     ///< Never null.
  std::unique_ptr<PreTokenizer> preTokenizer; ///< Never null.
  std::unique_ptr<TokenModel> model;          ///< Never null.
  AddedTokens added;
  TokenDecoder decoder;                ///< In its initial state.
  std::vector<int32_t> prefix, suffix; ///< What the post-processor puts around.

  static absl::StatusOr<std::unique_ptr<const Parts>> parse(std::string_view json,
                                                            std::string_view nameForErrors);

private:
  absl::Status parsePostProcessor(const nlohmann::json &json, const std::string &where);
  absl::Status parseTemplate(const nlohmann::json &json, const std::string &where);
  absl::Status checkIds(const std::string &where) const;

  bool hasTemplate = false;
};

} // namespace graphc
