// Attention over the cache in place. One query token at a time walks the tiles
// of its visible rows, so prefill and decode run the same sums in the same
// order; a block of tokens shares a tile while it is in cache. Threads take
// (sequence, token block, kv head) items; no result depends on their number.
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numbers>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Keys of one tile: rows of cache that stay in L1 while a token block uses them.
constexpr int64_t kTile = 64;
/// Keys scored at once: their sums are reduced together.
constexpr int64_t kKeys = 4;
/// Bytes of the accumulators of a token block.
constexpr int64_t kAccumulatorBytes = 64 * 1024;

class AttentionEmitter {
public:
  AttentionEmitter(CachedAttentionOp op, const Target &target);
  void emit();

private:
  using Body = llvm::function_ref<void(Value)>;

  /// The keys of one tile that a token sees.
  struct Piece {
    Value token, slot;     ///< Row of the call; place in the token block.
    Value position, count; ///< Of the first key; keys.
    Value row;             ///< Of the first key in the cache.
  };

  // Items.
  void forEachItem(Value thread, Value threads, bool byBlocks, llvm::function_ref<void(Value, Value, Value)> body);
  void append(Value sequence, Value head, Value first, Value last);
  void attend(Value sequence, Value head, Value first, Value last);
  // One token and one tile.
  void scores(Value token, Value head, Value sequence, Value group, Value row, Value count);
  Value probability(Value x, Value base);
  void softmax(Value slot, Value group, Value count);
  void accumulate(Value slot, Value head, Value sequence, Value group, Value row, Value count);
  void finish(Value slot, Value token, Value head);
  // The weights, if someone asks for them.
  void clearWeights(Value token, Value head);
  void weights(const Piece &piece, Value head, Value group);

  void forEachPiece(Value sequence, Value first, Value last, llvm::function_ref<void(const Piece &)> body);

  Value rowOf(Value position);
  Value positionOf(Value token, Value sequence);
  std::pair<Value, Value> visible(Value token, Value sequence);
  Value queryColumn(Value head, Value group, int64_t column);

  CachedAttentionOp op;
  VectorEmitter e;
  int64_t heads, kvHeads, group, headDim, lanes, rowsAtOnce, tokensAtOnce;
  Type compute;
  bool dot;
  Value score;       // (group, kTile + padding) f32: scores, then probabilities
  Value accumulator; // (tokensAtOnce, group, headDim rounded up) f32: sum of p*v
  Value maximum;     // (tokensAtOnce, group) f32: M
  Value total;       // (tokensAtOnce, group) f32: l
  Value rescale;     // (group) f32: 2^(old M - new M)
};

AttentionEmitter::AttentionEmitter(CachedAttentionOp op, const Target &target) : op(op), e(op, target) {
  auto keys = cast<MemRefType>(op.getKeys().getType());
  kvHeads = keys.getShape()[1];
  headDim = keys.getShape()[3];
  heads = cast<MemRefType>(op.getQuery().getType()).getShape()[1] / headDim;
  group = heads / kvHeads;
  lanes = target.lanes();
  compute = getElementTypeOrSelf(op.getQuery().getType());
  dot = target.bf16Dot && compute.isBF16() && keys.getElementType().isBF16();
  rowsAtOnce = 1;
  for (int64_t rows : {2, 3, 4})
    if (group % rows == 0 && rows * kKeys + kKeys < int64_t(target.vectorRegisters))
      rowsAtOnce = rows;
  tokensAtOnce = op.getPhase() == Phase::Decode
                     ? 1 : std::clamp<int64_t>(kAccumulatorBytes / (group * headDim * 4), 1, 16);
}

