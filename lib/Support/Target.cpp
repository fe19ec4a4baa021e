// The table of targets and the host's answers.
#include "Support/Target.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace graphc {

/// Linux keeps the registers of tiles from a process that has not asked for them
/// (Documentation/arch/x86/xstate.rst).
static bool mayUseTiles() {
#ifdef SYS_arch_prctl
  constexpr int kRequestPermission = 0x1023 /* ARCH_REQ_XCOMP_PERM */, kTileData = 18 /* XFEATURE_XTILEDATA */;
  static const bool granted = ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

bool hostHas(std::string_view feature) {
  // __builtin_cpu_supports takes literals only.
#define ASK(name)                                                                                                      \
  if (feature == name)                                                                                                 \
    return __builtin_cpu_supports(name);
  ASK("sse2") ASK("avx2") ASK("fma") ASK("f16c") ASK("bmi2") ASK("avx512f") ASK("avx512bw") ASK("avx512vl")
  ASK("avx512dq") ASK("avx512cd") ASK("avx512bf16")
  ASK("avx512vbmi")
#undef ASK
  if (feature == "amx-tile")
    return __builtin_cpu_supports("amx-tile") && mayUseTiles();
  if (feature == "amx-bf16")
    return __builtin_cpu_supports("amx-bf16");
  return false;
}

std::span<const Target> targets() {
  static const std::vector<Target> table = {
      {"x86-64", "x86-64", "", {"sse2"}, 128, 16, false, false, false, false, false},
      {"x86-64-v3", "x86-64-v3", "", {"avx2", "fma", "f16c", "bmi2"}, 256, 16, false, false, false, true, true},
      {"x86-64-v4", "x86-64-v4", "-prefer-256-bit", {"avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"},
       512, 32, false, false, false, true, true},
      {"avx512_bf16", "x86-64-v4", "-prefer-256-bit,+avx512bf16", {"avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512bf16"},
       512, 32, true, false, false, true, true},
      {"amx_bf16", "x86-64-v4", "-prefer-256-bit,+avx512bf16,+avx512vbmi,+amx-tile,+amx-bf16", {"avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512bf16", "avx512vbmi", "amx-tile", "amx-bf16"},
       512, 32, true, true, true, true, true},
  };
  return table;
}

const Target *findTarget(std::string_view name) {
  for (const Target &target : targets())
    if (target.name == name)
      return &target;
  return nullptr;
}

std::vector<std::string_view> missingFeatures(const Target &target) {
  std::vector<std::string_view> missing;
  for (std::string_view feature : target.required)
    if (!hostHas(feature))
      missing.push_back(feature);
  return missing;
}

const Target &nativeTarget() {
  const Target *best = &targets().front();
  for (const Target &target : targets())
    if (missingFeatures(target).empty())
      best = &target;
  return *best;
}

} // namespace graphc
