// The meaning of every layer, one plain function each. Operands come as the
// layer rule reads them (`read` in Arithmetic.h); the result is rounded as
// `rounding` says. Dimension names are the layer dialect's. No MLIR here.
#pragma once

#include "Reference/Arithmetic.h"
#include "Support/RelativeBias.h"

namespace graphc::reference {

//===-- Dense.cpp ------------------------------------------------------------===//

/// y[.., n] = sum_k x[.., k] * kernel[n, k] + bias[n]; x (.., K), kernel (N, K),
/// or (K, N) if `inputMajor`; bias (N) or null; y (.., N).
Tensor dense(const Arithmetic &arithmetic, const Tensor &x, const Tensor &kernel, const Tensor *bias, bool inputMajor,
             Rounding rounding);

//===-- Movement.cpp ---------------------------------------------------------===//

/// Rows of kernel (vocab, hidden) at ids (batch, tokens) + offset: (batch, tokens,
/// hidden). A negative id gives zeros; a row past the table is the caller's error.
Tensor embedding(const Arithmetic &arithmetic, const Tensor &ids, const Tensor &kernel, int64_t offset,
                 Rounding rounding);
/// (batch, tokens, heads * headDim) to (batch, heads, tokens, headDim).
Tensor splitHeads(const Arithmetic &arithmetic, const Tensor &x, int64_t heads, Rounding rounding);
/// (batch, heads, tokens, headDim) to (batch, tokens, heads * headDim).
Tensor mergeHeads(const Arithmetic &arithmetic, const Tensor &x, Rounding rounding);
/// y[b, h, t, d] = x[b, h / times, t, d]; x (batch, kvHeads, tokens, headDim).
Tensor repeatHeads(const Arithmetic &arithmetic, const Tensor &x, int64_t times, Rounding rounding);
/// Columns [offset, offset + size) of the last dimension.
Tensor slice(const Arithmetic &arithmetic, const Tensor &x, int64_t offset, int64_t size, Rounding rounding);
/// The same elements in another type.
Tensor cast(const Arithmetic &arithmetic, const Tensor &x, Rounding rounding);

//===-- Norm.cpp -------------------------------------------------------------===//

/// y = x * r * (shift + scale), r = 1 / sqrt(mean(x^2) + epsilon); x (.., hidden),
/// scale (hidden). epsilon and shift are f32 constants.
Tensor rmsNorm(const Arithmetic &arithmetic, const Tensor &x, const Tensor &scale, double epsilon, double shift,
               Rounding rounding);
/// y = (x - m) * r * scale + bias, m = mean(x), r = 1 / sqrt(mean((x - m)^2) + epsilon);
/// x (.., hidden), scale and bias (hidden), bias may be null.
Tensor layerNorm(const Arithmetic &arithmetic, const Tensor &x, const Tensor &scale, const Tensor *bias,
                 double epsilon, Rounding rounding);

//===-- Elementwise.cpp ------------------------------------------------------===//

Tensor add(const Arithmetic &arithmetic, const Tensor &a, const Tensor &b, Rounding rounding);
Tensor multiply(const Arithmetic &arithmetic, const Tensor &a, const Tensor &b, Rounding rounding);
/// x * factor, an f32 constant.
Tensor scale(const Arithmetic &arithmetic, const Tensor &x, double factor, Rounding rounding);

enum class Activation : uint8_t { Silu, Gelu, GeluTanh, Relu };
Tensor activate(const Arithmetic &arithmetic, Activation activation, const Tensor &x, Rounding rounding);

//===-- Rotary.cpp -----------------------------------------------------------===//

/// cos and sin of every position and pair: each (rows, dim / 2) row-major, f32.
struct RopeTables {
  int64_t rows = 0, dim = 0;
  bool interleaved = false; ///< Pairs (2i, 2i+1) instead of (i, i + dim/2).
  std::vector<float> cos, sin;
};

/// x (batch, heads, tokens, headDim), positions (batch, tokens) below
/// tables.rows. The row of a negative position (padding) passes through.
Tensor rotaryEmbedding(const Arithmetic &arithmetic, const Tensor &x, const Tensor &positions,
                       const RopeTables &tables, Rounding rounding);

//===-- Attention.cpp --------------------------------------------------------===//

struct AttentionSettings {
  double scale = 1;            ///< f32 constant.
  bool causal = false;         ///< Key position <= query position.
  int64_t window = 0;          ///< Key position > query position - window; 0: no limit.
  DType compute = DType::F32;  ///< C: the type probabilities are rounded to.
  bool wantWeights = false;
  /// Relative bias: (buckets, heads), added to the scaled score; null: none.
  const Tensor *bias = nullptr;
  RelativeBuckets buckets = {};
};

/// Scales (batch, kvHeads, keys) of keys and values that are elements of 8 bits;
/// null for those that are not.
struct RowScales {
  const Tensor *keys = nullptr, *values = nullptr;
};

struct AttentionResult {
  Tensor y;       ///< (batch, heads, tokens, valueDim).
  Tensor weights; ///< (batch, heads, tokens, keys); empty unless wanted.
};

/// softmax(q k' * scale) v as numerics A2 to A4. query (batch, heads, tokens,
/// headDim), key (batch, kvHeads, keys, headDim), value (batch, kvHeads, keys,
/// valueDim); query head h reads kv head h / (heads / kvHeads). A key is visible
/// if its position (batch, keys) is not negative and the settings admit it; a
/// query whose position (batch, tokens) is negative sees nothing. Rows that see
/// nothing are zeros; rows that nobody sees are never read. Scales multiply scores
/// and weights as Q3 says.
AttentionResult attention(const Arithmetic &arithmetic, const Tensor &query, const Tensor &key, const Tensor &value,
                          const Tensor &queryPositions, const Tensor &keyPositions,
                          const AttentionSettings &settings, Rounding rounding, RowScales scales = {});

} // namespace graphc::reference