void AttentionEmitter::emit() {
  auto function = op->getParentOfType<func::FuncOp>();
  Value thread = function.getArgument(0), threads = function.getArgument(1);
  const int64_t padded = llvm::alignTo(headDim, lanes);
  score = e.scratch({group, kTile + std::max(kKeys, lanes)});
  accumulator = e.scratch({tokensAtOnce, group, padded});
  maximum = e.scratch({tokensAtOnce, group});
  total = e.scratch({tokensAtOnce, group});
  rescale = e.scratch({group});
  if (op.getPhase() == Phase::Prefill) {
    forEachItem(thread, threads, /*byBlocks=*/false, [&](Value sequence, Value head, Value) {
      Value next = e.add(sequence, 1);
      append(sequence, head, e.loadIndex(op.getStarts(), sequence), e.loadIndex(op.getStarts(), next));
    });
    omp::BarrierOp::create(e.b, e.loc);
  }
  forEachItem(thread, threads, /*byBlocks=*/true, [&](Value sequence, Value head, Value block) {
    Value end = e.loadIndex(op.getStarts(), e.add(sequence, 1));
    Value first = e.add(e.loadIndex(op.getStarts(), sequence), e.mul(block, tokensAtOnce));
    Value last = e.min(e.add(first, tokensAtOnce), end);
    if (op.getPhase() == Phase::Decode)
      append(sequence, head, first, last);
    attend(sequence, head, first, last);
  });
  op.erase();
}

/// Calls `body(sequence, head, block)` for this thread's share of all items,
/// dealt out in turn over the whole batch.
void AttentionEmitter::forEachItem(Value thread, Value threads, bool byBlocks,
                                   llvm::function_ref<void(Value, Value, Value)> body) {
  Value batch = e.dim(op.getLengths(), 0);
  auto loop = scf::ForOp::create(e.b, e.loc, e.index(0), batch, e.index(1), ValueRange{thread});
  OpBuilder::InsertionGuard guard(e.b);
  e.b.setInsertionPointToStart(loop.getBody());
  Value sequence = loop.getInductionVar(), first = loop.getRegionIterArg(0); // first item of this sequence that is ours
  Value tokens = e.sub(e.loadIndex(op.getStarts(), e.add(sequence, 1)), e.loadIndex(op.getStarts(), sequence));
  Value blocks = byBlocks ? e.ceilDiv(tokens, tokensAtOnce) : e.min(tokens, e.index(1));
  Value items = e.mul(blocks, kvHeads);
  e.loop(first, items, threads, [&](Value item) {
    body(sequence, e.rem(item, kvHeads), e.div(item, kvHeads));
  });
  // Where the turn stands when the next sequence begins: (first - items) mod threads.
  Value behind = arith::RemUIOp::create(e.b, e.loc, items, threads);
  Value next = arith::RemUIOp::create(e.b, e.loc, e.sub(e.add(first, threads), behind), threads);
  scf::YieldOp::create(e.b, e.loc, next);
}

Value AttentionEmitter::rowOf(Value position) {
  if (!op.getRing())
    return position;
  return arith::RemUIOp::create(e.b, e.loc, position, e.dim(op.getKeys(), 2));
}

Value AttentionEmitter::positionOf(Value token, Value sequence) {
  Value offset = e.sub(token, e.loadIndex(op.getStarts(), sequence));
  return e.add(e.loadIndex(op.getLengths(), sequence), offset);
}

/// Writes the rows of tokens [first, last) of one kv head behind the old ones.
/// They have the cache's types already.
void AttentionEmitter::append(Value sequence, Value head, Value first, Value last) {
  e.loop(first, last, e.index(1), [&](Value token) {
    Value row = rowOf(positionOf(token, sequence));
    for (auto [rows, cache] : {std::pair(op.getKey(), op.getKeys()), std::pair(op.getValue(), op.getValues())})
      for (int64_t column = 0; column < headDim; column += lanes) {
        const int64_t width = std::min(lanes, headDim - column);
        Value from = e.add(e.mul(head, headDim), column);
        Value vector = e.loadRaw(rows, {token, from}, width);
        e.storeRaw(vector, cache, {sequence, head, row, e.index(column)}, width);
      }
  });
}

