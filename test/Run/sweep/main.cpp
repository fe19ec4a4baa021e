// Numerics T5 over all 2^32 f32 inputs: prints the greatest error of every
// function on every target that this host runs. Takes minutes a function.
// usage: graphc-function-sweep [FUNCTION...]
#include "FunctionSweep.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <string_view>

using namespace graphc::test;

int main(int argc, char **argv) {
  const std::vector<std::string_view> names(argv + 1, argv + argc);
  bool isRight = true;
  for (const Function &function : functions()) {
    if (!names.empty() && std::ranges::find(names, function.name) == names.end())
      continue;
    FunctionSweep sweep(function);
    std::vector<float> inputs(FunctionSweep::kBlock);
    for (uint64_t first = 0; first < uint64_t(1) << 32; first += FunctionSweep::kBlock) {
      for (int64_t i = 0; i < FunctionSweep::kBlock; ++i)
        inputs[i] = std::bit_cast<float>(uint32_t(first + i));
      sweep.run(inputs);
    }
    for (size_t t = 0; t < sweep.targets.size(); ++t) {
      const Worst &worst = sweep.worst[t];
      isRight &= worst.error <= 1;
      std::printf("%-10s %-12s %11llu inputs  ", function.name.c_str(), sweep.targets[t]->name.data(),
                  static_cast<unsigned long long>(worst.inputs));
      if (function.unit)
        std::printf("%.3f ulp of %g", worst.error * function.unit, function.unit);
      else
        std::printf("%.3f of the bound", worst.error);
      std::printf("  at %a\n", worst.input);
    }
    std::fflush(stdout);
  }
  return !isRight;
}
