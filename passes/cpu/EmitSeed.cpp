// Kernels of seed mode: plain passes over whole leaves, vectorised and shared out
// among threads. They are a yardstick: each reads and writes what the seed's
// node does, once.
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>
#include <numbers>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Keys scored between two looks at the greatest score, and at once.
constexpr int64_t kTile = 64, kKeys = 4;

int64_t widthOf(Value rows) { return cast<MemRefType>(rows.getType()).getShape()[1]; }

class SeedEmitter {
public:
  SeedEmitter(Operation *op, const Target &target) : e(op, target) {}

  void emit(SeedMoveOp op);
  void emit(SeedUpdateOp op);
  void emit(RepeatHeadsOp op);
  void emit(SeedMergeMaskOp op);
  void emit(SeedKeyPositionsOp op);
  void emit(SeedAdvanceOp op);

private:
  Value batch(Value starts) { return e.sub(e.dim(starts, 0), 1); }
  Value start(Value starts, Value sequence) { return e.loadIndex(starts, sequence); }
  Value count(Value starts, Value sequence) { return e.sub(start(starts, e.add(sequence, 1)), start(starts, sequence)); }
  Value compare(arith::CmpIPredicate predicate, Value x, Value y) { return arith::CmpIOp::create(e.b, e.loc, predicate, x, y); }
  Value number(int32_t value) { return arith::ConstantOp::create(e.b, e.loc, e.b.getI32IntegerAttr(value)); }
  Value loadInt(Value memref, Value at) { return memref::LoadOp::create(e.b, e.loc, memref, at); }
  void storeInt(Value value, Value memref, Value at) { memref::StoreOp::create(e.b, e.loc, value, memref, at); }
  void copyRow(Value from, Value fromRow, Value to, Value toRow, Value lo, Value hi);

  VectorEmitter e;
};

/// to[toRow, lo..hi) = from[fromRow, lo..hi), rounded or widened.
void SeedEmitter::copyRow(Value from, Value fromRow, Value to, Value toRow, Value lo, Value hi) {
  e.columns(lo, hi, widthOf(to), [&](Value column, int64_t count) {
    e.storeNarrow(e.loadWide(from, {fromRow, column}, count), to, {toRow, column}, count);
  });
}

void SeedEmitter::emit(SeedMoveOp op) {
  e.pieces(e.dim(op.getX(), 0), widthOf(op.getX()), [&](Value row, Value lo, Value hi) {
    copyRow(op.getX(), row, op.getOut(), row, lo, hi);
  });
}

