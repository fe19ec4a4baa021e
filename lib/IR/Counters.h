// What a pass counts. MLIR's own pass statistics are compiled out of release
// libraries, which is what distributions ship, so passes report by diagnostics.
#pragma once

#include "Support/Contract.h"

#include "mlir/IR/Operation.h"

#include <initializer_list>

namespace graphc {

/// A number under the name that the pass's documentation gives it.
struct Counter {
  llvm::StringLiteral name;
  uint64_t value = 0;

  Counter &operator++() { return *this += 1; }
  Counter &operator+=(uint64_t more) {
    value += more;
    return *this;
  }
};

/// Sets the counters back to zero; if `wanted`, first says those that are not
/// zero in a remark at `op`: "layer-fuse-cache: 2 fused, 1 missed-cross". All of
/// them go to `facts`, if given.
void reportCounters(mlir::Operation *op, llvm::StringRef pass, bool wanted,
                    std::initializer_list<Counter *> counters, Facts *facts = nullptr);

} // namespace graphc
