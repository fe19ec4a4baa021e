// Builds a step function argument by argument as layers ask for inputs,
// parameters, tables, caches and outputs. All phases ask in the same order, so
// they share one list of bindings.
#pragma once

#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"
#include "passes/kernel/SeedLayers.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace graphc::kernel {


/// A parameter as kernels read it: stored, then rounded to each type in turn.
struct Parameter {
  layer::ParameterOp declaration;
  llvm::SmallVector<mlir::Type> roundings;

  mlir::Type storedElement() { return getElementTypeOrSelf(declaration.getType()); }
  mlir::Type element() { return roundings.empty() ? storedElement() : roundings.back(); }
  /// Drops widenings at the end: kernels widen in registers.
  void dropWidenings() {
    while (!roundings.empty()) {
      mlir::Type before = roundings.size() > 1 ? roundings[roundings.size() - 2] : storedElement();
      if (!holds(*layer::dtypeOf(roundings.back()), *layer::dtypeOf(before)))
        return;
      roundings.pop_back();
    }
  }
};

using Dims = llvm::SmallVector<mlir::Attribute>;

class StepBuilder {
public:
  /// `name` is the step function's.
  StepBuilder(layer::GraphOp graph, llvm::StringRef name, Phase phase, mlir::OpBuilder builder)
      : graph(graph), name(name), phase(phase), builder(builder), body(builder), symbols(graph->getParentOfType<mlir::ModuleOp>()), seed(*this) {}

  mlir::FailureOr<mlir::func::FuncOp> build();

private:
  friend class SeedLayers;

  // Arguments of the step function, by key.
  mlir::Value argument(const llvm::Twine &key, mlir::MemRefType type, llvm::StringRef kind, llvm::StringRef name, Dims dims,
                 llvm::ArrayRef<mlir::NamedAttribute> more = {});
  mlir::Value input(llvm::StringRef name, llvm::StringRef symbol);
  mlir::Value parameter(mlir::Value value);
  mlir::Value ropeTable(layer::RopeAttr rope, llvm::StringRef part);
  /// Memory of a slot; scales where its elements have 8 bits.
  struct SlotMemory {
    mlir::Value keys, values, keyScales, valueScales;
  };
  SlotMemory cacheMemory(layer::AttentionCacheType slot, int64_t block);
  mlir::Value cacheSide(layer::AttentionCacheType slot, int64_t block, const std::string &side, mlir::Type element);
  mlir::Value cacheScales(layer::AttentionCacheType slot, int64_t block, const std::string &side, mlir::Type element);
  mlir::Value destination(mlir::Value value);
  /// Failure if `weights` are wanted and have no place; keys are `symbol` of them.
  mlir::FailureOr<mlir::Value> weightsDestination(layer::NamedLayer layer, mlir::Value weights, llvm::StringRef symbol);

  // Values.
  mlir::Value rows(mlir::Value value, llvm::StringRef symbol);
  llvm::StringRef domainOf(mlir::Value value) { return rowsDomain.contains(value) ? "rows" : "tokens"; }
  void findRowsDomain(mlir::Value value);
  bool isParameter(mlir::Value value);
  int64_t widthOf(mlir::Type type);

  // Layers, by kind (StepKernels.cpp).
  mlir::LogicalResult lower(mlir::Operation &op);
  void lower(layer::ParamOp op);
  void lower(layer::CastOp op);
  void lower(layer::EmbeddingOp op);
  void lower(layer::DenseOp op);
  void lower(layer::RmsNormOp op);
  void lower(layer::LayerNormOp op);
  void lower(layer::RotaryEmbeddingOp op);
  mlir::LogicalResult lower(layer::CachedAttentionOp op);
  mlir::LogicalResult lower(layer::AttentionOp op);
  void lower(layer::CacheStoreOp op);
  llvm::SmallVector<mlir::Value> partialSums(mlir::Location loc, layer::AttentionCacheType slot, mlir::Value query);
  void nameAttention(mlir::Operation *kernel, mlir::Value y, mlir::Value weights);
  void lowerElementwise(mlir::Operation &op);
  void lowerMovement(mlir::Operation &op);
  void finish(EpilogueKernel kernel, mlir::Value result, llvm::ArrayRef<mlir::Value> fused,
              llvm::function_ref<mlir::Value(mlir::ValueRange)> epilogue = nullptr);
  mlir::ArrayAttr layersOf(mlir::Operation *op);
  mlir::Value widen(mlir::Value scalar);
  mlir::Value roundTo(mlir::Value scalar, mlir::Type type);
  mlir::Value constant(double value);
  mlir::Value applyElementwise(mlir::Operation &op, llvm::ArrayRef<mlir::Value> operands);

  layer::GraphOp graph;
  llvm::StringRef name;
  Phase phase;
  mlir::OpBuilder builder, body;
  mlir::SymbolTable symbols;
  mlir::func::FuncOp function;
  llvm::StringMap<mlir::Value> arguments;
  llvm::SmallVector<mlir::DictionaryAttr> bindings;
  llvm::DenseMap<mlir::Value, mlir::Value> buffers;      // layer value -> (rows, width) memref
  llvm::DenseMap<mlir::Value, mlir::Value> gathered;     // token value -> its wanted rows
  llvm::DenseMap<mlir::Value, Parameter> parameters;
  llvm::DenseSet<mlir::Value> rowsDomain;
  llvm::DenseMap<mlir::Value, std::string> outputNames;
  SeedLayers seed;
};

} // namespace graphc::kernel
