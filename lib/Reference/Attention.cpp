// Attention as numerics A2 to A4 define it: scores in f32, powers of two with
// significands rounded to C, their own sum as the divisor. A power of two scales
// exactly, so the probabilities depend on no tile size and no running maximum.
// Rows of 8 bits have a scale each: a key's multiplies its score, a value's the
// probability before its rounding (Q3).
#include "Reference/FunctionTable.h"
#include "Reference/Layers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace graphc::reference {

namespace {

/// One query against the keys it sees (n of them).
struct Row {
  std::vector<double> score;  ///< s, the unrounded sum.
  std::vector<double> bias;   ///< Added to the scaled score; empty: none.
  std::vector<double> error;  ///< Of s, as far as sums and radii go.
  std::vector<double> p;      ///< Rounded powers of two, or Axon's probabilities.
  std::vector<double> pError; ///< Farthest that another kernel's p lies from p.
  std::vector<double> weight; ///< What the values are multiplied by: p, or p with the value's scale.
  std::vector<double> weightError;
  double total = 1;           ///< l = sum of p.
  double low = 1, high = 1;   ///< Sums of the least and of the greatest p.
};

class Attention {
public:
  Attention(const Arithmetic &arithmetic, const Tensor &query, const Tensor &key, const Tensor &value,
            const AttentionSettings &settings, Rounding rounding, RowScales scales)
      : arithmetic(arithmetic), query(query), key(key), value(value), settings(settings), rounding(rounding), scales(scales),
        axon(rounding.interior != DType::F32), scale(float(settings.scale)) {}

  /// Scores of the query row at `q` (an element offset) against key rows at `keys`.
  void score(Row &row, int64_t q, std::span<const int64_t> keys) const;
  void probabilities(Row &row, std::span<const int64_t> keys) const;
  void axonProbabilities(Row &row, std::span<const int64_t> keys) const;
  void output(const Row &row, std::span<const int64_t> keys, Result &y, int64_t first) const;
  void weights(const Row &row, std::span<const int64_t> keys, Result &w, int64_t first) const;
  bool isAxon() const { return axon; }

private:
  double power(double at, double greatest, double relative, double scale = 1) const;

