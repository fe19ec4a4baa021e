// Builds layer graphs, one call a layer, in the words of the dialect: a decoder's,
// or an encoder's and then its decoder's. It owns what all families share:
// parameters bound to checkpoint tensors, the cache threaded through the blocks,
// and the outputs.
#pragma once

#include "Support/Rope.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringSet.h"

namespace graphc::importer {

enum class Activation { Silu, Gelu, GeluTanh, Relu };

/// A relative position bias: the table `tensor` (buckets, heads), which attentions
/// may share.
struct RelativeTable {
  std::string tensor; ///< Without ".weight".
  int64_t buckets, maxDistance;
  bool bidirectional;
};

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

/// What a graph is of its model. The names of its optional outputs follow.
enum class GraphRole { DecoderOnly, Encoder, Decoder };

class GraphBuilder {
public:
  /// Faults of tensors are reported at `source`. `checkpoint` may be null:
  /// parameters then get `missingDType`. `prefix` is what this checkpoint puts
  /// before the family's tensor names.
  GraphBuilder(mlir::ModuleOp module, mlir::Location source, const Checkpoint *checkpoint,
               DType missingDType, std::string prefix);

  const std::string &prefix() const { return tensorPrefix; }

  /// True if the checkpoint has `tensor`; without a checkpoint, `otherwise`.
  bool hasTensor(const llvm::Twine &tensor, bool otherwise) const;

  /// Makes a graph with its inputs and positions. `slots` has the self attention
  /// of each block of the decoder, `cross` its cross attention if it has one; an
  /// encoder's graph takes the same cache. Comes before every layer of the graph.
  void begin(const ModelInfo &info, llvm::ArrayRef<AttentionShape> slots, llvm::ArrayRef<AttentionShape> cross = {},
             GraphRole role = GraphRole::DecoderOnly);

  mlir::Value inputIds() const { return ids; }   ///< (batch, tokens)
  mlir::Value positions() const { return place; } ///< (batch, tokens); padding is -1

  // Layers: `name` is the layer's path, `tensor` the full name of its tensors
  // without ".weight" and ".bias". Activations are f32 (batch, tokens, N) and,
  // between splitHeads and mergeHeads, (batch, heads, tokens, headDim).

  /// Rows of the table `tensor`, (rows, columns), at indices + offset.
  mlir::Value embedding(const llvm::Twine &name, mlir::Value indices, const llvm::Twine &tensor,
                        int64_t rows, int64_t columns, int64_t offset = 0);
  /// x times the kernel, (outputs, N) or (N, outputs) if `inputMajor`.
  mlir::Value dense(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                    int64_t outputs, bool bias, bool inputMajor = false);
  /// The same without inputMajor, with a bias that has a name of its own.
  mlir::Value denseWithBias(const llvm::Twine &name, mlir::Value x, const llvm::Twine &kernelTensor,
                            const llvm::Twine &biasTensor, int64_t outputs);
  /// The same with the table of the embedding called `embedding` as its kernel.
  mlir::Value tiedDense(const llvm::Twine &name, mlir::Value x, llvm::StringRef embedding);
  mlir::Value rmsNorm(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                      double epsilon);
  mlir::Value layerNorm(const llvm::Twine &name, mlir::Value x, const llvm::Twine &tensor,
                        double epsilon);
  mlir::Value activation(const llvm::Twine &name, Activation kind, mlir::Value x);
  mlir::Value add(const llvm::Twine &name, mlir::Value a, mlir::Value b);
  mlir::Value multiply(const llvm::Twine &name, mlir::Value a, mlir::Value b);
  mlir::Value scale(const llvm::Twine &name, mlir::Value x, double factor);
  mlir::Value slice(const llvm::Twine &name, mlir::Value x, int64_t offset, int64_t size);
  mlir::Value splitHeads(const llvm::Twine &name, mlir::Value x, int64_t heads);
  mlir::Value mergeHeads(const llvm::Twine &name, mlir::Value x);
  mlir::Value rotary(const llvm::Twine &name, mlir::Value x, const RopeSpec &rope);
  /// Appends the rows to the block's slot and attends over it; causal. `relative`
  /// may be null.
  mlir::Value attention(const llvm::Twine &name, int64_t block, mlir::Value query, mlir::Value key,
                        mlir::Value value, const RelativeTable *relative = nullptr);

  /// Attends over the given rows, in both directions and without a cache.
  mlir::Value encoderAttention(const llvm::Twine &name, const AttentionShape &shape, mlir::Value query,
                               mlir::Value key, mlir::Value value, const RelativeTable *relative = nullptr);
  /// In the encoder's graph: the rows that the block's cross attention, called
  /// `name`, will read.
  void storeCross(const llvm::Twine &name, int64_t block, mlir::Value key, mlir::Value value);
  /// In the decoder's graph: attends over what was stored.
  mlir::Value crossAttention(const llvm::Twine &name, int64_t block, mlir::Value query);

  /// Adds an entry to the output `hidden_states`.
  void hiddenState(mlir::Value x) { hiddenStates.push_back(x); }
  /// Ends the graph. Following transformers, the last hidden state is replaced
  /// by `normalized`, what the head reads. An encoder has no logits.
  void finish(mlir::Value normalized, mlir::Value logits = {});

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
  /// The table of `relative`, read for the attention at `path`; null if there is none.
  mlir::Value relativeBias(mlir::StringAttr path, const RelativeTable *relative, int64_t heads);
  layer::RelativeBiasAttr relativeAttr(const RelativeTable *relative);
  /// Takes the slot of a block out of the cache, and puts `slot` back.
  std::pair<mlir::Value, mlir::Value> takeSlot(int64_t block, bool cross);
  void putSlot(int64_t block, bool cross, mlir::Value taken, mlir::Value slot);
  mlir::Value container(llvm::StringRef name, mlir::ValueRange values);

  mlir::OpBuilder builder;      ///< In the graph.
  mlir::OpBuilder declarations; ///< In the module, before the graph.
  mlir::Location loc;
  mlir::Location source;
  const Checkpoint *checkpoint;
  DType missingDType;
  std::string tensorPrefix;
  ModelInfo info{};
  GraphRole role = GraphRole::DecoderOnly;
  mlir::Operation *firstGraph = nullptr; ///< Parameters stand before it.
  std::vector<AttentionShape> slots, cross;
  mlir::Value ids, place, cache;
  llvm::SmallVector<mlir::Value> hiddenStates, weights, crossWeights; ///< Of this graph.
  llvm::StringMap<mlir::Value> parameters; ///< Of this graph, by the name they were asked for.
  llvm::StringMap<layer::ParameterOp> declared; ///< By tensor: a second reader ties.
  llvm::StringSet<> bound;
  bool failed = false;
};

} // namespace graphc::importer
