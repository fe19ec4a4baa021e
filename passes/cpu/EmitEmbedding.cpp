// Embedding: rows of the table by id, widened, through the epilogue.
#include "passes/cpu/Emitters.h"

using namespace mlir;

void graphc::kernel::emitEmbedding(EmbeddingOp op, const Target &target) {
  VectorEmitter e(op, target);
  const int64_t width = cast<MemRefType>(op.getKernel().getType()).getShape()[1];
  e.pieces(e.dim(op.getIds(), 0), width, [&](Value row, Value lo, Value hi) {
    Value id = e.add(e.loadIndex(op.getIds(), row), int64_t(op.getOffset()));
    e.columns(lo, hi, width, [&](Value column, int64_t count) {
      e.epilogue(op, e.loadWide(op.getKernel(), {id, column}, count), row, column, count);
    });
  });
  op.erase();
}
