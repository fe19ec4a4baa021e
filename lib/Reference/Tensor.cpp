// Construction and description of reference tensors.
#include "Reference/Tensor.h"

#include "Support/Message.h"

namespace graphc::reference {

int64_t elementCount(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || (size > 0 && count > (int64_t(1) << 40) / size))
      return -1;
    count *= size;
  }
  return count;
}

Tensor::Tensor(DType dtype, std::vector<int64_t> shape)
    : dtype(dtype), shape(std::move(shape)), data(elementCount(this->shape)) {}

Tensor::Tensor(DType dtype, std::vector<int64_t> shape, std::vector<double> data)
    : dtype(dtype), shape(std::move(shape)), data(std::move(data)) {}

void Tensor::dropBounds() {
  centre.clear();
  bound.clear();
  radius.clear();
}

std::string describe(const Tensor &tensor) {
  return concat(info(tensor.dtype).name, " (", join(tensor.shape), ")");
}

} // namespace graphc::reference
