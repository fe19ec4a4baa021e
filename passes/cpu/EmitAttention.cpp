// Attention over the cache in place. One query token at a time walks the tiles
// of its visible rows, so prefill and decode run the same sums in the same
// order; a block of tokens shares a tile while it is in cache. Threads take
// (sequence, token block, kv head) items; no result depends on their number.
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"
#include "passes/cpu/AttentionForm.h"
#include "passes/cpu/Emitters.h"
#include "passes/cpu/QuantizeRow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <bit>
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
  AttentionEmitter(const AttentionForm &form, const Target &target);
  void emit();

private:
  using Body = llvm::function_ref<void(Value)>;

  /// The keys of one tile that a token sees.
  struct Piece {
    Value token, slot;     ///< Row of the call; place in the token block.
    Value position, count; ///< Of the first key; keys.
    Value row;             ///< Of the first key in the cache, or among the sequence's rows.
    Value query;           ///< Position of the token.
  };

  // Items.
  void forEachItem(Value thread, Value threads, bool byBlocks, llvm::function_ref<void(Value, Value, Value)> body);
  void append(Value sequence, Value head, Value first, Value last);
  void attend(Value sequence, Value head, Value first, Value last);
  // One token and one tile.
  void scores(Value token, Value head, Value sequence, Value group, Value row, Value count);
  Value probability(Value x, Value base);
  void softmax(const Piece &piece, Value sequence, Value head, Value group);
  Value biasStart(const Piece &piece);
  Value scaled(Value s, Value group, Value biasFrom, Value j);
  Value scalesOf(Value scales, ArrayRef<Value> row, Value count, int64_t width);
  Value weight(Value x, Value base, Value scales);
  void accumulate(Value slot, Value head, Value sequence, Value group, Value row, Value count);
  void finish(Value slot, Value token, Value head);
  // The weights, if someone asks for them.
  void clearWeights(Value token, Value head);
  void weights(const Piece &piece, Value head, Value group);

  void forEachPiece(Value sequence, Value first, Value last, llvm::function_ref<void(const Piece &)> body);

  void fillBias(Value head);

  SmallVector<Value, 4> rowAt(Value memory, Value sequence, Value head, Value row, Value column);
  Value rowOf(Value position);
  Value positionOf(Value token, Value sequence);
  std::pair<Value, Value> visible(Value token, Value sequence);
  Value queryColumn(Value head, Value group, int64_t column);

  AttentionForm op;
  VectorEmitter e;
  int64_t heads, kvHeads, group, headDim, lanes, rowsAtOnce, tokensAtOnce;
  Type compute;
  bool dot;
  Value score;       // (group, kTile + padding) f32: scores, then weights of values
  Value accumulator; // (tokensAtOnce, group, headDim rounded up) f32: sum of p*v
  Value maximum;     // (tokensAtOnce, group) f32: M
  Value total;       // (tokensAtOnce, group) f32: l
  Value rescale;     // (group) f32: 2^(old M - new M)
  Value biasLine;    // (group, distances) f32: the bias of each distance from -maxDistance - kTile on
};

AttentionEmitter::AttentionEmitter(const AttentionForm &form, const Target &target) : op(form), e(form.operation, target) {
  auto keys = cast<MemRefType>(op.getKeys().getType());
  kvHeads = form.kvHeads;
  headDim = form.headDim;
  lanes = target.lanes();
  heads = op.getQuery() ? cast<MemRefType>(op.getQuery().getType()).getShape()[1] / headDim : kvHeads;
  group = heads / kvHeads;
  compute = getElementTypeOrSelf((op.getQuery() ? op.getQuery() : op.getKey()).getType());
  dot = target.bf16Dot && compute.isBF16() && keys.getElementType().isBF16();
  rowsAtOnce = 1;
  for (int64_t rows : {2, 3, 4})
    if (group % rows == 0 && rows * kKeys + kKeys < int64_t(target.vectorRegisters))
      rowsAtOnce = rows;
  tokensAtOnce = op.getPhase() == Phase::Decode
                     ? 1 : std::clamp<int64_t>(kAccumulatorBytes / (group * headDim * 4), 1, 16);
}

