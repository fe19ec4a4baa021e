// Verifiers of seed mode's kernels.
#include "graphc/IR/Kernel.h"

using namespace mlir;
using namespace graphc::kernel;

/// Columns of (rows, width) memory; 0 for memory of another form.
static int64_t widthOf(Value rows) {
  auto type = cast<MemRefType>(rows.getType());
  return type.getRank() == 2 && !type.isDynamicDim(1) ? type.getShape()[1] : 0;
}

LogicalResult SeedMoveOp::verify() {
  if (!widthOf(getX()) || widthOf(getX()) != widthOf(getOut()))
    return emitOpError("seed_move_k1: expected rows of one width, got ") << getX().getType() << " to " << getOut().getType();
  return success();
}

LogicalResult SeedUpdateOp::verify() {
  const int64_t width = widthOf(getX());
  if (!width || widthOf(getRows()) != width || widthOf(getOut()) != width)
    return emitOpError("seed_update_k1: expected rows of one width, got ")
           << getX().getType() << ", " << getRows().getType() << " to " << getOut().getType();
  return success();
}

LogicalResult RepeatHeadsOp::verify() {
  const int64_t width = widthOf(getX()), headDim = getHeadDim(), times = getTimes();
  if (!width || headDim < 1 || width % headDim || times < 1 || widthOf(getOut()) != width * times)
    return emitOpError("repeat_heads_k1: expected heads of ") << headDim << " columns, " << times << " times, got "
                                                              << getX().getType() << " to " << getOut().getType();
  return success();
}

LogicalResult SeedAttentionOp::verify() {
  const int64_t width = widthOf(getQuery());
  if (!width || getHeadDim() < 1 || width % int64_t(getHeadDim()) || widthOf(getKeys()) != width ||
      widthOf(getValues()) != width || widthOf(getOut()) != width)
    return emitOpError("seed_attention_k1: expected rows of one width, in heads of ")
           << getHeadDim() << " columns, got " << getQuery().getType() << ", " << getKeys().getType() << ", "
           << getValues().getType() << " to " << getOut().getType();
  return success();
}
