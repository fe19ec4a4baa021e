// Gathering of rows: elements are copied as they are stored.
#include "passes/cpu/Emitters.h"

using namespace mlir;

void graphc::kernel::emitGatherRows(GatherRowsOp op, const Target &target) {
  VectorEmitter e(op, target);
  const int64_t width = cast<MemRefType>(op.getX().getType()).getShape()[1];
  e.pieces(e.dim(op.getRowIds(), 0), width, [&](Value row, Value lo, Value hi) {
    Value source = e.loadIndex(op.getRowIds(), row);
    e.columns(lo, hi, width, [&](Value column, int64_t count) {
      e.storeRaw(e.loadRaw(op.getX(), {source, column}, count, e.lanes()), op.getOut(), {row, column}, count);
    });
  });
  op.erase();
}
