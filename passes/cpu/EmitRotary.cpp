// Rotary embedding: x*cos + rotated(x)*sin, each product and the sum rounded to
// f32. Threads take (row, head) items; columns past the rotated part pass.
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace graphc::kernel;

namespace {

class RotaryEmitter {
public:
  RotaryEmitter(RotaryOp op, const graphc::Target &target)
      : op(op), e(op, target), headDim(op.getHeadDim()),
        half(cast<MemRefType>(op.getCos().getType()).getShape()[1]),
        heads(cast<MemRefType>(op.getX().getType()).getShape()[1] / headDim) {}

  void emit() {
    auto [first, last] = e.share(e.mul(e.dim(op.getX(), 0), heads));
    e.loop(first, last, e.index(1), [&](Value item) {
      row = e.div(item, heads);
      base = e.mul(e.rem(item, heads), headDim);
      position = e.loadIndex(op.getPositions(), row);
      if (op.getInterleaved())
        rotatePairs();
      else
        rotateHalves();
      for (int64_t column = 2 * half; column < headDim; column += e.lanes()) {
        const int64_t count = std::min(e.lanes(), headDim - column);
        store(load(column, count), column, count);
      }
    });
  }

private:
  Value load(int64_t column, int64_t count) { return e.loadWide(op.getX(), {row, e.add(base, column)}, count); }
  void store(Value interior, int64_t column, int64_t count) {
    e.epilogue(op, interior, row, e.add(base, column), count);
  }

  /// Pairs (i, i + half): y[i] = x[i]*cos - x[i + half]*sin and
  /// y[i + half] = x[i + half]*cos + x[i]*sin.
  void rotateHalves() {
    for (int64_t i = 0; i < half; i += e.lanes()) {
      const int64_t count = std::min(e.lanes(), half - i);
      Value cos = e.loadWide(op.getCos(), {position, e.index(i)}, count);
      Value sin = e.loadWide(op.getSin(), {position, e.index(i)}, count);
      Value x = load(i, count), y = load(half + i, count);
      store(e.subf(e.mulf(x, cos), e.mulf(y, sin)), i, count);
      store(e.addf(e.mulf(y, cos), e.mulf(x, sin)), half + i, count);
    }
  }

  /// Pairs (2i, 2i + 1), in place in one vector: each entry of a table serves two
  /// neighbours, whose partner is the other one; even elements subtract.
  void rotatePairs() {
    SmallVector<int64_t> twice, partner;
    SmallVector<float> signs;
    for (int64_t i = 0; i < e.lanes(); ++i) {
      twice.push_back(i / 2);
      partner.push_back(i ^ 1);
      signs.push_back(i % 2 ? 1.0f : -1.0f);
    }
    auto signType = e.f32Vector();
    Value sign = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(signType, ArrayRef<float>(signs)));
    for (int64_t column = 0; column < 2 * half; column += e.lanes()) {
      const int64_t count = std::min(e.lanes(), 2 * half - column);
      auto table = [&](Value memref) {
        Value entries = e.loadWide(memref, {position, e.index(column / 2)}, count / 2);
        return e.shuffle(entries, entries, twice);
      };
      Value x = load(column, count), rotated = e.mulf(e.shuffle(x, x, partner), sign);
      store(e.addf(e.mulf(x, table(op.getCos())), e.mulf(rotated, table(op.getSin()))), column, count);
    }
  }

  RotaryOp op;
  VectorEmitter e;
  int64_t headDim, half, heads;
  Value row, base, position; // of the item: base is the head's first column
};

} // namespace

void graphc::kernel::emitRotary(RotaryOp op, const Target &target) {
  RotaryEmitter(op, target).emit();
  op.erase();
}
