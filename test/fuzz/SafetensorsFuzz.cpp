// Fuzzes the safetensors header. Every accepted tensor must lie in the input:
// touching its first and last byte is what the address sanitizer checks.
#include "Support/Safetensors.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto tensors = graphc::parseSafetensors({reinterpret_cast<const std::byte *>(data), size}, "fuzz");
  if (!tensors.ok())
    return 0;
  volatile unsigned touched = 0;
  for (const graphc::TensorInfo &tensor : *tensors)
    if (tensor.bytes)
      touched = touched + unsigned(tensor.data[0]) + unsigned(tensor.data[tensor.bytes - 1]);
  return 0;
}
