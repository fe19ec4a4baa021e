// Conversion of weights at load: exact widening, then the roundings of the
// policy in their order (numerics.md, L1). Values go through in blocks, so that
// the compiler vectorises each step.
#include "Runtime/Weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace graphc {

namespace {
constexpr size_t kBlock = 1024;

/// `first` rounded as the first of the steps (if any), from the stored value: an
/// f64 must not be rounded to f32 on the way to fewer bits.
float readRounded(const Binding &parameter, const std::byte *at) {
  if (parameter.stored != DType::F64)
    return loadElement(parameter.stored, at);
  double wide;
  std::memcpy(&wide, at, sizeof wide);
  return float(roundTo(parameter.roundings.front(), wide));
}

/// Rounds each value; returns how many finite ones went beyond the type's range.
uint64_t roundBlock(DType dtype, std::span<float> values) {
  uint64_t lost = 0;
  const auto each = [&](auto round) {
    for (float &value : values) {
      const float rounded = round(value);
      lost += std::isfinite(value) && !std::isfinite(rounded);
      value = rounded;
    }
  };
  if (dtype == DType::BF16)
    each([](float value) { return bf16ToFloat(floatToBf16(value)); });
  else if (dtype == DType::F16)
    each([](float value) { return f16ToFloat(floatToF16(value)); });
  else if (dtype == DType::F8E4M3FN)
    each([](float value) { return f8E4M3FNToFloat(floatToF8E4M3FN(value)); });
  else if (dtype == DType::F8E5M2)
    each([](float value) { return f8E5M2ToFloat(floatToF8E5M2(value)); });
  return lost;
}

void store(DType dtype, std::span<const float> values, std::byte *out) {
  for (size_t i = 0; i < values.size(); ++i)
    if (dtype == DType::F64) {
      const double wide = values[i];
      std::memcpy(out + i * 8, &wide, 8);
    } else {
      storeElement(dtype, out + i * byteSize(dtype), values[i]);
    }
}
} // namespace

uint64_t convertElements(const Binding &parameter, const std::byte *tensor, uint64_t first,
                         uint64_t last, std::byte *out) {
  const unsigned from = byteSize(parameter.stored), to = byteSize(parameter.dtype);
  const uint64_t columns = parameter.transpose ? uint64_t(parameter.dims[1].offset) : 0;
  const uint64_t rows = parameter.transpose ? uint64_t(parameter.dims[0].offset) : 0;
  auto source = [&](uint64_t index) { // element (r, c) of the parameter is (c, r) of the tensor
    return parameter.transpose ? index % columns * rows + index / columns : index;
  };
  if (parameter.roundings.empty() && parameter.dtype == parameter.stored) { // integers too
    for (uint64_t i = first; i < last; ++i)
      std::memcpy(out + i * to, tensor + source(i) * from, to);
    return 0;
  }
  uint64_t lost = 0;
  std::array<float, kBlock> block;
  for (uint64_t start = first; start < last; start += kBlock) {
    std::span<float> values(block.data(), std::min<uint64_t>(kBlock, last - start));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = readRounded(parameter, tensor + source(start + i) * from);
    for (DType dtype : parameter.roundings)
      lost += roundBlock(dtype, values);
    store(parameter.dtype, values, out + start * to);
  }
  return lost;
}

} // namespace graphc
