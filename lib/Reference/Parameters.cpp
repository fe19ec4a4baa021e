// Exact widening of stored parameters.
#include "Reference/Parameters.h"

#include "Support/Message.h"
#include "Support/Safetensors.h"

#include <cstring>

namespace graphc::reference {

/// The elements at `bytes`, stored as Stored, each through `widen`.
template <typename Stored, typename Widen>
static void widenAll(const std::byte *bytes, std::vector<double> &out, Widen widen) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored element; // not aligned in the file
    std::memcpy(&element, bytes + i * sizeof(Stored), sizeof(Stored));
    out[i] = widen(element);
  }
}

absl::StatusOr<Tensor> CheckpointParameters::load(const std::string &name) {
  const TensorInfo *stored = checkpoint.find(name);
  if (!stored)
    return absl::NotFoundError(concat("checkpoint has no tensor '", name, "'"));
  if (!stored->dtype || !isFloat(*stored->dtype))
    return invalidArgument("tensor '", name, "' must be f32, f16, bf16, f64, f8E4M3FN or f8E5M2, got ", stored->dtypeName);
  Tensor tensor(*stored->dtype, stored->shape);
  switch (*stored->dtype) {
  case DType::F32: widenAll<float>(stored->data, tensor.data, [](float x) { return x; }); break;
  case DType::F64: widenAll<double>(stored->data, tensor.data, [](double x) { return x; }); break;
  case DType::F16: widenAll<uint16_t>(stored->data, tensor.data, f16ToFloat); break;
  case DType::BF16: widenAll<uint16_t>(stored->data, tensor.data, bf16ToFloat); break;
  case DType::F8E4M3FN: widenAll<uint8_t>(stored->data, tensor.data, f8E4M3FNToFloat); break;
  case DType::F8E5M2: widenAll<uint8_t>(stored->data, tensor.data, f8E5M2ToFloat); break;
  case DType::I8:
  case DType::I32:
  case DType::I64: break; // refused above
  }
  return tensor;
}

absl::StatusOr<Tensor> TensorParameters::load(const std::string &name) {
  if (auto found = tensors.find(name); found != tensors.end())
    return found->second;
  return absl::NotFoundError(concat("there is no tensor '", name, "'"));
}

} // namespace graphc::reference