void SeedEmitter::emit(SeedUpdateOp op) {
  Value rows = e.dim(op.getX(), 0), length = e.div(rows, batch(op.getStarts()));
  Value offset = e.loadIndex(op.getOffset(), e.index(0));
  e.pieces(rows, widthOf(op.getX()), [&](Value row, Value lo, Value hi) {
    Value sequence = e.div(row, length), at = e.sub(e.sub(row, e.mul(sequence, length)), offset);
    // Unsigned: rows before the offset are far behind the new ones.
    Value isNew = compare(arith::CmpIPredicate::ult, at, count(op.getStarts(), sequence));
    auto choice = scf::IfOp::create(e.b, e.loc, isNew, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(e.b);
    e.b.setInsertionPointToStart(choice.thenBlock());
    copyRow(op.getRows(), e.add(start(op.getStarts(), sequence), at), op.getOut(), row, lo, hi);
    e.b.setInsertionPointToStart(choice.elseBlock());
    copyRow(op.getX(), row, op.getOut(), row, lo, hi);
  });
}

void SeedEmitter::emit(RepeatHeadsOp op) {
  const int64_t headDim = op.getHeadDim(), times = op.getTimes(), heads = widthOf(op.getOut()) / headDim;
  auto [first, last] = e.share(e.mul(e.dim(op.getX(), 0), heads));
  e.loop(first, last, e.index(1), [&](Value item) {
    Value row = e.div(item, heads), head = e.rem(item, heads), source = e.div(head, times);
    for (int64_t column = 0; column < headDim; column += e.lanes()) {
      const int64_t width = std::min(e.lanes(), headDim - column);
      Value x = e.loadWide(op.getX(), {row, e.add(e.mul(source, headDim), column)}, width);
      e.storeNarrow(x, op.getOut(), {row, e.add(e.mul(head, headDim), column)}, width);
    }
  });
}

void SeedEmitter::emit(SeedMergeMaskOp op) {
  Value rows = e.dim(op.getMask(), 0), length = e.div(rows, batch(op.getStarts()));
  Value offset = e.loadIndex(op.getOffset(), e.index(0));
  auto [first, last] = e.share(rows);
  e.loop(first, last, e.index(1), [&](Value row) {
    Value sequence = e.div(row, length), at = e.sub(e.sub(row, e.mul(sequence, length)), offset);
    Value isNew = compare(arith::CmpIPredicate::ult, at, count(op.getStarts(), sequence));
    storeInt(loadInt(op.getMask(), row), op.getOut(), row);
    e.when(isNew, [&] {
      Value position = loadInt(op.getPositions(), e.add(start(op.getStarts(), sequence), at));
      Value visible = compare(arith::CmpIPredicate::sge, position, number(0));
      storeInt(arith::ExtUIOp::create(e.b, e.loc, e.b.getI32Type(), visible), op.getOut(), row);
    });
  });
}

void SeedEmitter::emit(SeedKeyPositionsOp op) {
  Value sequences = batch(op.getStarts()), length = e.div(e.dim(op.getMask(), 0), sequences);
  auto [first, last] = e.share(sequences);
  e.loop(first, last, e.index(1), [&](Value sequence) {
    e.loop(e.index(0), length, e.index(1), ValueRange{number(0)}, [&](Value row, ValueRange next) -> SmallVector<Value> {
      Value at = e.add(e.mul(sequence, length), row), mask = loadInt(op.getMask(), at);
      Value visible = compare(arith::CmpIPredicate::ne, mask, number(0));
      storeInt(arith::SelectOp::create(e.b, e.loc, visible, next[0], number(-1)), op.getOut(), at);
      Value one = arith::ExtUIOp::create(e.b, e.loc, e.b.getI32Type(), visible);
      return {arith::AddIOp::create(e.b, e.loc, next[0], one)};
    });
  });
}

void SeedEmitter::emit(SeedAdvanceOp op) {
  auto [first, last] = e.share(e.index(1));
  e.loop(first, last, e.index(1), [&](Value zero) {
    Value tokens = arith::SubIOp::create(e.b, e.loc, loadInt(op.getStarts(), e.index(1)), loadInt(op.getStarts(), e.index(0)));
    storeInt(arith::AddIOp::create(e.b, e.loc, loadInt(op.getOffset(), zero), tokens), op.getOut(), zero);
  });
}

//===-- Attention ---------------------------------------------------------------===//

/// One (token, head) at a time over all rows of its sequence, by tiles: scores,
/// their integer maximum, probabilities, sum of values (docs/Numerics.md, A3 and A4).
class SeedAttentionEmitter {
public:
  SeedAttentionEmitter(SeedAttentionOp op, const Target &target)
      : op(op), e(op, target), headDim(op.getHeadDim()), heads(widthOf(op.getQuery()) / headDim), lanes(e.lanes()),
        compute(getElementTypeOrSelf(op.getQuery().getType())) {}

  void emit() {
    score = e.scratch({kTile + std::max(kKeys, lanes)});
    accumulator = e.scratch({int64_t(llvm::alignTo(headDim, lanes))});
    maximum = e.scratch({1});
    total = e.scratch({1});
    Value sequences = e.sub(e.dim(op.getStarts(), 0), 1), length = e.div(e.dim(op.getKeyPositions(), 0), sequences);
    Value tokens = e.dim(op.getQuery(), 0), perSequence = e.div(tokens, sequences);
    auto [first, last] = e.share(e.mul(tokens, heads));
    e.loop(first, last, e.index(1), [&](Value item) {
      token = e.div(item, heads);
      column = e.mul(e.rem(item, heads), headDim);
      position = e.loadIndex(op.getPositions(), token);
      for (int64_t c = 0; c < headDim; c += lanes)
        e.store(e.splat(0), accumulator, {e.index(c)});
      e.storeScalar(lowest(), maximum, {e.index(0)});
      e.storeScalar(e.constant(0), total, {e.index(0)});
      Value base = e.mul(e.div(token, perSequence), length);
      e.loop(e.index(0), length, e.index(kTile), [&](Value tile) {
        Value count = e.min(e.sub(length, tile), e.index(kTile));
        visit(e.add(base, tile), count);
      });
      finish();
    });
  }

private:
  Value lowest() { return e.constant(-std::numeric_limits<float>::infinity()); }

  void visit(Value row, Value count) {
    scores(row, count);
    Value greatest = mask(row, count);
    Value any = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, greatest, lowest());
    e.when(any, [&] {
      Value old = e.loadScalar(maximum, {e.index(0)}), now = e.maxScalar(old, greatest);
      e.storeScalar(now, maximum, {e.index(0)});
      Value factor = e.powerOfTwo(e.broadcast(e.subScalar(old, now)));
      probabilities(count, now, factor);
      accumulate(row, count, factor);
    });
  }

  /// score[j] = q . k(row + j); the last four repeat the last key.
  void scores(Value row, Value count) {
    Value last = e.sub(count, 1);
    e.loop(e.index(0), count, e.index(kKeys), [&](Value j) {
      SmallVector<Value> sums(kKeys, e.splat(0));
      for (int64_t c = 0; c < headDim; c += lanes) {
        const int64_t width = std::min(lanes, headDim - c);
        Value q = e.loadWide(op.getQuery(), {token, e.add(column, c)}, width);
        for (int64_t u = 0; u < kKeys; ++u) {
          Value k = e.loadWideAs(op.getKeys(), {e.add(row, e.min(e.add(j, u), last)), e.add(column, c)}, width, compute);
          sums[u] = e.fma(q, k, sums[u]);
        }
      }
      e.store(e.horizontalSums(sums), score, {j});
    });
  }

  /// score[j] = x of a visible row, -inf of another; returns the greatest floor.
  Value mask(Value row, Value count) {
    const float factor = float(op.getScale().convertToDouble() * std::numbers::log2e);
    auto integers = VectorType::get({lanes}, e.b.getI32Type());
    auto splat = [&](Value index) -> Value {
      Value narrow = arith::IndexCastOp::create(e.b, e.loc, e.b.getI32Type(), index);
      return vector::BroadcastOp::create(e.b, e.loc, integers, narrow);
    };
    auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
      return arith::CmpIOp::create(e.b, e.loc, predicate, x, y);
    };
    Value hidden = e.broadcast(lowest());
    Value greatest = e.loop(e.index(0), count, e.index(lanes), ValueRange{hidden}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
      Value inside = e.maskBelow(e.sub(count, j), lanes);
      Value none = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(integers, int32_t(-1)));
      Value at = vector::MaskedLoadOp::create(e.b, e.loc, integers, op.getKeyPositions(), ValueRange{e.add(row, j)}, inside, none);
      Value zero = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(integers, int32_t(0)));
      Value visible = compare(arith::CmpIPredicate::sge, at, zero);
      auto also = [&](Value condition) { visible = arith::AndIOp::create(e.b, e.loc, visible, condition); };
      if (op.getCausal())
        also(compare(arith::CmpIPredicate::sle, at, splat(position)));
      if (op.getWindow())
        also(compare(arith::CmpIPredicate::sgt, at, splat(e.sub(position, int64_t(*op.getWindow())))));
      Value x = e.select(visible, e.mulf(e.load(score, {j}, lanes), e.splat(factor)), hidden);
      e.store(x, score, {j});
      return {e.maxf(carried[0], e.select(visible, e.floor(x), hidden))};
    })[0];
    return e.reduceMax(greatest);
  }

  void probabilities(Value count, Value now, Value factor) {
    Value base = e.broadcast(now), hidden = e.broadcast(lowest());
    Value sum = e.loop(e.index(0), count, e.index(lanes), ValueRange{e.splat(0)}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
      Value x = e.load(score, {j}, lanes);
      Value visible = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNE, x, hidden);
      Value floor = e.floor(e.select(visible, x, base));
      Value significand = e.roundThrough(e.exp2Fraction(e.subf(e.select(visible, x, base), floor)), compute);
      Value p = e.select(visible, e.mulf(significand, e.powerOfTwo(e.subf(floor, base))), e.splat(0));
      e.store(p, score, {j});
      return {e.addf(carried[0], p)};
    })[0];
    Value old = e.mulScalar(e.loadScalar(total, {e.index(0)}), e.extract(factor));
    e.storeScalar(e.addScalar(old, e.reduceAdd(sum)), total, {e.index(0)});
  }

  /// accumulator = accumulator * factor + sum_j p[j] * v(row + j).
  void accumulate(Value row, Value count, Value factor) {
    SmallVector<Value> sums;
    for (int64_t c = 0; c < headDim; c += lanes)
      sums.push_back(e.mulf(e.load(accumulator, {e.index(c)}, lanes), factor));
    sums = e.loop(e.index(0), count, e.index(1), sums, [&](Value j, ValueRange carried) {
      SmallVector<Value> next(carried);
      Value p = e.broadcast(e.loadScalar(score, {j}));
      for (int64_t c = 0; c < headDim; c += lanes) {
        Value v = e.loadWideAs(op.getValues(), {e.add(row, j), e.add(column, c)}, std::min(lanes, headDim - c), compute);
        next[c / lanes] = e.fma(p, v, next[c / lanes]);
      }
      return next;
    });
    for (int64_t c = 0; c < headDim; c += lanes)
      e.store(sums[c / lanes], accumulator, {e.index(c)});
  }

  void finish() {
    Value l = e.broadcast(e.loadScalar(total, {e.index(0)}));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    for (int64_t c = 0; c < headDim; c += lanes) {
      Value y = e.select(none, e.splat(0), e.divf(e.load(accumulator, {e.index(c)}, lanes), l));
      e.storeNarrow(y, op.getOut(), {token, e.add(column, c)}, std::min(lanes, headDim - c));
    }
  }

  SeedAttentionOp op;
  VectorEmitter e;
  int64_t headDim, heads, lanes;
  Type compute;
  Value score, accumulator, maximum, total; // (kTile + padding), (headDim rounded up), (1), (1): f32
  Value token, column, position;            // of the item; column is the head's first
};

} // namespace

void graphc::kernel::emitSeed(SeedKernel op, const Target &target) {
  llvm::TypeSwitch<Operation *>(op.getOperation())
      .Case([&](SeedAttentionOp attention) { SeedAttentionEmitter(attention, target).emit(); })
      .Case<SeedMoveOp, SeedUpdateOp, RepeatHeadsOp, SeedMergeMaskOp, SeedKeyPositionsOp, SeedAdvanceOp>(
          [&](auto kernel) { SeedEmitter(kernel, target).emit(kernel); });
  op->erase();
}