  const Arithmetic &arithmetic;
  const Tensor &query, &key, &value;
  const AttentionSettings &settings;
  Rounding rounding;
  RowScales scales;
  bool axon;
  double scale;
};

void Attention::score(Row &row, int64_t q, std::span<const int64_t> keys) const {
  const int64_t headDim = query.columns();
  const bool bothBf16 = query.dtype == DType::BF16 && key.dtype == DType::BF16;
  const std::span a(query.data.data() + q, headDim);
  row.score.resize(keys.size());
  row.error.assign(keys.size(), 0);
  for (size_t j = 0; j < keys.size(); ++j) {
    const int64_t k = keys[j] * headDim;
    const std::span b(key.data.data() + k, headDim);
    const double sum = arithmetic.dot(a, b, 0, bothBf16), own = scales.keys ? scales.keys->data[keys[j]] : 1;
    row.score[j] = scales.keys ? arithmetic.f32(sum) * own : sum;
    if (!arithmetic.hasBounds())
      continue;
    double magnitude = 0, moved = 0;
    for (int64_t d = 0; d < headDim; ++d) {
      magnitude += std::fabs(a[d] * b[d]);
      moved += std::fabs(a[d]) * key.radiusAt(k + d) + (std::fabs(b[d]) + key.radiusAt(k + d)) * query.radiusAt(q + d);
    }
    row.error[j] = chainError(headDim + 1) * (magnitude + moved) + moved + 4 * double(headDim) * kFlush;
    if (!scales.keys)
      continue;
    // One more rounding, and what the scale's own radius moves.
    const double radius = scales.keys->radiusAt(keys[j]);
    row.error[j] = (own + radius) * row.error[j] + radius * std::fabs(sum) + 2 * kUnit * std::fabs(row.score[j]);
  }
}

/// 2^at * scale with its significand rounded to C, relative to 2^greatest. The
/// scale is taken apart, c * 2^e with 1 <= c < 2, so that C's exponents suffice.
double Attention::power(double at, double greatest, double relative, double own) const {
  if (!std::isfinite(at))
    return at < 0 ? 0.0 : at;
  if (own == 0 || std::isnan(own))
    return own;
  const double whole = std::floor(at);
  int exponent;
  const double c = 2 * std::frexp(own, &exponent);
  double significand = arithmetic.f32(std::exp2(at - whole) * (1 + relative));
  if (own != 1)
    significand = arithmetic.f32(significand * c * (1 + (relative > 0 ? 2 : relative < 0 ? -2 : 0) * kUnit));
  return std::ldexp(arithmetic.roundSignificand(settings.compute, significand),
                    int(std::clamp(whole - greatest, -2000.0, 2000.0)) + exponent - 1);
}

void Attention::probabilities(Row &row, std::span<const int64_t> keys) const {
  const size_t n = row.score.size();
  // x = s * scale * log2(e), with one f32 constant if no bias comes between.
  const double factor = scale * std::numbers::log2e, constant = arithmetic.f32(factor);
  const bool biased = !row.bias.empty();
  const double log2e = arithmetic.f32(std::numbers::log2e);
  std::vector<double> x(n);
  double greatest = -std::numeric_limits<double>::infinity(); // M
  for (size_t j = 0; j < n; ++j) {
    const double s = arithmetic.f32(row.score[j]);
    x[j] = biased ? arithmetic.f32(arithmetic.f32(arithmetic.f32(s * scale) + row.bias[j]) * log2e)
                  : arithmetic.f32(s * constant);
    greatest = std::fmax(greatest, std::floor(x[j]));
  }
  row.p.resize(n);
  row.pError.assign(n, 0);
  row.weight.resize(n);
  row.weightError.assign(n, 0);
  row.low = row.high = 0;
  for (size_t j = 0; j < n; ++j) {
    const double own = scales.values ? scales.values->data[keys[j]] : 1;
    row.p[j] = power(x[j], greatest, 0);
    row.weight[j] = scales.values ? power(x[j], greatest, 0, own) : row.p[j];
    if (!arithmetic.hasBounds())
      continue;
    // The product with scale and log2(e): three roundings; the fraction: one. A
    // bias: two before it, and its sum and the constant round for themselves.
    const double scaled = row.score[j] * factor, at = scaled + (biased ? row.bias[j] * std::numbers::log2e : 0);
    const double error = std::fabs(factor) * row.error[j] +
                         (3 * std::fabs(at) + (biased ? 2 * std::fabs(scaled) : 0) + 1) * kUnit;
    const double relative = 2 * kFunctionTable.exp2 * kUnit;
    const double low = power(at - error, greatest, -relative), high = power(at + error, greatest, relative);
    row.pError[j] = std::max(high - row.p[j], row.p[j] - low) + kFlush;
    row.low += low;
    row.high += high + kFlush;
    if (!scales.values)
      continue;
    const double radius = scales.values->radiusAt(keys[j]);
    const double least = power(at - error, greatest, -relative, std::max(own - radius, 0.0));
    const double most = power(at + error, greatest, relative, own + radius);
    row.weightError[j] = std::max(most - row.weight[j], row.weight[j] - least) + 4 * kFlush;
  }
  row.total = arithmetic.sum(row.p);
  if (!scales.values)
    row.weightError = row.pError;
}

void Attention::axonProbabilities(Row &row, std::span<const int64_t> keys) const {
  const auto inside = [&](double v) { return arithmetic.interior(rounding, v); };
  double greatest = -std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < row.score.size(); ++j) {
    double &s = row.score[j];
    s = inside(inside(s) * scale);
    if (!row.bias.empty())
      s = inside(s + row.bias[j]);
    greatest = std::fmax(greatest, s);
  }
  row.p.resize(row.score.size());
  row.pError.assign(row.score.size(), 0);
  for (size_t j = 0; j < row.p.size(); ++j)
    row.p[j] = inside(std::exp(inside(row.score[j] - greatest)));
  const double total = inside(arithmetic.sum(row.p));
  for (double &p : row.p)
    p = inside(p / total);
  row.weight = row.p;
  for (size_t j = 0; j < keys.size() && scales.values; ++j)
    row.weight[j] = arithmetic.f32(row.p[j] * scales.values->data[keys[j]]);
  row.weightError = row.pError;
  row.total = 1;
}