void AttentionEmitter::emit() {
  auto function = op.operation->getParentOfType<func::FuncOp>();
  Value thread = function.getArgument(0), threads = function.getArgument(1);
  const auto appendAll = [&] {
    forEachItem(thread, threads, /*byBlocks=*/false, [&](Value sequence, Value head, Value) {
      Value next = e.add(sequence, 1);
      append(sequence, head, e.loadIndex(op.getStarts(), sequence), e.loadIndex(op.getStarts(), next));
    });
  };
  if (!op.getQuery()) {
    appendAll();
    op.operation->erase();
    return;
  }
  const int64_t padded = llvm::alignTo(headDim, lanes);
  score = e.scratch({group, kTile + std::max(kKeys, lanes)});
  accumulator = e.scratch({tokensAtOnce, group, padded});
  maximum = e.scratch({tokensAtOnce, group});
  total = e.scratch({tokensAtOnce, group});
  rescale = e.scratch({group});
  if (op.bias)
    biasLine = e.scratch({group, 2 * (op.buckets.maxDistance + kTile) + 1 + lanes});
  if (op.getKey() && op.getPhase() == Phase::Prefill) {
    appendAll();
    omp::BarrierOp::create(e.b, e.loc);
  }
  forEachItem(thread, threads, /*byBlocks=*/true, [&](Value sequence, Value head, Value block) {
    Value end = e.loadIndex(op.getStarts(), e.add(sequence, 1));
    Value first = e.add(e.loadIndex(op.getStarts(), sequence), e.mul(block, tokensAtOnce));
    Value last = e.min(e.add(first, tokensAtOnce), end);
    if (op.getKey() && op.getPhase() == Phase::Decode)
      append(sequence, head, first, last);
    attend(sequence, head, first, last);
  });
  op.operation->erase();
}

/// Calls `body(sequence, head, block)` for this thread's share of all items,
/// dealt out in turn over the whole batch.
void AttentionEmitter::forEachItem(Value thread, Value threads, bool byBlocks,
                                   llvm::function_ref<void(Value, Value, Value)> body) {
  Value batch = e.sub(e.dim(op.getStarts(), 0), 1);
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
  return op.getLengths() ? e.add(e.loadIndex(op.getLengths(), sequence), offset) : offset;
}

/// Where column `column` of a row of a kv head stands in keys or values.
SmallVector<Value, 4> AttentionEmitter::rowAt(Value memory, Value sequence, Value head, Value row, Value column) {
  if (cast<MemRefType>(memory.getType()).getRank() == 4)
    return {sequence, head, row, column};
  return {e.add(e.loadIndex(op.getStarts(), sequence), row), e.add(e.mul(head, headDim), column)};
}

/// Writes the rows of tokens [first, last) of one kv head behind the old ones.
/// They have the cache's types already, or are quantised. Vectors have a power of two
/// elements: LLVM cannot store 8n + 1 elements of bf16 where it has vectors of them.
void AttentionEmitter::append(Value sequence, Value head, Value first, Value last) {
  e.loop(first, last, e.index(1), [&](Value token) {
    Value row = rowOf(positionOf(token, sequence));
    Value from = e.mul(head, headDim);
    for (auto [rows, cache, scales] : {std::tuple(op.getKey(), op.getKeys(), op.getKeyScales()),
                                       std::tuple(op.getValue(), op.getValues(), op.getValueScales())}) {
      if (scales) {
        quantizeRow(e, rows, token, from, cache, scales, {sequence, head, row});
        continue;
      }
      for (int64_t column = 0, width; column < headDim; column += width) {
        width = int64_t(std::bit_floor(uint64_t(std::min(lanes, headDim - column))));
        e.store(e.load(rows, {token, e.add(from, column)}, width), cache, {sequence, head, row, e.index(column)});
      }
    }
  });
}

/// Positions [lo, hi) that the token sees.
std::pair<Value, Value> AttentionEmitter::visible(Value token, Value sequence) {
  if (op.isCross)
    return {e.index(0), e.loadIndex(op.getLengths(), sequence)};
  Value position = positionOf(token, sequence), lo = e.index(0), hi = e.add(position, 1);
  if (op.getWindow()) {
    Value from = e.sub(hi, int64_t(*op.getWindow()));
    lo = arith::MaxSIOp::create(e.b, e.loc, from, e.index(0));
  }
  if (!op.getCausal())
    hi = positionOf(e.loadIndex(op.getStarts(), e.add(sequence, 1)), sequence);
  return {lo, hi};
}

