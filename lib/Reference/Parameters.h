// Where the interpreter reads parameters from.
#pragma once

#include "Reference/Tensor.h"

#include <absl/status/statusor.h>
#include <map>
#include <string>
#include <utility>

namespace graphc {
class Checkpoint;
}

namespace graphc::reference {

class ParameterSource {
public:
  virtual ~ParameterSource() = default;
  /// The checkpoint tensor called `name`, widened exactly. NotFound if there is
  /// none, InvalidArgument if its type is not one of graphc's floats.
  virtual absl::StatusOr<Tensor> load(const std::string &name) = 0;
};

/// Reads from a mapped checkpoint, which must outlive it.
class CheckpointParameters : public ParameterSource {
public:
  explicit CheckpointParameters(const Checkpoint &checkpoint) : checkpoint(checkpoint) {}
  absl::StatusOr<Tensor> load(const std::string &name) override;

private:
  const Checkpoint &checkpoint;
};

/// Tensors given by name, for models that have no checkpoint.
class TensorParameters : public ParameterSource {
public:
  explicit TensorParameters(std::map<std::string, Tensor> tensors) : tensors(std::move(tensors)) {}
  absl::StatusOr<Tensor> load(const std::string &name) override;

private:
  std::map<std::string, Tensor> tensors;
};

} // namespace graphc::reference
