// Evaluates a layer graph at any stage: as imported (policies are requests),
// with explicit casts (types are the truth), with fused and pinned caches. It
// defines what compiled code must compute (docs/Numerics.md).
#pragma once

#include "Reference/Cache.h"
#include "Reference/Layers.h"
#include "Reference/Parameters.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <memory>
#include <string_view>

namespace graphc::layer {
class GraphOp;
}

namespace graphc::reference {

struct InterpreterState;

struct Options {
  Mode mode = Mode::PolicyExact;
  uint64_t orderSeed = 0;                    ///< Of Mode::Order.
  Semantics semantics = Semantics::Graphc;
  int64_t sessionLength = 0;                 ///< For ropes that depend on it; 0: the cache's capacity.
  bool bounds = false;                       ///< Results carry centre and bound; PolicyExact under Graphc only.

  /// True if the op's results go through memory between kernels: their
  /// consumers then start from exact values. Null: all of them do.
  std::function<bool(mlir::Operation *)> isBoundary = nullptr;

  /// Called with every tensor that an op computes, in order, before bounds are
  /// dropped.
  std::function<void(mlir::Operation *, unsigned result, const Tensor &)> observe = nullptr;

  /// Teacher forcing: a tensor of the same shape that takes the place of what
  /// the op computed (after `observe`), or null.
  std::function<const Tensor *(mlir::Operation *, unsigned result)> force = nullptr;
};

/// The values that a graph outputs, by name. A container is several tensors; a
/// value that is absent, or a cache, has no entry.
struct Outputs {
  std::vector<std::pair<std::string, std::vector<Tensor>>> values;
  /// Null if there is none.
  const std::vector<Tensor> *find(std::string_view name) const;
};

class Interpreter {
public:
  /// For the graph called `graph` in `module`; empty: the only one. The module
  /// must be verified; it and `parameters` must outlive the interpreter.
  static absl::StatusOr<Interpreter> create(mlir::ModuleOp module, ParameterSource &parameters, Options options = {},
                                            std::string_view graph = {});
  Interpreter(Interpreter &&);
  ~Interpreter();

  /// ids (batch, tokens); mask of the same shape, 0 = padding, null: no padding.
  /// A graph with a cache appends to `cache` in place, or stores the rows of a
  /// source; if it is null, to an empty one that is dropped. InvalidArgument if shapes, ids or parameters do
  /// not fit the graph, or the cache has too few rows left; nothing is written
  /// then, except that an error in the middle of the graph may leave rows behind
  /// `cache->lengths`.
  absl::StatusOr<Outputs> run(const Tensor &ids, const Tensor *mask, CacheState *cache);

  /// An empty cache for the graph, as createCache in Cache.h; NotFound if it takes none.
  absl::StatusOr<CacheState> createCache(int64_t batch, int64_t capacity, int64_t sourceCapacity = 0) const;

  layer::GraphOp graph() const;
  const Options &options() const;

private:
  explicit Interpreter(std::unique_ptr<InterpreterState> state);
  std::unique_ptr<InterpreterState> state;
};

} // namespace graphc::reference