/// The bias of every distance by which it can differ, for the heads of a group:
/// a tile of keys then reads its biases as one piece of the line.
void AttentionEmitter::fillBias(Value head) {
  const int64_t from = -op.buckets.maxDistance - kTile, to = op.buckets.maxDistance + kTile;
  e.loop(e.index(0), e.index(group), e.index(1), [&](Value g) {
    Value column = e.add(e.mul(head, group), g);
    for (int64_t first = from, next; first <= to; first = next) { // distances of one bucket
      const int64_t bucket = op.buckets.bucket(first);
      for (next = first + 1; next <= to && op.buckets.bucket(next) == bucket;)
        ++next;
      Value bias = e.broadcast(e.extract(e.loadWide(op.bias, {e.index(bucket), column}, 1)));
      // Overruns are overwritten by the next bucket, or lie in the padding.
      e.loop(e.index(first - from), e.index(next - from), e.index(lanes),
             [&](Value at) { e.store(bias, biasLine, {g, at}); });
    }
  });
}

void AttentionEmitter::attend(Value sequence, Value head, Value first, Value last) {
  if (op.bias)
    fillBias(head);
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
        softmax(piece, sequence, head, e.add(g, r));
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
      e.when(any, [&] { body({token, slot, begin, count, e.add(tileRow, e.sub(begin, tile)), positionOf(token, sequence)}); });
    });
  });
}

Value AttentionEmitter::queryColumn(Value head, Value g, int64_t column) {
  return e.add(e.mul(e.add(e.mul(head, group), g), headDim), column);
}

/// score[g + r][j] = q(g + r) . k(row + j), j < count, four keys at a time; the
/// last four repeat the last key, never a row behind it. Times the key's scale, if
/// it has one (Q3).
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
        SmallVector<Value, 4> at = rowAt(op.getKeys(), sequence, head, keyRows[u], e.index(column));
        Value k = dot ? e.loadRaw(op.getKeys(), at, width, chunk) : e.loadWideAs(op.getKeys(), at, width, compute);
        for (int64_t r = 0; r < rowsAtOnce; ++r) {
          Value &sum = sums[r * kKeys + u];
          sum = dot ? e.dotBf16(sum, q[r], k) : e.fma(q[r], k, sum);
        }
      }
    }
    Value scales;
    if (op.getKeyScales())
      scales = scalesOf(op.getKeyScales(), {sequence, head, e.add(row, j)}, e.sub(count, j), kKeys);
    for (int64_t r = 0; r < rowsAtOnce; ++r) {
      Value four = e.horizontalSums(ArrayRef(sums).slice(r * kKeys, kKeys));
      e.store(scales ? e.mulf(four, scales) : four, score, {e.add(g, r), j});
    }
  });
}

/// Scales of `width` rows from `row` = (sequence, head, row) on; 0 from the count on.
Value AttentionEmitter::scalesOf(Value scales, ArrayRef<Value> row, Value count, int64_t width) {
  auto type = VectorType::get({width}, e.b.getF32Type());
  Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(e.b, e.loc, type, scales, row, e.maskBelow(count, width), zero);
}

/// rd_C(2^(x - floor x)) * 2^(floor x - M), M = base: numerics A3.
Value AttentionEmitter::probability(Value x, Value base) {
  Value floor = e.floor(x);
  Value significand = e.roundThrough(e.exp2Fraction(e.subf(x, floor)), compute);
  return e.mulf(significand, e.powerOfTwo(e.subf(floor, base)));
}

/// With scale = c * 2^k, 1 <= c < 2: rd_C(2^(x - floor x) * c) * 2^(floor x - M + k),
/// numerics Q3. A scale of 0 has k = -127, which gives 0.
Value AttentionEmitter::weight(Value x, Value base, Value scales) {
  auto integers = VectorType::get({lanes}, e.b.getI32Type());
  auto whole = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(integers, value));
  };
  Value bits = vector::BitCastOp::create(e.b, e.loc, integers, scales);
  Value biased = arith::ShRUIOp::create(e.b, e.loc, bits, whole(23));
  Value k = arith::SIToFPOp::create(e.b, e.loc, e.f32Vector(), arith::SubIOp::create(e.b, e.loc, biased, whole(127)));
  Value fraction = arith::AndIOp::create(e.b, e.loc, bits, whole(0x7fffff));
  Value c = vector::BitCastOp::create(e.b, e.loc, e.f32Vector(), arith::OrIOp::create(e.b, e.loc, fraction, whole(0x3f800000)));
  Value isNan = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UNO, scales, scales), floor = e.floor(x);
  Value product = e.mulf(e.exp2Fraction(e.subf(x, floor)), e.select(isNan, scales, c));
  return e.mulf(e.roundThrough(product, compute), e.powerOfTwo(e.addf(e.subf(floor, base), k)));
}

