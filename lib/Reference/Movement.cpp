// Layers that move values without arithmetic (numerics F6). Their only rounding
// is the result's, so bounds are those of the element that arrives.
#include "Reference/Layers.h"

namespace graphc::reference {

/// result[i] = x[source(i)]; a negative source gives zero.
template <typename Source>
static Tensor moved(const Arithmetic &arithmetic, const Tensor &x, std::vector<int64_t> shape, Source source,
                    Rounding rounding) {
  Result y(arithmetic, rounding, shape);
  const int64_t count = elementCount(shape);
  for (int64_t i = 0; i < count; ++i)
    if (const int64_t from = source(i); from >= 0)
      y.set(i, x.data[from], x.data[from], x.radiusAt(from));
  return y.take();
}

Tensor embedding(const Arithmetic &arithmetic, const Tensor &ids, const Tensor &kernel, int64_t offset,
                 Rounding rounding) {
  const int64_t hidden = kernel.dim(1);
  std::vector<int64_t> shape = ids.shape;
  shape.push_back(hidden);
  return moved(
      arithmetic, kernel, shape,
      [&](int64_t i) {
        const int64_t id = int64_t(ids.data[i / hidden]);
        return id < 0 ? -1 : (id + offset) * hidden + i % hidden;
      },
      rounding);
}

Tensor splitHeads(const Arithmetic &arithmetic, const Tensor &x, int64_t heads, Rounding rounding) {
  const int64_t batch = x.dim(0), tokens = x.dim(1), headDim = x.dim(2) / heads;
  return moved(
      arithmetic, x, {batch, heads, tokens, headDim},
      [&](int64_t i) {
        const int64_t d = i % headDim, t = i / headDim % tokens, h = i / (headDim * tokens) % heads,
                      b = i / (headDim * tokens * heads);
        return ((b * tokens + t) * heads + h) * headDim + d;
      },
      rounding);
}

Tensor mergeHeads(const Arithmetic &arithmetic, const Tensor &x, Rounding rounding) {
  const int64_t batch = x.dim(0), heads = x.dim(1), tokens = x.dim(2), headDim = x.dim(3);
  return moved(
      arithmetic, x, {batch, tokens, heads * headDim},
      [&](int64_t i) {
        const int64_t d = i % headDim, h = i / headDim % heads, t = i / (headDim * heads) % tokens,
                      b = i / (headDim * heads * tokens);
        return ((b * heads + h) * tokens + t) * headDim + d;
      },
      rounding);
}

Tensor repeatHeads(const Arithmetic &arithmetic, const Tensor &x, int64_t times, Rounding rounding) {
  const int64_t head = x.dim(2) * x.dim(3);
  return moved(
      arithmetic, x, {x.dim(0), x.dim(1) * times, x.dim(2), x.dim(3)},
      [&](int64_t i) { return i / head / times * head + i % head; }, rounding);
}

Tensor slice(const Arithmetic &arithmetic, const Tensor &x, int64_t offset, int64_t size, Rounding rounding) {
  std::vector<int64_t> shape = x.shape;
  shape.back() = size;
  const int64_t columns = x.columns();
  return moved(
      arithmetic, x, shape, [&](int64_t i) { return i / size * columns + offset + i % size; }, rounding);
}

Tensor cast(const Arithmetic &arithmetic, const Tensor &x, Rounding rounding) {
  return moved(arithmetic, x, x.shape, [](int64_t i) { return i; }, rounding);
}

} // namespace graphc::reference
