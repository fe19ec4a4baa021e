// The dtype table and the bit-level conversions behind it.
#include "Support/DType.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>

namespace graphc {

static constexpr DTypeInfo kTable[] = {
    {DType::F32, "f32", "F32", 4, 24, -149, 0x1.fffffep127, true},
    {DType::F16, "f16", "F16", 2, 11, -24, 65504, true},
    {DType::BF16, "bf16", "BF16", 2, 8, -133, 0x1.fep127, true},
    {DType::F64, "f64", "F64", 8, 53, -1074, 0x1.fffffffffffffp1023, true},
    {DType::I32, "i32", "I32", 4, 0, 0, 2147483647, false},
    {DType::I64, "i64", "I64", 8, 0, 0, 0x1p63, false},
    {DType::I8, "int8", "I8", 1, 0, 0, 127, false},
    {DType::F8E4M3FN, "f8E4M3FN", "F8_E4M3", 1, 4, -9, 448, false},
    {DType::F8E5M2, "f8E5M2", "F8_E5M2", 1, 3, -16, 57344, true},
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
  if (!isFloat(wide) || byteSize(wide) <= byteSize(narrow))
    return false;
  return isFloat(narrow) || isEightBit(narrow);
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

float f8E5M2ToFloat(uint8_t bits) { return f16ToFloat(uint16_t(bits << 8)); } // the upper half of an f16

float f8E4M3FNToFloat(uint8_t bits) {
  const uint32_t sign = uint32_t(bits & 0x80u) << 24, magnitude = bits & 0x7f;
  if (magnitude == 0x7f)
    return std::bit_cast<float>(sign | 0x7fc00000u);
  if (magnitude < 8) // zero and subnormals: magnitude * 2^-9
    return std::copysign(std::ldexp(float(magnitude), -9), std::bit_cast<float>(sign | 0x3f800000u));
  return std::bit_cast<float>(sign | ((magnitude << 20) + (120u << 23)));
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

/// The bits of an 8-bit float with `fraction` explicit bits, `bias` and the bits
/// `overflow` for what is `limit` or more.
static uint8_t floatToF8(float value, unsigned fraction, unsigned bias, float limit, uint8_t overflow, uint8_t nan) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), dropped = 23 - fraction;
  const uint8_t sign = uint8_t((bits >> 24) & 0x80);
  if (std::isnan(value))
    return sign | nan;
  const float magnitude = std::fabs(value);
  if (magnitude >= limit)
    return sign | overflow;
  if (magnitude < std::ldexp(1.0f, 1 - int(bias))) // subnormal: nearest even by the FPU
    return sign | uint8_t(std::nearbyint(std::ldexp(magnitude, int(bias + fraction) - 1)));
  uint32_t m = std::bit_cast<uint32_t>(magnitude);
  m += (1u << (dropped - 1)) - 1 + ((m >> dropped) & 1);
  return sign | uint8_t((m - ((127 - bias) << 23)) >> dropped);
}

uint8_t floatToF8E4M3FN(float value) { // 464 is half way between 448 and NaN, and even is 448
  return floatToF8(value, 3, 7, std::nextafter(464.0f, 1000.0f), 0x7f, 0x7f);
}

uint8_t floatToF8E5M2(float value) { return floatToF8(value, 2, 15, 61440.0f, 0x7c, 0x7e); }

template <typename T> static T read(const void *at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

float loadElement(DType dtype, const void *at) {
  switch (dtype) {
  case DType::F32: return read<float>(at);
  case DType::F16: return f16ToFloat(read<uint16_t>(at));
  case DType::BF16: return bf16ToFloat(read<uint16_t>(at));
  case DType::I8: return read<int8_t>(at);
  case DType::F8E4M3FN: return f8E4M3FNToFloat(read<uint8_t>(at));
  case DType::F8E5M2: return f8E5M2ToFloat(read<uint8_t>(at));
  case DType::I32: return float(read<int32_t>(at));
  case DType::F64:
  case DType::I64: break;
  }
  assert(false && "elements of 64 bits do not fit an f32");
  return 0;
}

void storeElement(DType dtype, void *at, float value) {
  const auto write = [&](auto bits) { std::memcpy(at, &bits, sizeof bits); };
  switch (dtype) {
  case DType::F32: return write(value);
  case DType::F16: return write(floatToF16(value));
  case DType::BF16: return write(floatToBf16(value));
  case DType::I8: return write(int8_t(roundTo(DType::I8, value)));
  case DType::F8E4M3FN: return write(floatToF8E4M3FN(value));
  case DType::F8E5M2: return write(floatToF8E5M2(value));
  case DType::I32: return write(int32_t(value));
  case DType::F64:
  case DType::I64: break;
  }
  assert(false && "elements of 64 bits are not made from an f32");
}

double roundTo(DType dtype, double value) {
  const DTypeInfo &type = info(dtype);
  if (dtype == DType::F64 || std::isnan(value) || value == 0)
    return value;
  if (!isFloat(dtype))
    return std::clamp(std::nearbyint(value), -type.greatest, type.greatest);
  const double beyond = std::copysign(type.hasInfinity ? std::numeric_limits<double>::infinity()
                                                       : std::numeric_limits<double>::quiet_NaN(), value);
  if (std::isinf(value))
    return beyond;
  if (dtype == DType::F32)
    return float(value);
  const int digits = type.significandBits;
  if (const double magnitude = std::fabs(value);
      magnitude >= std::ldexp(1.0, type.leastExponent + digits - 1) && magnitude <= type.greatest) {
    const int dropped = 53 - digits; // a carry runs into the exponent, as it should
    const uint64_t bits = std::bit_cast<uint64_t>(value), odd = (bits >> dropped) & 1;
    // At most `greatest`, which is a value of the type.
    return std::bit_cast<double>((bits + (uint64_t(1) << (dropped - 1)) - 1 + odd) & ~((uint64_t(1) << dropped) - 1));
  }
  int exponent; // value = m * 2^exponent, 0.5 <= |m| < 1
  std::frexp(value, &exponent);
  const int unit = std::max(exponent - digits, type.leastExponent);
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(value, -unit)), unit);
  return std::fabs(rounded) > type.greatest ? beyond : rounded;
}

} // namespace graphc
