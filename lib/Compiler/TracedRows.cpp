// The one place that knows how heads lie in packed rows: side by side.
#include "Compiler/TracedRows.h"

#include "graphc/IR/Layer.h"

#include <algorithm>
#include <cmath>

namespace graphc {

std::string traceName(mlir::OpResult result) {
  mlir::Operation *op = result.getOwner();
  if (auto cast = mlir::dyn_cast<layer::CastOp>(op)) {
    auto source = mlir::dyn_cast<mlir::OpResult>(cast.getX());
    std::string name = source ? traceName(source) : "";
    llvm::raw_string_ostream(name) << " as " << mlir::getElementTypeOrSelf(cast.getY().getType());
    return name;
  }
  auto named = mlir::dyn_cast<layer::NamedLayer>(op);
  std::string name = named ? named.getLayerName().str() : mlir::isa<layer::UnpackOp>(op) ? "cache" : "";
  if (result.getResultNumber() > 0)
    name += mlir::isa<layer::AttentionOp, layer::CachedAttentionOp>(op) ? " weights" : "#" + std::to_string(result.getResultNumber());
  return name;
}

TracedRows::TracedRows(const CallView &call, int64_t binding) {
  const Binding &of = call.program.bindings[size_t(binding)];
  type = of.dtype;
  memory = call.pointers[size_t(binding)];
  isLeaf = !of.dims.empty() && of.dims[0] == Dim::of("cache_rows");
  if (of.dims.size() == 3)
    capacity = dimValue(call.program, of.dims[2], call.dims);
}

/// Where element `i` of the tensor stands in the rows.
int64_t TracedRows::placeOf(std::span<const int64_t> shape, int64_t i) const {
  if (shape.size() != 4 || isLeaf)
    return i;
  const int64_t d = i % shape[3], t = i / shape[3] % shape[2], h = i / shape[3] / shape[2];
  return (t * shape[1] + h) * (capacity ? capacity : shape[3]) + d;
}

double TracedRows::load(int64_t i) const { return loadElement(type, static_cast<char *>(memory) + i * byteSize(type)); }

std::vector<double> TracedRows::read(std::span<const int64_t> shape) const {
  size_t count = 1;
  for (int64_t dim : shape)
    count *= size_t(dim);
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = load(placeOf(shape, int64_t(i)));
  return values;
}

void TracedRows::write(std::span<const int64_t> shape, std::span<const double> values) const {
  for (size_t i = 0; i < values.size(); ++i)
    storeElement(type, static_cast<char *>(memory) + placeOf(shape, int64_t(i)) * byteSize(type), float(values[i]));
}

double TracedRows::beyond(std::span<const int64_t> shape) const {
  double greatest = 0;
  for (int64_t row = 0; capacity && row < shape[1] * shape[2]; ++row)
    for (int64_t j = shape[3]; j < capacity; ++j)
      greatest = std::fmax(greatest, std::fabs(load(row * capacity + j)));
  return greatest;
}

} // namespace graphc
