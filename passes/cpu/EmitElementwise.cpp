// Elementwise kernels: the epilogue over every element of x.
#include "passes/cpu/Emitters.h"

using namespace mlir;

void graphc::kernel::emitElementwise(ElementwiseOp op, const Target &target) {
  VectorEmitter e(op, target);
  const int64_t width = cast<MemRefType>(op.getX().getType()).getShape()[1];
  e.pieces(e.dim(op.getX(), 0), width, [&](Value row, Value lo, Value hi) {
    e.columns(lo, hi, width, [&](Value column, int64_t count) {
      e.epilogue(op, e.loadWide(op.getX(), {row, column}, count), row, column, count);
    });
  });
  op.erase();
}
