// Casts with reasons, and the types of structural ops.
#include "passes/layer/Casts.h"

#include "IR/CastReason.h"

#include "llvm/ADT/SetVector.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace graphc::layer {

Value castTo(OpBuilder &builder, Value value, Type element, CastRequest request, Counter &made) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  ++made;
  CastReason reason{(request.key + "=").str(), request.layer.str(), ""};
  llvm::raw_string_ostream(reason.setting) << element;
  reason.addPass(request.pass);
  return CastOp::create(builder, value.getLoc(), withElement(value.getType(), element), value,
                        builder.getStrArrayAttr({reason.text()}));
}

void castRowsToPin(CacheOp op, StringRef attention, StringRef pass, Counter &made) {
  OpBuilder builder(op);
  for (OpOperand &operand : op->getOpOperands()) {
    Type element = op.getRowElement(operand.getOperandNumber());
    // Rows of 8-bit elements are quantised by the op that stores them.
    if (!element || isa<mlir::NoneType>(element) || isScaled(element))
      continue;
    // The first operand with rows holds the keys.
    const bool keys = operand.getOperandNumber() == 0 || !op.getRowElement(operand.getOperandNumber() - 1);
    const std::string side = (attention + (keys ? ".keys" : ".values")).str();
    operand.set(castTo(builder, operand.get(), element, {"pin", side, pass}, made));
  }
}

void inferStructuralTypes(Operation &op) {
  if (auto container = dyn_cast<ContainerOp>(op))
    container.getY().setType(ContainerType::get(op.getContext(), llvm::to_vector(container.getXs().getTypes())));
  else if (auto optional = dyn_cast<OptionalOp>(op))
    optional.getY().setType(optional.getX().getType());
  else if (auto cache = dyn_cast<CacheOp>(op))
    cache.inferCacheTypes();
}

ArrayAttr joinReasons(ArrayAttr first, ArrayAttr second, StringRef pass) {
  llvm::SetVector<Attribute> reasons;
  for (ArrayAttr list : {first, second}) {
    if (!list)
      continue;
    for (Attribute attribute : list)
      if (auto reason = parseCastReason(cast<StringAttr>(attribute).getValue())) {
        reason->addPass(pass);
        reasons.insert(StringAttr::get(attribute.getContext(), reason->text()));
      } else {
        reasons.insert(attribute);
      }
  }
  return reasons.empty() ? ArrayAttr() : ArrayAttr::get(reasons.front().getContext(), reasons.getArrayRef());
}

} // namespace graphc::layer