/// Positions [lo, hi) that the token sees.
std::pair<Value, Value> AttentionEmitter::visible(Value token, Value sequence) {
  Value position = positionOf(token, sequence), lo = e.index(0), hi = e.add(position, 1);
  if (op.getWindow()) {
    Value from = e.sub(hi, int64_t(*op.getWindow()));
    lo = arith::MaxSIOp::create(e.b, e.loc, from, e.index(0));
  }
  if (!op.getCausal())
    hi = positionOf(e.loadIndex(op.getStarts(), e.add(sequence, 1)), sequence);
  return {lo, hi};
}

void AttentionEmitter::attend(Value sequence, Value head, Value first, Value last) {
  Value zero = e.splat(0), infinity = e.constant(-std::numeric_limits<float>::infinity());
  e.loop(first, last, e.index(1), [&](Value token) {
    Value slot = e.sub(token, first);
    e.loop(e.index(0), e.index(group), e.index(1), [&](Value g) {
      for (int64_t column = 0; column < headDim; column += lanes)
        e.store(zero, accumulator, {slot, g, e.index(column)});
      e.storeScalar(infinity, maximum, {slot, g});
      e.storeScalar(e.constant(0), total, {slot, g});
    });
  });
  forEachPiece(sequence, first, last, [&](const Piece &piece) {
    e.loop(e.index(0), e.index(group), e.index(rowsAtOnce), [&](Value g) {
      scores(piece.token, head, sequence, g, piece.row, piece.count);
      for (int64_t r = 0; r < rowsAtOnce; ++r)
        softmax(piece.slot, e.add(g, r), piece.count);
      accumulate(piece.slot, head, sequence, g, piece.row, piece.count);
    });
  });
  e.loop(first, last, e.index(1), [&](Value token) { finish(e.sub(token, first), token, head); });
  if (!op.getWeights())
    return;
  // M and l are known only now, and a 16-bit destination could not keep the
  // scores until then: they are computed once more.
  e.loop(first, last, e.index(1), [&](Value token) { clearWeights(token, head); });
  forEachPiece(sequence, first, last, [&](const Piece &piece) {
    e.loop(e.index(0), e.index(group), e.index(rowsAtOnce), [&](Value g) {
      scores(piece.token, head, sequence, g, piece.row, piece.count);
      for (int64_t r = 0; r < rowsAtOnce; ++r)
        weights(piece, head, e.add(g, r));
    });
  });
}

/// Calls `body` for each tile of the rows that tokens [first, last) see and, tile
/// by tile, each token that sees part of it.
void AttentionEmitter::forEachPiece(Value sequence, Value first, Value last,
                                    llvm::function_ref<void(const Piece &)> body) {
  Value from = e.mul(e.div(visible(first, sequence).first, kTile), kTile);
  Value to = visible(e.sub(last, 1), sequence).second;
  e.loop(from, to, e.index(kTile), [&](Value tile) {
    Value tileRow = rowOf(tile);
    e.loop(first, last, e.index(1), [&](Value token) {
      auto [lo, hi] = visible(token, sequence);
      Value begin = arith::MaxSIOp::create(e.b, e.loc, tile, lo);
      Value end = e.min(e.add(tile, kTile), hi);
      Value count = e.sub(end, begin), slot = e.sub(token, first);
      Value any = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, count, e.index(0));
      e.when(any, [&] { body({token, slot, begin, count, e.add(tileRow, e.sub(begin, tile))}); });
    });
  });
}

Value AttentionEmitter::queryColumn(Value head, Value g, int64_t column) {
  return e.add(e.mul(e.add(e.mul(head, group), g), headDim), column);
}

