// The one table of targets: what an instruction set has, what LLVM calls it,
// and how to tell whether this host runs it. Nothing tests for a CPU name.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace graphc {

struct Target {
  std::string_view name;                       ///< As `--target` spells it: "avx512_bf16".
  std::string_view cpu;                        ///< LLVM's -mcpu: "x86-64-v4".
  std::string_view features;                   ///< LLVM's extra -mattr: "+avx512bf16".
  std::vector<std::string_view> required;      ///< Host features, by __builtin_cpu_supports' names.
  unsigned vectorBits;                         ///< 128, 256 or 512.
  unsigned vectorRegisters;                    ///< 16 or 32.
  bool bf16Dot;                                ///< vdpbf16ps: pairs of bf16 into f32.
  bool bf16Tiles;                              ///< tdpbf16ps: tiles of 16 rows of pairs of bf16 into f32.
  bool byteTables;                             ///< vpermi2b: looks 64 bytes up in a table of 128.
  bool f16Convert;                             ///< f16 <-> f32 in registers.
  bool fma;
  bool hasFloor() const { return vectorBits >= 256; } ///< Rounds down in registers (SSE4.1; x86-64 has it not).
  unsigned lanes() const { return vectorBits / 32; } ///< f32 elements of a vector.
};

/// All targets, weakest first: x86-64, x86-64-v3, x86-64-v4, avx512_bf16, amx_bf16.
std::span<const Target> targets();
/// The target called `name`; nothing if there is none.
const Target *findTarget(std::string_view name);
/// The strongest target that this host runs.
const Target &nativeTarget();
/// Whether this host has `feature`, by __builtin_cpu_supports' name; false for a
/// name that no target of the table requires. Tiles count only if the system lets
/// this process use their registers; asking is what makes it do so, for all threads.
bool hostHas(std::string_view feature);
/// Features of `target` that this host lacks; empty if it runs here.
std::vector<std::string_view> missingFeatures(const Target &target);

} // namespace graphc
