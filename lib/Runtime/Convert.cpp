// Conversion of weights at load: exact widening, then the roundings of the
// policy in their order (numerics.md, L1). Values go through in blocks, so that
// the compiler vectorises each step.
#include "Runtime/Weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace graphc {

namespace {
constexpr size_t kBlock = 1024;

template <typename T> T read(const std::byte *at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// `first` rounded as the first of the steps (if any), from the stored value: an
/// f64 must not be rounded to f32 on the way to 16 bits.
float readRounded(const Binding &parameter, const std::byte *at) {
  switch (parameter.stored) {
  case DType::BF16:
    return bf16ToFloat(read<uint16_t>(at));
  case DType::F16:
    return f16ToFloat(read<uint16_t>(at));
  case DType::F64:
    return float(roundTo(parameter.roundings.front(), read<double>(at)));
  default:
    return read<float>(at);
  }
}

void roundBlock(DType dtype, std::span<float> values) {
  if (dtype == DType::BF16)
    for (float &value : values)
      value = bf16ToFloat(floatToBf16(value));
  else if (dtype == DType::F16)
    for (float &value : values)
      value = f16ToFloat(floatToF16(value));
}

void store(DType dtype, std::span<const float> values, std::byte *out) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::BF16) {
      const uint16_t bits = floatToBf16(values[i]);
      std::memcpy(out + i * 2, &bits, 2);
    } else if (dtype == DType::F16) {
      const uint16_t bits = floatToF16(values[i]);
      std::memcpy(out + i * 2, &bits, 2);
    } else if (dtype == DType::F64) {
      const double wide = values[i];
      std::memcpy(out + i * 8, &wide, 8);
    } else {
      std::memcpy(out + i * 4, &values[i], 4);
    }
  }
}
} // namespace

void convertElements(const Binding &parameter, const std::byte *tensor, uint64_t first,
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
    return;
  }
  std::array<float, kBlock> block;
  for (uint64_t start = first; start < last; start += kBlock) {
    std::span<float> values(block.data(), std::min<uint64_t>(kBlock, last - start));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = readRounded(parameter, tensor + source(start + i) * from);
    for (DType dtype : parameter.roundings)
      roundBlock(dtype, values);
    store(parameter.dtype, values, out + start * to);
  }
}

} // namespace graphc