void Attention::output(const Row &row, std::span<const int64_t> keys, Result &y, int64_t first) const {
  const int64_t valueDim = value.columns(), n = int64_t(keys.size());
  const bool bothBf16 = settings.compute == DType::BF16 && value.dtype == DType::BF16;
  std::vector<double> column(n);
  for (int64_t d = 0; d < valueDim; ++d) {
    for (int64_t j = 0; j < n; ++j)
      column[j] = value.data[keys[j] * valueDim + d];
    const double sum = arithmetic.dot(row.weight, column, 0, bothBf16), centre = sum / row.total;
    double bound = 0;
    if (arithmetic.hasBounds()) {
      // o' - o = (sum (p' - p)(v - o) + sum p' (v' - v) + e_N - o e_l) / l', since
      // sum p (v - o) = 0: an error that all p share cancels. Weights with scales are
      // rounded apart from p: sum (w' - w) v + sum w' (v' - v) - o sum (p' - p) + ..
      double moved = 0, magnitude = 0;
      for (int64_t j = 0; j < n; ++j) {
        const double r = value.radiusAt(keys[j] * valueDim + d), w = row.weight[j] + row.weightError[j];
        moved += scales.values ? row.weightError[j] * std::fabs(column[j]) + row.pError[j] * std::fabs(centre)
                               : row.pError[j] * std::fabs(column[j] - centre);
        moved += w * r;
        magnitude += w * (std::fabs(column[j]) + r);
      }
      const double chain = chainError(n + 2);
      const double rest = chain * (magnitude + std::fabs(centre) * row.high) + 2 * double(n) * kFlush;
      bound = (moved + rest) / (row.low * (1 - chain));
      bound += (2 * kFunctionTable.divide + 1) * kUnit * (std::fabs(centre) + bound);
    }
    y.set(first + d, arithmetic.f32(sum) / arithmetic.f32(row.total), centre, bound);
  }
}

void Attention::weights(const Row &row, std::span<const int64_t> keys, Result &w, int64_t first) const {
  double errors = 0;
  for (double error : row.pError)
    errors += error;
  const double chain = chainError(int64_t(row.p.size()) + 2);
  for (size_t j = 0; j < row.p.size(); ++j) {
    const double centre = row.p[j] / row.total, own = row.pError[j];
    double bound = (own * (1 - centre) + centre * (errors - own + chain * row.high)) / (row.low * (1 - chain));
    bound += (2 * kFunctionTable.divide + 1) * kUnit * (centre + bound);
    w.set(first + keys[j], row.p[j] / arithmetic.f32(row.total), centre, bound);
  }
}

} // namespace

AttentionResult attention(const Arithmetic &arithmetic, const Tensor &query, const Tensor &key, const Tensor &value,
                          const Tensor &queryPositions, const Tensor &keyPositions,
                          const AttentionSettings &settings, Rounding rounding, RowScales scales) {
  const int64_t batch = query.dim(0), heads = query.dim(1), tokens = query.dim(2), headDim = query.dim(3);
  const int64_t kvHeads = key.dim(1), rows = key.dim(2), valueDim = value.dim(3), group = heads / kvHeads;
  const Attention op(arithmetic, query, key, value, settings, rounding, scales);
  Result y(arithmetic, rounding, {batch, heads, tokens, valueDim});
  Result w(arithmetic, rounding, {batch, heads, tokens, settings.wantWeights ? rows : 0});
  Row row;
  std::vector<int64_t> columns, keys, buckets; // of the visible keys: column, row of `key`, bucket of the bias
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t t = 0; t < tokens; ++t) {
      const double at = queryPositions.data[b * tokens + t];
      columns.clear();
      buckets.clear();
      for (int64_t j = 0; j < rows; ++j) {
        const double k = keyPositions.data[b * rows + j];
        const bool admitted = !(settings.causal && k > at) && !(settings.window && k <= at - double(settings.window));
        if (at >= 0 && k >= 0 && admitted)
          columns.push_back(j);
        if (at >= 0 && k >= 0 && admitted && settings.bias)
          buckets.push_back(settings.buckets.bucket(int64_t(k - at)));
      }
      if (columns.empty())
        continue; // zeros
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t q = (b * heads + h) * tokens + t, first = (b * kvHeads + h / group) * rows;
        keys.clear();
        for (int64_t j : columns)
          keys.push_back(first + j);
        op.score(row, q * headDim, keys);
        row.bias.clear();
        for (int64_t bucket : buckets)
          row.bias.push_back(settings.bias->data[bucket * heads + h]);
        op.isAxon() ? op.axonProbabilities(row, keys) : op.probabilities(row, keys);
        op.output(row, keys, y, q * valueDim);
        if (settings.wantWeights)
          op.weights(row, columns, w, q * rows);
      }
    }
  return {y.take(), settings.wantWeights ? w.take() : Tensor()};
}

} // namespace graphc::reference
