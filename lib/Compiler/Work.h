// The least that a step must read and multiply, counted from its kernels: what
// measured rates are compared with. Tiles, threads and chunks do not enter it.
#pragma once

#include "Support/Target.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace graphc {

/// Multiply-adds by the instruction that the target has for them.
struct MultiplyAdds {
  double dot = 0; ///< Of bf16 pairs, summed in f32.
  double f32 = 0;
  void add(bool isDot, double count) { (isDot ? dot : f32) += count; }
};

/// One step, on any number of tokens.
struct StepWork {
  /// An attention over its slot of the cache.
  struct Attention {
    int64_t heads, kvHeads, headDim;
    int64_t window;    ///< Visible positions, the query's own included; 0 = all.
    int64_t rowBytes;  ///< Of keys and values of a token, all kv heads, with their scales.
    bool isDot;        ///< Which multiply-adds it takes.
  };
  uint64_t weightBytes = 0;   ///< Weights that are read in full, once.
  uint64_t tokenBytes = 0;    ///< Rows of tables that each token looks up.
  MultiplyAdds token;         ///< Products with weights, for each token.
  MultiplyAdds logitsRow;     ///< The head, for each row of logits.
  std::vector<Attention> attentions;
};

/// One kernel of a step.
struct KernelWork {
  std::string kind;  ///< "matmul".
  std::string layer; ///< The first of its layers; in a block that is shared without the block's name: "ffn.gate".
  StepWork work;
};

struct Work {
  StepWork prefill, decode; ///< The sum over their kernels.
  /// In the order in which they run.
  std::vector<KernelWork> prefillKernels, decodeKernels;
};

/// Bytes and multiply-adds of given calls.
struct Cost {
  double bytes = 0;
  MultiplyAdds multiplyAdds;
};

/// The cost of `newTokens` tokens of each of several sequences, behind
/// `lengths` cached ones, and of a row of logits each. Weights and the cache
/// are read once, a key is multiplied only with the queries that see it.
Cost costOf(const StepWork &work, std::span<const int32_t> lengths, int64_t newTokens);

/// Counts the kernels of both step functions of `module`, which the kernel
/// pipeline made, as `target` runs them.
Work countWork(mlir::ModuleOp module, const Target &target);

} // namespace graphc
