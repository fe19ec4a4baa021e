// What a Model holds.
#pragma once

#include "Runtime/Tokenizer.h"
#include "Runtime/Weights.h"
#include "graphc/Runtime.h"

#include <memory>
#include <mutex>
#include <string>

namespace graphc {

struct Model::Parts {
  std::shared_ptr<const Executable> executable;
  Weights weights;
  std::string folder;

  /// The folder's tokenizer, read on first use; NotFound if there is none.
  absl::StatusOr<const Tokenizer *> tokenizer() const;

private:
  mutable std::once_flag tokenizerRead;
  mutable absl::StatusOr<std::unique_ptr<Tokenizer>> theTokenizer;
};

} // namespace graphc