/// score[g + r][j] = q(g + r) . k(row + j), j < count, four keys at a time; the
/// last four repeat the last key, never a row behind it.
void AttentionEmitter::scores(Value token, Value head, Value sequence, Value g, Value row, Value count) {
  const int64_t chunk = dot ? 2 * lanes : lanes;
  Value last = e.sub(count, 1);
  e.loop(e.index(0), count, e.index(kKeys), [&](Value j) {
    SmallVector<Value> keyRows;
    for (int64_t u = 0; u < kKeys; ++u)
      keyRows.push_back(e.add(row, e.min(e.add(j, u), last)));
    SmallVector<Value> sums(rowsAtOnce * kKeys, e.splat(0));
    for (int64_t column = 0; column < headDim; column += chunk) {
      const int64_t width = std::min(chunk, headDim - column);
      SmallVector<Value> q;
      for (int64_t r = 0; r < rowsAtOnce; ++r) {
        SmallVector<Value, 2> at{token, queryColumn(head, e.add(g, r), column)};
        q.push_back(dot ? e.loadRaw(op.getQuery(), at, width, chunk) : e.loadWide(op.getQuery(), at, width));
      }
      for (int64_t u = 0; u < kKeys; ++u) {
        SmallVector<Value, 4> at{sequence, head, keyRows[u], e.index(column)};
        Value k = dot ? e.loadRaw(op.getKeys(), at, width, chunk) : e.loadWideAs(op.getKeys(), at, width, compute);
        for (int64_t r = 0; r < rowsAtOnce; ++r) {
          Value &sum = sums[r * kKeys + u];
          sum = dot ? e.dotBf16(sum, q[r], k) : e.fma(q[r], k, sum);
        }
      }
    }
    for (int64_t r = 0; r < rowsAtOnce; ++r)
      e.store(e.horizontalSums(ArrayRef(sums).slice(r * kKeys, kKeys)), score, {e.add(g, r), j});
  });
}

/// rd_C(2^(x - floor x)) * 2^(floor x - M), M = base: numerics A3.
Value AttentionEmitter::probability(Value x, Value base) {
  Value floor = e.floor(x);
  Value significand = e.roundThrough(e.exp2Fraction(e.subf(x, floor)), compute);
  return e.mulf(significand, e.powerOfTwo(e.subf(floor, base)));
}

/// Scores to probabilities relative to 2^M, M an integer no less than any
/// floor(x): numerics A3, A4. Leaves the factor of the old sums in `rescale`.
void AttentionEmitter::softmax(Value slot, Value g, Value count) {
  const float factor = float(op.getScale().convertToDouble() * std::numbers::log2e);
  Value splat = e.splat(factor), lowest = e.splat(-std::numeric_limits<float>::infinity());
  Value greatest = e.loop(e.index(0), count, e.index(lanes), ValueRange{lowest}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
    Value x = e.mulf(e.load(score, {g, j}, lanes), splat);
    e.store(x, score, {g, j});
    Value floor = e.select(e.maskBelow(e.sub(count, j), lanes), e.floor(x), lowest);
    return {e.maxf(carried[0], floor)};
  })[0];
  Value old = e.loadScalar(maximum, {slot, g});
  Value now = e.maxScalar(old, e.reduceMax(greatest));
  e.storeScalar(now, maximum, {slot, g});
  Value factorOld = e.extract(e.powerOfTwo(e.broadcast(e.subScalar(old, now))));
  e.storeScalar(factorOld, rescale, {g});
  Value base = e.broadcast(now);
  Value sum = e.loop(e.index(0), count, e.index(lanes), ValueRange{e.splat(0)}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
    Value p = probability(e.load(score, {g, j}, lanes), base);
    p = e.select(e.maskBelow(e.sub(count, j), lanes), p, e.splat(0));
    e.store(p, score, {g, j});
    return {e.addf(carried[0], p)};
  })[0];
  Value old_l = e.mulScalar(e.loadScalar(total, {slot, g}), factorOld);
  e.storeScalar(e.addScalar(old_l, e.reduceAdd(sum)), total, {slot, g});
}

