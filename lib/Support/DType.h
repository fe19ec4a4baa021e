// The one table of element types: name, size and conversions. Everything that
// parses, prints, sizes or rounds a dtype goes through it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace graphc {

/// The index of a type is part of a cache's memory space, so new ones go last.
enum class DType : uint8_t { F32, F16, BF16, F64, I32, I64, I8, F8E4M3FN, F8E5M2 };

struct DTypeInfo {
  DType dtype;
  std::string_view name;        ///< As policies, pins and MLIR spell it: "bf16"; i8 is "int8".
  std::string_view safetensors; ///< As safetensors headers spell it: "BF16".
  unsigned bytes;
  int significandBits;          ///< With the implicit one; 0 for integers.
  int leastExponent;            ///< Floats: subnormals are multiples of 2^leastExponent.
  double greatest;              ///< Greatest finite magnitude; int8: 127, since -128 is not used.
  bool hasInfinity;
};

const DTypeInfo &info(DType dtype);
/// The dtype called `name` ("f32", "bf16", ..), or nothing.
std::optional<DType> parseDType(std::string_view name);
std::optional<DType> parseSafetensorsDType(std::string_view name);
inline unsigned byteSize(DType dtype) { return info(dtype).bytes; }
inline bool isFloat(DType dtype) { return info(dtype).significandBits != 0; }
/// f32, f16, bf16: what layers compute in and outputs are made of.
inline bool isComputeType(DType dtype) { return dtype <= DType::BF16; }
/// int8, f8E4M3FN, f8E5M2. In a cache such rows have a scale each (numerics.md Q1).
inline bool isEightBit(DType dtype) { return info(dtype).bytes == 1; }

/// True if every value of `narrow` is a value of `wide` (numerics.md N3, `<=`).
bool holds(DType wide, DType narrow);

// Storage bits <-> f32. Conversions to fewer bits round to nearest even, overflow
// to infinity, keep subnormals and keep NaN quiet (numerics.md N1). f8E4M3FN has
// no infinity: what rounds beyond 448 is NaN.
float bf16ToFloat(uint16_t bits);
float f16ToFloat(uint16_t bits);
float f8E4M3FNToFloat(uint8_t bits);
float f8E5M2ToFloat(uint8_t bits);
uint16_t floatToBf16(float value);
uint16_t floatToF16(float value);
uint8_t floatToF8E4M3FN(float value);
uint8_t floatToF8E5M2(float value);

/// The element of at most 32 bits at `at`, which need not be aligned, widened
/// exactly (i32: to the nearest f32), and its inverse, rounded to `dtype`.
float loadElement(DType dtype, const void *at);
void storeElement(DType dtype, void *at, float value);

/// rd_T(value): the value of `dtype` nearest to `value`. The argument is a double
/// so that one rounding is made from f64 interiors too. int8: the nearest whole
/// number, within -127 .. 127.
double roundTo(DType dtype, double value);

} // namespace graphc
