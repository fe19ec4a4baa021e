// Builds a decoder's layer graph, one call a layer, in the words of the dialect.
// It owns what all families share: parameters bound to checkpoint tensors, the
// cache threaded through the blocks, and the outputs.
#pragma once

#include "Support/Rope.h"
#include "Support/Safetensors.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

namespace graphc::importer {

enum class Activation { Silu, Gelu, GeluTanh, Relu };

/// One block's attention.
struct AttentionShape {
  int64_t heads, kvHeads, headDim; ///< Query heads, key/value heads, head size.
  double scale;                    ///< Of the scores.
  int64_t window = 0;              ///< Visible positions, the query's own included; 0 = all.
};

/// What `layer.model` says beside the token ids.
struct ModelInfo {
  int64_t vocabSize, hiddenSize, maxLength;
  /// True if positions are rows of a table, so that maxLength cannot be passed.
  bool positionsAreBounded = false;
};

class GraphBuilder {
public:
  /// Faults of tensors are reported at `source`. `checkpoint` may be null:
  /// parameters then get `missingDType`. `prefix` is what this checkpoint puts
  /// before the family's tensor names.
  GraphBuilder(mlir::ModuleOp module, mlir::Location source, const Checkpoint *checkpoint,
               DType missingDType, std::string prefix);

  const std::string &prefix() const { return tensorPrefix; }

  /// Makes the graph with its inputs and positions. `slots` has one attention
  /// per block. Comes before every layer.
  void begin(const ModelInfo &info, llvm::ArrayRef<AttentionShape> slots);

  mlir::Value inputIds() const { return ids; }   ///< (batch, tokens)
  mlir::Value positions() const { return place; } ///< (batch, tokens); padding is -1

  // Layers: `name` is the layer's path, `tensor` the full name of its tensors
  // without ".weight" and ".bias". Activations are f32 (batch, tokens, N) and,
  // between splitHeads and mergeHeads, (batch, heads, tokens, headDim).

  /// Rows of the table `tensor`, (rows, columns).
  mlir::Value embedding(const llvm::Twine &name, mlir::Value indices, const llvm::Twine &tensor,
                        int64_t rows, int64_t columns);
  /// x times the kernel, (outputs, N) or (N, outputs) if `inputMajor`.
  mlir::Value dense(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                    int64_t outputs, bool bias, bool inputMajor = false);
  /// The same with the table of the embedding called `embedding` as its kernel.
  mlir::Value tiedDense(const llvm::Twine &name, mlir::Value x, llvm::StringRef embedding);
  mlir::Value rmsNorm(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                      double epsilon);
  mlir::Value layerNorm(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                        double epsilon);
  mlir::Value activation(const llvm::Twine &name, Activation kind, mlir::Value x);
  mlir::Value add(const llvm::Twine &name, mlir::Value a, mlir::Value b);
  mlir::Value multiply(const llvm::Twine &name, mlir::Value a, mlir::Value b);
  mlir::Value slice(const llvm::Twine &name, mlir::Value x, int64_t offset, int64_t size);
  mlir::Value splitHeads(const llvm::Twine &name, mlir::Value x, int64_t heads);
  mlir::Value mergeHeads(const llvm::Twine &name, mlir::Value x);
  mlir::Value rotary(const llvm::Twine &name, mlir::Value x, const RopeSpec &rope);
  /// Appends the rows to the block's slot and attends over it; causal.
  mlir::Value attention(const llvm::Twine &name, int64_t block, mlir::Value query, mlir::Value key,
                        mlir::Value value);

  /// Adds an entry to the output `hidden_states`.
  void hiddenState(mlir::Value x) { hiddenStates.push_back(x); }
  /// Ends the graph. Following transformers, the last hidden state is replaced
  /// by `normalized`, what the head reads.
  void finish(mlir::Value normalized, mlir::Value logits);

  const ModelInfo &modelInfo() const { return info; }
  int64_t numLayers() const { return int64_t(slots.size()); }
  /// True once a parameter could not be bound; layers may still be added.
  bool hasFailed() const { return failed; }
  /// Names of the tensors that were bound.
  const llvm::StringSet<> &boundTensors() const { return bound; }

private:
  mlir::Value parameter(const llvm::Twine &symbol, const llvm::Twine &tensor,
                        llvm::ArrayRef<int64_t> shape);
  /// The stored dtype of `tensor`; after an error, one to go on with.
  DType storedDType(const std::string &tensor, llvm::ArrayRef<int64_t> shape);
  mlir::RankedTensorType activationType(llvm::ArrayRef<int64_t> shape);
  /// The attribute of a layer's path, which becomes the location of what is built next.
  mlir::StringAttr layer(const llvm::Twine &name);
  mlir::Value container(llvm::StringRef name, mlir::ValueRange values);

  mlir::OpBuilder builder;      ///< In the graph.
  mlir::OpBuilder declarations; ///< In the module, before the graph.
  mlir::Location loc;
  mlir::Location source;
  const Checkpoint *checkpoint;
  DType missingDType;
  std::string tensorPrefix;
  ModelInfo info{};
  std::vector<AttentionShape> slots;
  mlir::Value ids, place, cache;
  llvm::SmallVector<mlir::Value> hiddenStates, weights;
  llvm::StringMap<mlir::Value> parameters; ///< By symbol.
  llvm::StringSet<> bound;
  bool failed = false;
};

} // namespace graphc::importer
