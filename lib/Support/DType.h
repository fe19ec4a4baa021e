// The one table of element types: name, size and conversions. Everything that
// parses, prints, sizes or rounds a dtype goes through it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace graphc {

enum class DType : uint8_t { F32, F16, BF16, F64, I32, I64 };

struct DTypeInfo {
  DType dtype;
  std::string_view name;        ///< As policies, pins and MLIR spell it: "bf16".
  std::string_view safetensors; ///< As safetensors headers spell it: "BF16".
  unsigned bytes;
  int significandBits;          ///< With the implicit one; 0 for integers.
};

const DTypeInfo &info(DType dtype);
/// The dtype called `name` ("f32", "bf16", ..), or nothing.
std::optional<DType> parseDType(std::string_view name);
std::optional<DType> parseSafetensorsDType(std::string_view name);
inline unsigned byteSize(DType dtype) { return info(dtype).bytes; }
inline bool isFloat(DType dtype) { return info(dtype).significandBits != 0; }

/// True if every value of `narrow` is a value of `wide` (numerics.md N3, `<=`).
bool holds(DType wide, DType narrow);

// Storage bits <-> f32. Conversions to 16 bits round to nearest even, overflow
// to infinity, keep subnormals and keep NaN quiet (numerics.md N1).
float bf16ToFloat(uint16_t bits);
float f16ToFloat(uint16_t bits);
uint16_t floatToBf16(float value);
uint16_t floatToF16(float value);

/// rd_T(value): the f32 value nearest to `value` that is a value of `dtype`.
/// The argument is a double so that one rounding is made from f64 interiors too.
double roundTo(DType dtype, double value);

} // namespace graphc
