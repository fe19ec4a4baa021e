// Kernels of seed mode: what becomes of the layers that carry the cache as
// ordinary tensors. Every cast of a leaf is a kernel of its own, one pass over
// the whole leaf; only what neither casts nor writes is a view.
#pragma once

#include "graphc/IR/Layer.h"

namespace graphc::kernel {

class StepBuilder;

class SeedLayers {
public:
  explicit SeedLayers(StepBuilder &step) : step(step) {}

  /// True for the container of a cache: leaves, offset and mask.
  static bool isCache(mlir::Type type);
  /// Notes which values the step returns as its cache. Before any call of lower.
  void findReturned(layer::ContainerOp cache);
  /// True for the layers of seed mode, and for casts of leaves.
  bool handles(mlir::Operation &op);
  mlir::LogicalResult lower(mlir::Operation &op);

private:
  mlir::Value carried(llvm::StringRef when, unsigned index, mlir::Type tensor);
  mlir::Value destination(mlir::Value value);
  void trace(mlir::Operation *kernel, mlir::Value value);
  void move(mlir::Operation &op, mlir::Value from, mlir::Value value);
  void carry(mlir::Operation &op, mlir::Value from, mlir::OpResult result);
  mlir::LogicalResult giveBack(layer::ContainerOp cache);
  void lowerRepeat(layer::RepeatHeadsOp op);
  mlir::LogicalResult lowerAttention(layer::SeedAttentionOp op);

  StepBuilder &step;
  llvm::DenseSet<mlir::Value> leaves;             // of the cache, at any point of the step
  llvm::DenseMap<mlir::Value, unsigned> returned; // value -> its place in the cache
};

} // namespace graphc::kernel
