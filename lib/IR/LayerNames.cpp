// Names by structure: a value is called after what makes it.
#include "IR/LayerNames.h"

using namespace mlir;

namespace graphc::layer {

std::string valueName(Value value) {
  if (auto cast = value.getDefiningOp<CastOp>()) {
    std::string name = valueName(cast.getX());
    llvm::raw_string_ostream(name) << " as " << getElementTypeOrSelf(value.getType());
    return name;
  }
  if (auto reader = value.getDefiningOp<ParamOp>())
    return reader.getRef().str();
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto graph = dyn_cast<GraphOp>(argument.getOwner()->getParentOp());
    return graph ? cast<StringAttr>(graph.getInputNames()[argument.getArgNumber()]).str() : "";
  }
  Operation *op = value.getDefiningOp();
  auto named = dyn_cast<NamedLayer>(op);
  std::string name = named ? named.getLayerName().str() : isa<UnpackOp>(op) ? "cache" : "";
  const unsigned number = cast<OpResult>(value).getResultNumber();
  if (number == 0 || isCache(value.getType()))
    return name;
  const bool isWeights = isa<AttentionOp, CachedAttentionOp, SeedAttentionOp>(op);
  return name + (isWeights ? std::string(" weights") : "#" + std::to_string(number));
}

StringRef blockOf(StringRef layerName) {
  for (size_t at = layerName.find("layers."); at != StringRef::npos; at = layerName.find("layers.", at + 1)) {
    StringRef rest = layerName.drop_front(at + 7);
    size_t digits = rest.find_first_not_of("0123456789");
    if ((at == 0 || layerName[at - 1] == '.') && digits != 0 && digits != StringRef::npos && rest[digits] == '.')
      return layerName.take_front(at + 7 + digits);
  }
  return "";
}

} // namespace graphc::layer
