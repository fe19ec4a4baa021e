// Casts with reasons, and the types of structural ops.
#include "passes/layer/Casts.h"

#include "llvm/ADT/SetVector.h"
#include "mlir/Pass/Pass.h"

using namespace mlir;

namespace graphc::layer {

Value castTo(OpBuilder &builder, Value value, Type element, StringRef key, StringRef path, Counter &made) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  ++made;
  std::string reason;
  llvm::raw_string_ostream(reason) << key << "=" << element << " " << path;
  return CastOp::create(builder, value.getLoc(), withElement(value.getType(), element), value,
                        builder.getStrArrayAttr({reason}));
}

void castRowsToPin(CacheOp op, StringRef path, Counter &made) {
  OpBuilder builder(op);
  for (OpOperand &operand : op->getOpOperands()) {
    Type element = op.getRowElement(operand.getOperandNumber());
    // Rows of 8-bit elements are quantised by the op that stores them.
    if (!element || isa<mlir::NoneType>(element) || isScaled(element))
      continue;
    // The first operand with rows holds the keys.
    const bool keys = operand.getOperandNumber() == 0 || !op.getRowElement(operand.getOperandNumber() - 1);
    operand.set(castTo(builder, operand.get(), element, "pin", (path + (keys ? ".keys" : ".values")).str(), made));
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

ArrayAttr joinReasons(ArrayAttr first, ArrayAttr second) {
  if (!first || !second)
    return first ? first : second;
  llvm::SetVector<Attribute> reasons(first.begin(), first.end());
  reasons.insert(second.begin(), second.end());
  return ArrayAttr::get(first.getContext(), reasons.getArrayRef());
}

} // namespace graphc::layer
