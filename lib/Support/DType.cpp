// The dtype table and the bit-level conversions behind it.
#include "Support/DType.h"

#include <bit>
#include <cmath>
#include <limits>

namespace graphc {

static constexpr DTypeInfo kTable[] = {
    {DType::F32, "f32", "F32", 4, 24}, {DType::F16, "f16", "F16", 2, 11},
    {DType::BF16, "bf16", "BF16", 2, 8}, {DType::F64, "f64", "F64", 8, 53},
    {DType::I32, "i32", "I32", 4, 0},  {DType::I64, "i64", "I64", 8, 0},
};

const DTypeInfo &info(DType dtype) { return kTable[static_cast<int>(dtype)]; }

std::optional<DType> parseDType(std::string_view name) {
  for (const DTypeInfo &row : kTable)
    if (row.name == name)
      return row.dtype;
  return std::nullopt;
}

std::optional<DType> parseSafetensorsDType(std::string_view name) {
  for (const DTypeInfo &row : kTable)
    if (row.safetensors == name)
      return row.dtype;
  return std::nullopt;
}

bool holds(DType wide, DType narrow) {
  if (wide == narrow)
    return true;
  if (!isFloat(wide) || !isFloat(narrow))
    return false;
  return wide == DType::F64 || (wide == DType::F32 && narrow != DType::F64);
}

float bf16ToFloat(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

float f16ToFloat(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  if (exponent == 0) // zero and subnormals: fraction * 2^-24
    return std::copysign(std::ldexp(float(fraction), -24), std::bit_cast<float>(sign | 0x3f800000u));
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000u | (fraction ? 0x400000u | (fraction << 13) : 0u));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

uint16_t floatToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return uint16_t((bits >> 16) | 0x40);
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

uint16_t floatToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  if (std::isnan(value))
    return uint16_t(sign | 0x7e00);
  const float magnitude = std::fabs(value);
  if (magnitude >= 65520.0f) // half way between 65504 and 65536, and beyond
    return uint16_t(sign | 0x7c00);
  if (magnitude < 0x1p-14f) // subnormal: units of 2^-24, nearest even by the FPU
    return uint16_t(sign | uint16_t(std::nearbyint(magnitude * 0x1p24f)));
  uint32_t m = std::bit_cast<uint32_t>(magnitude);
  m += 0xfff + ((m >> 13) & 1);
  return uint16_t(sign | ((m - (112u << 23)) >> 13));
}

double roundTo(DType dtype, double value) {
  if (dtype == DType::F64 || !std::isfinite(value) || value == 0)
    return value;
  if (dtype == DType::F32)
    return float(value);
  const bool half = dtype == DType::F16;
  const int digits = info(dtype).significandBits, least = half ? -24 : -133;
  const double greatest = half ? 65504.0 : 0x1.fep127;
  if (const double magnitude = std::fabs(value); magnitude >= (half ? 0x1p-14 : 0x1p-126) && magnitude <= greatest) {
    const int dropped = 53 - digits; // a carry runs into the exponent, as it should
    const uint64_t bits = std::bit_cast<uint64_t>(value), odd = (bits >> dropped) & 1;
    // At most `greatest`, which is a value of the type.
    return std::bit_cast<double>((bits + (uint64_t(1) << (dropped - 1)) - 1 + odd) & ~((uint64_t(1) << dropped) - 1));
  }
  int exponent; // value = m * 2^exponent, 0.5 <= |m| < 1
  std::frexp(value, &exponent);
  const int unit = std::max(exponent - digits, least);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
  if (std::fabs(rounded) > greatest)
    return std::copysign(std::numeric_limits<double>::infinity(), value);
  return rounded;
}

} // namespace graphc
