// Decoder graphs as text, drawn at random or written down. The grammar of what is
// drawn ("|": one of, "[]": maybe, "{a..b}": a number in that range):
//
//   model     = embedding [position table] block{1..3} [norm] head
//   block     = pre | post | sandwich | parallel, of f = attention, then ffn:
//     pre       x + f(norm x)             post      norm(x + f(x))
//     sandwich  x + norm(f(norm x))       parallel  x + attention(norm x) + ffn(norm x)
//   norm      = rms_norm, shift 0 | 1 | layer_norm [bias]
//   attention = q k v, [norms of q and k heads], [rotary], causal, [window], output
//   q k v     = three dense | slices of one dense; [biases]; kernels (N, K) | (K, N)
//   rotary    = half pairs | interleaved; all of a head | an even part of it
//   window    = {1..6} positions, in a full slot | in a ring
//   ffn       = down(act(up x)) | down(act(gate x) * up x); [biases]
//   act       = silu | gelu | gelu_tanh | relu
//   head      = dense [bias] | the embedding's table
//
// Sizes: hidden {5..24}, kv heads {1..3}, query heads a multiple {1..3} of them, head
// size {2..9}, ffn {3..24}, vocabulary {11..40}: odd as often as even. Parameters are
// stored as f32 | bf16 | f16. Blocks of one model differ from one another.
#pragma once

#include "Reference/Parameters.h"
#include "Reference/Tensor.h"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace graphc::properties {

/// Numbers and choices of one seed; the same on every machine.
class Draw {
public:
  explicit Draw(uint64_t seed) : engine(seed) {}
  int64_t integer(int64_t least, int64_t greatest) { return least + int64_t(engine() % uint64_t(greatest - least + 1)); }
  bool maybe(int64_t percent = 50) { return integer(1, 100) <= percent; }
  template <typename T> T one(std::initializer_list<T> of) { return of.begin()[integer(0, int64_t(of.size()) - 1)]; }
  /// A normal deviate (Box and Muller), so that no library decides the values.
  double normal();

private:
  std::mt19937_64 engine;
};

struct Norm {
  bool isLayerNorm = false, hasBias = false;
  double shift = 0;
};

struct Block {
  enum class Residual : uint8_t { Pre, Post, Sandwich, Parallel } residual = Residual::Pre;
  int64_t kvHeads = 2, group = 2, headDim = 8; ///< heads = kvHeads * group.
  bool isOneDense = false;                     ///< Query, key and value are slices of one product.
  bool hasHeadNorms = false;                   ///< rms_norm of each query and key head.
  int64_t rotaryDim = 8;                       ///< Even, at most headDim; 0: no rotary embedding.
  double ropeBase = 10000;
  bool isInterleaved = false;
  int64_t window = 0; ///< Visible positions; 0: all.
  bool isRing = false;
  bool hasBias = false, isInputMajor = false;
  Norm norm;
  bool isGated = true;
  std::string activation = "silu";
  int64_t ffn = 12;
};

struct Decoder {
  int64_t vocab = 19, hidden = 16, maxLength = 32;
  bool hasPositionTable = false, hasFinalNorm = true, isTied = false, hasHeadBias = false;
  std::string stored = "f32";      ///< dtype of the parameters.
  bool hasOptionalOutputs = true;  ///< hidden_states and attentions.
  std::string epsilon = "1.0e-5";  ///< Of all norms.
  double valueScale = 1;           ///< Factor on the weights that make value rows.
  std::vector<Block> blocks;
};

/// What the compiler has no kernel for is left out of a graph `forKernels`: norms of
/// heads, which work on four dimensions.
Decoder drawDecoder(Draw &draw, bool forKernels);

/// The module's text.
std::string textOf(const Decoder &decoder);

/// The parameters of that text, by tensor name: scaled so that every rounding, bias
/// and norm shows in the logits (docs/Numerics.md, goldens).
std::map<std::string, reference::Tensor> parametersOf(const Decoder &decoder, uint64_t seed);

/// A folder with model.safetensors of these parameters, removed with the object.
class CheckpointFolder {
public:
  explicit CheckpointFolder(const std::map<std::string, reference::Tensor> &parameters);
  ~CheckpointFolder();
  CheckpointFolder(const CheckpointFolder &) = delete;
  const std::string &path() const { return folder; }

private:
  std::string folder;
};

} // namespace graphc::properties
