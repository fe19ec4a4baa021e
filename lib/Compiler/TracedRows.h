// A value of a traced program as the reference has it: kernels keep tokens packed as
// rows, the interpreter has (batch, ..) tensors. For one sequence at a time.
#pragma once

#include "Runtime/Trace.h"

#include "mlir/IR/Value.h"

#include <span>
#include <string>
#include <vector>

namespace graphc {

/// What traces call a result: its layer, and the types it was cast to: "embedder as
/// bf16", "layers.0.self_attention weights"; other results than the first have a number.
std::string traceName(mlir::OpResult result);

class TracedRows {
public:
  /// Of the call's binding `binding`: rows (tokens, width), or weights (tokens, heads,
  /// capacity), or of a source's keys (tokens, heads, source capacity).
  TracedRows(const CallView &call, int64_t binding);

  DType dtype() const { return type; }
  /// The elements in the order of the reference tensor of `shape`: (1, tokens, width);
  /// (1, heads, tokens, headDim), where width = heads * headDim; or (1, heads, tokens,
  /// keys) of weights.
  std::vector<double> read(std::span<const int64_t> shape) const;
  /// The other way, rounded to the rows' type.
  void write(std::span<const int64_t> shape, std::span<const double> values) const;
  /// Greatest magnitude of the weights behind the `keys` of (tokens, heads), which are
  /// of no key; 0 for other values.
  double beyond(std::span<const int64_t> shape) const;

private:
  double load(int64_t i) const;
  int64_t placeOf(std::span<const int64_t> shape, int64_t i) const;

  DType type;
  void *memory;
  int64_t capacity = 0; ///< Of weights; 0: these are none.
  bool isLeaf = false;  ///< Of seed mode's cache, (1, maxLen, heads, headDim): rows already.
};

} // namespace graphc
