// One evaluation of a graph: the values of its SSA values, and how the layer
// rule reads operands and rounds results at the graph's stage. Private to
// lib/Reference.
#pragma once

#include "Reference/Interpreter.h"

#include "Support/Message.h"
#include "graphc/IR/Layer.h"

namespace graphc::reference {

using TensorPtr = std::shared_ptr<const Tensor>;

/// What an SSA value holds: a tensor, a place in the cache, a container, or
/// nothing (an absent optional value).
struct Item {
  enum class Kind : uint8_t { Absent, Tensor, Cache, Group } kind = Kind::Absent;
  TensorPtr tensor = nullptr;
  int64_t block = -1; ///< Of a block or slot; -1: the whole cache.
  bool cross = false; ///< Of a slot.
  std::vector<Item> group = {};
};

/// What outlives a run.
struct InterpreterState {
  layer::GraphOp graph;
  mlir::ModuleOp module;
  ParameterSource *parameters = nullptr;
  Options options;
  Arithmetic arithmetic;
  llvm::DenseMap<mlir::Operation *, TensorPtr> loaded;      // by layer.parameter
  int64_t loadedElements = 0;
  std::map<std::pair<const void *, int64_t>, RopeTables> ropes; // by attribute and session length
  llvm::DenseMap<mlir::Value, mlir::Operation *> lastUse;
  bool storesSource = false; ///< The graph writes cross slots: an encoder's.
};

class Run {
public:
  Run(InterpreterState &state, const Tensor &ids, TensorPtr mask, CacheState *cache)
      : state(state), arithmetic(state.arithmetic), ids(ids), mask(std::move(mask)), cache(cache) {}

  absl::StatusOr<Outputs> run();

private:
  // Interpreter.cpp: the graph.
  absl::Status bindInputs();
  absl::Status evaluate(mlir::Operation &op);
  void release(mlir::Operation &op);

  // Values.
  const Item &item(mlir::Value value) const { return items.find(value)->second; }
  bool isAbsent(mlir::Value value) const { return item(value).kind == Item::Kind::Absent; }
  TensorPtr tensor(mlir::Value value) const { return item(value).tensor; }
  /// The result of an op: checked against its type, shown to the observer.
  absl::Status define(mlir::OpResult result, Tensor value);
  absl::Status defineShared(mlir::OpResult result, TensorPtr value);
  void defineCache(mlir::Value value, int64_t block, bool cross);

  // The layer rule at the graph's stage (LayerRun.cpp).
  bool castsAreExplicit() const { return state.graph.getCasts() == layer::Casts::Explicit; }
  /// C as the op's rounding points see it: the policy's compute, or the type of
  /// its first float operand once casts are explicit.
  DType computeType(mlir::Operation *op) const;
  Rounding rounding(mlir::Operation *op, unsigned result) const;
  /// The operand as the layer reads it: rd_C(x), rd_C(rd_P(w)) for a parameter.
  TensorPtr operand(mlir::Operation *op, mlir::Value value) const;

  // Layers (LayerRun.cpp).
  absl::Status visit(layer::ParamOp op);
  absl::Status visit(layer::CastOp op);
  absl::Status visit(layer::ContainerOp op);
  absl::Status visit(layer::UnpackOp op);
  absl::Status visit(layer::EmbeddingOp op);
  absl::Status visit(layer::DenseOp op);
  absl::Status visit(layer::RmsNormOp op);
  absl::Status visit(layer::LayerNormOp op);
  absl::Status visit(layer::SplitHeadsOp op);
  absl::Status visit(layer::MergeHeadsOp op);
  absl::Status visit(layer::RepeatHeadsOp op);
  absl::Status visit(layer::SliceOp op);
  absl::Status visit(layer::RotaryEmbeddingOp op);
  absl::Status visit(layer::ScaleOp op);
  absl::Status visitPair(mlir::Operation *op, Tensor (*function)(const Arithmetic &, const Tensor &, const Tensor &, Rounding));
  absl::Status visitActivation(mlir::Operation *op, Activation activation);

  // Attention and the cache (CacheRun.cpp).
  absl::Status visit(layer::CacheOffsetOp op);
  absl::Status visit(layer::PositionsOp op);
  absl::Status visit(layer::CacheAppendOp op);
  absl::Status visit(layer::CacheStoreOp op);
  absl::Status visit(layer::CacheAdvanceOp op);
  absl::Status visit(layer::AttentionOp op);
  absl::Status visit(layer::CachedAttentionOp op);
  absl::Status append(mlir::Operation *op, CacheSlot &slot, bool cross, const Tensor &key, const Tensor &value,
                      const Tensor &positions, DType compute);
  absl::Status attendOver(mlir::Operation *op, const CacheSlot &slot, bool cross, const Tensor &query,
                          const Tensor &positions, AttentionSettings settings, unsigned weightsResult);
  absl::Status attend(mlir::Operation *op, const Tensor &query, const Tensor &key, const Tensor &value,
                      const Tensor &positions, const Tensor &keyPositions, const AttentionSettings &settings,
                      unsigned weightsResult, RowScales scales = {});

  // Seed mode: the cache as ordinary tensors (SeedRun.cpp).
  absl::Status visit(layer::SeedGetOp op);
  absl::Status visit(layer::SeedPutOp op);
  absl::Status visit(layer::SeedOffsetOp op);
  absl::Status visit(layer::SeedAdvanceOp op);
  absl::Status visit(layer::SeedUpdateOp op);
  absl::Status visit(layer::SeedMergeMaskOp op);
  absl::Status visit(layer::SeedLengthsOp op);
  absl::Status visit(layer::SeedKeyPositionsOp op);
  absl::Status visit(layer::SeedAttentionOp op);
  absl::Status carry(mlir::Operation *op, unsigned result, mlir::Value leaf);

  CacheSlot &slotOf(const Item &item);
  int64_t sessionLength() const;
  bool wants(mlir::Operation *op, unsigned result) const;

  InterpreterState &state;
  const Arithmetic &arithmetic;
  const Tensor &ids; // (batch, tokens)
  TensorPtr mask;    // (batch, tokens) or null
  CacheState *cache; // null: the graph takes none
  llvm::DenseMap<mlir::Value, Item> items;
};

/// Zeros for the leaves of seed mode's cache (LayerSeed.td), offset 0, no row visible.
absl::StatusOr<CacheState> createSeedCache(layer::ContainerType type, int64_t batch, int64_t capacity);
/// Takes over what a graph returned as its cache.
absl::Status keepSeedCache(CacheState &cache, llvm::ArrayRef<Item> leaves);

/// The type as MLIR writes it.
inline std::string spell(mlir::Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// InvalidArgument that names the layer.
template <typename... Parts> absl::Status layerError(mlir::Operation *op, const Parts &...parts) {
  std::string where = op->getName().getStringRef().str();
  if (auto name = op->getAttrOfType<mlir::StringAttr>("name"))
    where += " '" + name.getValue().str() + "'";
  return invalidArgument(where, ": ", parts...);
}

} // namespace graphc::reference
