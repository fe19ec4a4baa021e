// What a pass counts and decides. MLIR's own pass statistics are compiled out of
// release libraries, which is what distributions ship, so passes report by
// diagnostics, and by optimisation remarks to whoever listens for those
// (lib/Compiler/Explainer.h).
#pragma once

#include "Support/Contract.h"

#include "mlir/IR/Operation.h"
#include "mlir/Pass/Pass.h"

#include <initializer_list>
#include <memory>

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
/// zero in a remark at `op`: "layer-fuse-cache: 2 fused, 1 missed-cross". If `op`
/// is a function, its name follows the pass's. All of them go to `facts`, if given.
void reportCounters(mlir::Operation *op, llvm::StringRef pass, bool wanted,
                    std::initializer_list<Counter *> counters, Facts *facts = nullptr);

/// A pass whose member `facts` is where its counters go.
template <typename Pass, typename Options>
std::unique_ptr<mlir::Pass> createWithFacts(const Options &options, Facts *facts) {
  auto pass = std::make_unique<Pass>(options);
  pass->facts = facts;
  return pass;
}

/// The remark name of a pass's counters; decisions have their counter's name.
inline constexpr llvm::StringLiteral kCountersRemark = "counters";

/// Counts, and tells listeners, that `pass` did with the layer `layer` what
/// `text` says.
void countDone(mlir::Operation *op, llvm::StringRef pass, Counter &counter, llvm::StringRef layer,
               const llvm::Twine &text);
/// The same for what it left as it was, and why.
void countMissed(mlir::Operation *op, llvm::StringRef pass, Counter &counter, llvm::StringRef layer,
                 const llvm::Twine &reason);

} // namespace graphc