/// accumulator = accumulator * rescale + sum_j p[j] * v(row + j).
void AttentionEmitter::accumulate(Value slot, Value head, Value sequence, Value g, Value row, Value count) {
  const int64_t chunks = llvm::divideCeil(headDim, lanes);
  const int64_t atOnce = std::max<int64_t>(1, (e.target.vectorRegisters / 2) / rowsAtOnce);
  for (int64_t chunk = 0; chunk < chunks; chunk += atOnce) {
    const int64_t used = std::min(atOnce, chunks - chunk);
    SmallVector<Value> sums;
    for (int64_t r = 0; r < rowsAtOnce; ++r) {
      Value factor = e.broadcast(e.loadScalar(rescale, {e.add(g, r)}));
      for (int64_t c = 0; c < used; ++c)
        sums.push_back(e.mulf(e.load(accumulator, {slot, e.add(g, r), e.index((chunk + c) * lanes)}, lanes), factor));
    }
    sums = e.loop(e.index(0), count, e.index(1), sums, [&](Value j, ValueRange carried) {
      SmallVector<Value> next(carried), v, p;
      for (int64_t c = 0; c < used; ++c) {
        const int64_t column = (chunk + c) * lanes;
        v.push_back(e.loadWideAs(op.getValues(), {sequence, head, e.add(row, j), e.index(column)},
                                 std::min(lanes, headDim - column), compute));
      }
      for (int64_t r = 0; r < rowsAtOnce; ++r)
        p.push_back(e.broadcast(e.loadScalar(score, {e.add(g, r), j})));
      for (int64_t r = 0; r < rowsAtOnce; ++r)
        for (int64_t c = 0; c < used; ++c)
          next[r * used + c] = e.fma(p[r], v[c], next[r * used + c]);
      return next;
    });
    for (int64_t r = 0; r < rowsAtOnce; ++r)
      for (int64_t c = 0; c < used; ++c)
        e.store(sums[r * used + c], accumulator, {slot, e.add(g, r), e.index((chunk + c) * lanes)});
  }
}

/// out = accumulator / l, rounded once; zeros where no key was visible.
void AttentionEmitter::finish(Value slot, Value token, Value head) {
  e.loop(e.index(0), e.index(group), e.index(1), [&](Value g) {
    Value l = e.broadcast(e.loadScalar(total, {slot, g}));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    for (int64_t column = 0; column < headDim; column += lanes) {
      Value sum = e.load(accumulator, {slot, g, e.index(column)}, lanes);
      Value y = e.select(none, e.splat(0), arith::DivFOp::create(e.b, e.loc, sum, l));
      e.storeNarrow(y, op.getOut(), {token, queryColumn(head, g, column)}, std::min(lanes, headDim - column));
    }
  });
}

/// weights[token, head, :] = 0: keys that the token does not see.
void AttentionEmitter::clearWeights(Value token, Value head) {
  Value capacity = e.dim(op.getWeights(), 2);
  e.loop(e.index(0), e.index(group), e.index(1), [&](Value g) {
    e.loop(e.index(0), capacity, e.index(lanes), [&](Value j) {
      e.storeNarrowBelow(e.splat(0), op.getWeights(), {token, e.add(e.mul(head, group), g), j}, e.sub(capacity, j));
    });
  });
}

/// weights[token, head, position + j] = p[j] / l from the scores, with the final M
/// and l: numerics A3, A4.
void AttentionEmitter::weights(const Piece &piece, Value head, Value g) {
  Value factor = e.splat(float(op.getScale().convertToDouble() * std::numbers::log2e));
  Value base = e.broadcast(e.loadScalar(maximum, {piece.slot, g}));
  Value l = e.broadcast(e.loadScalar(total, {piece.slot, g}));
  Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
  e.loop(e.index(0), piece.count, e.index(lanes), [&](Value j) {
    Value x = e.mulf(e.load(score, {g, j}, lanes), factor);
    Value w = e.select(none, e.splat(0), e.divf(probability(x, base), l));
    Value column = e.add(piece.position, j);
    e.storeNarrowBelow(w, op.getWeights(), {piece.token, e.add(e.mul(head, group), g), column}, e.sub(piece.count, j));
  });
}

} // namespace

void graphc::kernel::emitCachedAttention(CachedAttentionOp op, const Target &target) {
  AttentionEmitter(op, target).emit();
}
