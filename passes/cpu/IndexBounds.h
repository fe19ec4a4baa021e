// Bounds of index arithmetic, proved from SSA alone. A value is a sum of atoms
// with integer coefficients; a bound is proved by replacing atoms with what
// bounds them (ends of loops, operands of min and max, remainders) until a
// constant is left. What cannot be proved is not claimed.
#pragma once

#include "mlir/IR/Operation.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace graphc::cpu {

/// constant + sum of coefficient * atom, in 64-bit arithmetic that does not
/// overflow: sizes of memory are below 2^56 (Support/Program.h).
struct Affine {
  std::map<unsigned, int64_t> terms; ///< Atom -> coefficient, never 0.
  int64_t constant = 0;

  Affine plus(const Affine &other, int64_t times = 1) const;
  Affine plus(int64_t value) const { return plus(Affine{{}, value}); }
  bool operator==(const Affine &) const = default;
  std::string text() const; ///< Equal for equal sums.
};

/// What a prover may take for granted about memory and arguments.
struct IndexFacts {
  virtual ~IndexFacts() = default;
  /// The name of an input that steps only read, as the runtime fills it:
  /// "lengths" (batch), not negative; "starts" (batch + 1), not negative, not
  /// decreasing. Empty for other memory.
  virtual llvm::StringRef inputName(mlir::Value memref) const = 0;
  /// The symbol that is dimension `dim` of `memref`, with what is added to it;
  /// an empty one if that is unknown.
  virtual std::pair<llvm::StringRef, int64_t> symbolOf(mlir::Value memref, int64_t dim) const = 0;
  /// True for the numbers of a thread and of threads.
  virtual bool isNotNegative(mlir::Value value) const = 0;
};

class IndexBounds {
public:
  explicit IndexBounds(const IndexFacts &facts) : facts(facts) {}

  Affine of(mlir::Value value);
  /// Element `at` of an input: equal for all reads of it.
  Affine inputAt(llvm::StringRef name, const Affine &at);
  /// A dimension of memory, or of all memory with that symbol.
  Affine dimension(mlir::Value memref, int64_t dim);
  Affine symbol(llvm::StringRef name);

  /// x, if `sum` is x modulo `divisor`.
  std::optional<Affine> asRemainder(const Affine &sum, const Affine &divisor);

  /// True if `sum` >= 0 is proved wherever `at` runs.
  bool isNonNegative(const Affine &sum, mlir::Operation *at);

private:
  struct Atom {
    mlir::Value value;      ///< Null for an input's element or a symbol.
    llvm::StringRef input;  ///< "starts", with its index.
    Affine index;
    bool isSize = false;    ///< A dimension.
  };
  /// A set of sums, all of which must be tried: min(a, b) >= 0 needs both.
  using Alternative = std::vector<Affine>;

  Affine atom(const std::string &key, Atom atom);
  Affine ofOperation(mlir::Operation *op, mlir::Value value);
  bool prove(const Affine &sum, int depth);
  bool proveByBounds(const Affine &sum, unsigned atom, int64_t coefficient, int depth);
  bool proveByOrder(const Affine &sum, unsigned atom, int64_t coefficient, int depth);
  bool proveByDivision(const Affine &sum, unsigned atom, int64_t coefficient, int depth);
  /// Lower (or upper) bounds of an atom, each of which may be enough.
  std::vector<Alternative> bounds(const Atom &atom, bool lower, int depth);
  bool isCarriedNonNegative(mlir::Value initial, mlir::Value carried, mlir::Value yielded, int depth);
  /// Conditions of the branches around `at`, as sums that are not negative.
  void collectConditions(mlir::Operation *at);
  void addCondition(mlir::Value condition, bool holds);

  const IndexFacts &facts;
  std::vector<Atom> atoms;
  std::map<std::string, unsigned> known;
  llvm::DenseMap<mlir::Value, Affine> sums;
  std::vector<Affine> conditions;
  std::set<std::string> failed; ///< Sums that were tried in vain, with their depth.
  llvm::SmallVector<mlir::Value> assumed; ///< Carried values taken for not negative in a proof by induction.
};

} // namespace graphc::cpu
