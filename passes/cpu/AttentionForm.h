// The kernels that read or write attention memory, as one: cached attention over a
// slot, over a cross slot, over the rows of the call, and a store. The emitter
// sees what each of them has and nothing else.
#pragma once

#include "Support/RelativeBias.h"
#include "graphc/IR/Kernel.h"

namespace graphc::kernel {

/// What an attention or a store works on. Null, or false, is what a form of it
/// has not: a store has no query, an attention over rows no lengths.
struct AttentionForm {
  explicit AttentionForm(CachedAttentionOp op)
      : operation(op), query(op.getQuery()), key(op.getKey()), value(op.getValue()), keys(op.getKeys()),
        values(op.getValues()), keyScales(op.getKeyScales()), valueScales(op.getValueScales()), starts(op.getStarts()),
        lengths(op.getLengths()), bias(op.getBias()), out(op.getOut()),
        weights(op.getWeights()), causal(op.getCausal()), ring(op.getRing()), isCross(!op.getKey()), window(op.getWindow()),
        scale(op.getScale()) {
    setHeads(mlir::cast<mlir::MemRefType>(keys.getType()).getShape()[3]);
    setBuckets(op);
    if (auto scratch = op.getScratch(); !scratch.empty())
      partials = {scratch[0], scratch[1], scratch[2]};
  }
  explicit AttentionForm(AttentionOp op)
      : operation(op), query(op.getQuery()), keys(op.getKey()), values(op.getValue()), starts(op.getStarts()),
        bias(op.getBias()), out(op.getOut()), weights(op.getWeights()), causal(op.getCausal()),
        scale(op.getScale()) {
    setHeads(int64_t(op.getHeadDim()));
    setBuckets(op);
  }
  explicit AttentionForm(CacheStoreOp op)
      : operation(op), key(op.getKey()), value(op.getValue()), keys(op.getKeys()), values(op.getValues()),
        keyScales(op.getKeyScales()), valueScales(op.getValueScales()), starts(op.getStarts()) {
    setHeads(mlir::cast<mlir::MemRefType>(keys.getType()).getShape()[3]);
  }

  // The names that the ops have for them.
  mlir::Value getQuery() const { return query; }
  mlir::Value getKey() const { return key; }
  mlir::Value getValue() const { return value; }
  mlir::Value getKeys() const { return keys; }
  mlir::Value getValues() const { return values; }
  mlir::Value getKeyScales() const { return keyScales; }
  mlir::Value getValueScales() const { return valueScales; }
  mlir::Value getStarts() const { return starts; }
  mlir::Value getLengths() const { return lengths; }
  mlir::Value getOut() const { return out; }
  mlir::Value getWeights() const { return weights; }
  bool getCausal() const { return causal; }
  bool getRing() const { return ring; }
  std::optional<uint64_t> getWindow() const { return window; }
  const llvm::APFloat &getScale() const { return scale; }

  mlir::Operation *operation;
  mlir::Value query, key, value, keys, values, keyScales, valueScales, starts, lengths, bias, out, weights;
  bool causal = false, ring = false;
  bool isCross = false; ///< Lengths are the rows of a source, all of them seen.
  std::optional<uint64_t> window;
  llvm::APFloat scale{1.0};
  RelativeBuckets buckets; ///< Of the bias.
  /// Where threads leave what they summed of a segment of keys, one f32 row a sequence.
  struct {
    mlir::Value sums;           ///< (batch, kvHeads * segments * group * sumsWidth)
    mlir::Value maxima, totals; ///< (batch, kvHeads * segments * group)
  } partials;
  int64_t kvHeads = 0, headDim = 0;

private:
  /// Cache memory (batch, kvHeads, maxLen, headDim), or rows (rows, kvHeads * headDim).
  void setHeads(int64_t size) {
    auto type = mlir::cast<mlir::MemRefType>(keys.getType());
    headDim = size;
    kvHeads = type.getShape()[1] / (type.getRank() == 2 ? size : 1);
  }
  template <typename Op>
  void setBuckets(Op op) {
    if (bias)
      buckets = {mlir::cast<mlir::MemRefType>(bias.getType()).getShape()[0], int64_t(*op.getMaxDistance()), op.getBidirectional()};
  }
};

} // namespace graphc::kernel