/// Place on the line of the bias of the piece's first key; null without a bias.
Value AttentionEmitter::biasStart(const Piece &piece) {
  if (!op.bias)
    return {};
  Value reach = e.index(op.buckets.maxDistance), furthest = e.index(-op.buckets.maxDistance - kTile);
  Value distance = arith::MaxSIOp::create(e.b, e.loc, e.sub(piece.position, piece.query), furthest);
  return e.sub(arith::MinSIOp::create(e.b, e.loc, distance, reach), furthest);
}

/// Scores s of keys j, j + 1, .. with scale and bias, in units of log2: numerics A2, A3.
Value AttentionEmitter::scaled(Value s, Value g, Value biasFrom, Value j) {
  const double scale = op.getScale().convertToDouble();
  if (!op.bias)
    return e.mulf(s, e.splat(float(scale * std::numbers::log2e)));
  Value t = e.addf(e.mulf(s, e.splat(float(scale))), e.load(biasLine, {g, e.add(biasFrom, j)}, lanes));
  return e.mulf(t, e.splat(float(std::numbers::log2e)));
}

/// Scores to probabilities relative to 2^M, M an integer no less than any
/// floor(x): numerics A3, A4. Leaves the factor of the old sums in `rescale`. With
/// scales of the values what it leaves in `score` are weights, while l sums
/// probabilities (Q3).
void AttentionEmitter::softmax(const Piece &piece, Value sequence, Value head, Value g) {
  Value slot = piece.slot, count = piece.count, biasFrom = biasStart(piece);
  Value lowest = e.splat(-std::numeric_limits<float>::infinity());
  Value greatest = e.loop(e.index(0), count, e.index(lanes), ValueRange{lowest}, [&](Value j, ValueRange carried) -> SmallVector<Value> {
    Value x = scaled(e.load(score, {g, j}, lanes), g, biasFrom, j);
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
    Value x = e.load(score, {g, j}, lanes), left = e.sub(count, j), mask = e.maskBelow(left, lanes);
    Value p = e.select(mask, probability(x, base), e.splat(0)), used = p;
    if (op.getValueScales()) {
      Value scales = scalesOf(op.getValueScales(), {sequence, head, e.add(piece.row, j)}, left, lanes);
      used = e.select(mask, weight(x, base, scales), e.splat(0));
    }
    e.store(used, score, {g, j});
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
        v.push_back(e.loadWideAs(op.getValues(), rowAt(op.getValues(), sequence, head, e.add(row, j), e.index(column)),
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
  Value biasFrom = biasStart(piece);
  Value base = e.broadcast(e.loadScalar(maximum, {piece.slot, g}));
  Value l = e.broadcast(e.loadScalar(total, {piece.slot, g}));
  Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
  e.loop(e.index(0), piece.count, e.index(lanes), [&](Value j) {
    Value x = scaled(e.load(score, {g, j}, lanes), g, biasFrom, j);
    Value w = e.select(none, e.splat(0), e.divf(probability(x, base), l));
    Value column = e.add(piece.position, j);
    e.storeNarrowBelow(w, op.getWeights(), {piece.token, e.add(e.mul(head, group), g), column}, e.sub(piece.count, j));
  });
}

} // namespace

void graphc::kernel::emitCachedAttention(CachedAttentionOp op, const Target &target) {
  AttentionEmitter(AttentionForm(op), target).emit();
}

void graphc::kernel::emitAttention(AttentionOp op, const Target &target) { AttentionEmitter(AttentionForm(op), target).emit(); }

void graphc::kernel::emitCacheStore(CacheStoreOp op, const Target &target) { AttentionEmitter(AttentionForm(op), target).emit(); }
