// The weights of a program: found in a checkpoint, checked, used in place in the
// mapped file where they can be, and otherwise made once.
#pragma once

#include "Runtime/Memory.h"
#include "Support/Program.h"
#include "Support/Safetensors.h"
#include "graphc/Runtime.h"

#include <absl/status/statusor.h>
#include <string>
#include <vector>

namespace graphc {

/// Immutable once open.
class Weights {
public:
  /// Opens the checkpoint in `folder`. InvalidArgument, naming the tensor, if one
  /// is missing or has another dtype or shape than the program was compiled for.
  static absl::StatusOr<Weights> open(const Program &program, const std::string &folder);

  /// Memory of the parameter at program.bindings[binding]; null if that is none.
  const std::byte *at(size_t binding) const { return pointers[binding]; }
  const std::vector<Residency> &residency() const { return ledger; }
  /// Bytes beside the weights, at most, that are resident because the system maps
  /// pages: of converted memory, and of files around the tensors used in place.
  uint64_t pageEnds() const { return endsOfPages; }

private:
  std::vector<Checkpoint> checkpoint; ///< None, if the program has no parameter.
  Memory converted;
  std::vector<const std::byte *> pointers; ///< (bindings)
  std::vector<Residency> ledger;
  uint64_t endsOfPages = 0;
};

/// Makes the elements first .. last - 1 of `parameter` from the checkpoint's
/// `tensor`, in the order of the parameter's own layout. `tensor` need not be
/// aligned; `out` is the parameter's whole memory. Returns how many finite elements
/// a rounding put beyond its type's range, so that they are infinite or NaN now.
uint64_t convertElements(const Binding &parameter, const std::byte *tensor, uint64_t first,
                         uint64_t last, std::byte *out);

} // namespace graphc
