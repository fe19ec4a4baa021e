// What vector-level code does with memory: where it comes from, and the accesses
// to it in one form, whatever operation makes them.
#pragma once

#include "passes/cpu/IndexBounds.h"

#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinAttributes.h"

#include <optional>

namespace mlir {
class ModuleOp;
namespace func { class FuncOp; }
} // namespace mlir

namespace graphc::cpu {

/// What is bound to a memref argument, as far as all calls agree: attributes of
/// the bindings, null where they differ.
struct Bound {
  mlir::StringAttr kind, name;
  mlir::ArrayAttr dims;
  bool isDestination = false; ///< A buffer, an output or carried memory, whichever the call.
  bool operator==(const Bound &) const = default;
};

/// Bindings of all arguments, followed from step functions through calls.
class BoundMemory : public IndexFacts {
public:
  explicit BoundMemory(mlir::ModuleOp module);

  /// Of an argument, or of the argument that `memref` is a view of; nothing for
  /// memory that no step binds.
  std::optional<Bound> of(mlir::Value memref) const;
  /// True if a step function is `function` or calls it.
  bool isReached(mlir::func::FuncOp function) const;

  llvm::StringRef inputName(mlir::Value memref) const override;
  std::pair<llvm::StringRef, int64_t> symbolOf(mlir::Value memref, int64_t dim) const override;
  bool isNotNegative(mlir::Value value) const override;

private:
  bool follow(mlir::func::FuncOp function, mlir::ModuleOp module);

  llvm::DenseMap<mlir::Value, Bound> bound;
  llvm::DenseMap<mlir::Value, bool> threadNumbers; ///< Arguments; false if some call passes another number.
  llvm::DenseSet<mlir::Operation *> reached;
};

/// An access to memory: elements [indices.., last index + width) of `root`.
struct Access {
  enum class Kind : uint8_t { Load, Store, Prefetch, None };
  Kind kind = Kind::None;
  mlir::Value root;            ///< The argument or allocation behind all views.
  std::vector<Affine> indices; ///< One for each dimension of `root`; empty if they cannot be followed.
  Affine width;                ///< Elements of the last dimension.
};

/// The access that `use` is; Kind::None for an operation that makes none through
/// the forms that a checker understands.
Access accessOf(mlir::OpOperand &use, IndexBounds &bounds);

} // namespace graphc::cpu
