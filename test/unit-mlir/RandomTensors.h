// Random operands for tests of the reference interpreter: fixed seeds, values
// of the asked dtype, sizes that make every rounding point show.
#pragma once

#include "Reference/Arithmetic.h"

#include <random>

namespace graphc::reference {

class RandomTensors {
public:
  explicit RandomTensors(uint64_t seed) : engine(seed) {}

  int64_t integer(int64_t least, int64_t greatest) {
    return least + int64_t(engine() % uint64_t(greatest - least + 1));
  }
  /// Normal deviates times `deviation`, plus `mean`, rounded to `dtype`.
  Tensor normal(DType dtype, std::vector<int64_t> shape, double deviation = 1, double mean = 0) {
    Tensor tensor(dtype, std::move(shape));
    std::normal_distribution<double> draw(mean, deviation);
    for (double &x : tensor.data)
      x = roundTo(dtype, float(draw(engine)));
    return tensor;
  }
  DType dtype() { return std::vector{DType::F32, DType::BF16, DType::F16}[engine() % 3]; }

private:
  std::mt19937_64 engine;
};

} // namespace graphc::reference
