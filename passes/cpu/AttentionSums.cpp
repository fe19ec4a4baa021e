// The sums of one token and one piece of its keys (numerics A2 to A4, Q3), and how
// the sums of pieces and segments are joined. Products are f32 multiply-adds of
// widened rows: decode waits for memory whichever instruction multiplies, and
// vdpbf16ps has half the products of a multiply-add on some processors.
#include "graphc/IR/Layer.h"
#include "passes/cpu/AttentionEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numbers>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

//===-- Rows as vectors -----------------------------------------------------------===//

/// Whether rows become bf16 before they are f32: tables give that for less.
bool AttentionEmitter::widensByTables(Type element) const { return isa<Float8E4M3FNType>(element) && e.target.byteTables; }

/// Rows are read two vectors at a time. They come in pairs if they are bf16 or become
/// it exactly, or are rounded to it two vectors at once.
SmallVector<AttentionEmitter::Chunk> AttentionEmitter::chunksOf(Value memory) const {
  Type element = getElementTypeOrSelf(memory.getType());
  const bool exact = holds(*layer::dtypeOf(compute), *layer::dtypeOf(element));
  const bool paired = exact ? element.isBF16() || widensByTables(element) : compute.isBF16() && e.target.bf16Dot;
  SmallVector<Chunk> chunks;
  for (int64_t column = 0; column < headDim; column += 2 * lanes) {
    const int64_t width = std::min(2 * lanes, headDim - column);
    chunks.push_back({column, width, paired || width > lanes ? 2 : 1, paired});
  }
  return chunks;
}

/// Two vectors of 2 * lanes() elements: its halves, or its even and odd ones.
SmallVector<Value, 2> AttentionEmitter::halves(Value x, bool paired) {
  if (getElementTypeOrSelf(x.getType()).isBF16()) { // f32 has its bits above 16 others
    auto integers = VectorType::get({lanes}, e.b.getI32Type());
    auto constant = [&](int32_t value) -> Value {
      return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(integers, value));
    };
    Value bits = vector::BitCastOp::create(e.b, e.loc, integers, x);
    Value even = arith::ShLIOp::create(e.b, e.loc, bits, constant(16));
    Value odd = arith::AndIOp::create(e.b, e.loc, bits, constant(int32_t(0xffff0000)));
    return {vector::BitCastOp::create(e.b, e.loc, e.f32Vector(), even), vector::BitCastOp::create(e.b, e.loc, e.f32Vector(), odd)};
  }
  SmallVector<int64_t> first, second;
  for (int64_t i = 0; i < lanes; ++i) {
    first.push_back(paired ? 2 * i : i);
    second.push_back(paired ? 2 * i + 1 : lanes + i);
  }
  return {e.shuffle(x, x, first), e.shuffle(x, x, second)};
}

/// The columns of `chunk` of the row at `at`, whose last index is the row's first
/// column: rd_C, widened.
SmallVector<Value, 2> AttentionEmitter::load(Value memory, ValueRange at, const Chunk &chunk) {
  SmallVector<Value, 4> from(at);
  from.back() = e.add(from.back(), chunk.column);
  Type element = getElementTypeOrSelf(memory.getType());
  if (widensByTables(element)) { // 64 at once; the chunk that has the other half reads the same
    const int64_t part = chunk.vectors * lanes, whole = headDim % (2 * part) ? part : 2 * part, first = chunk.column % whole;
    from.back() = e.add(at.back(), chunk.column - first);
    Value bytes = e.loadRaw(memory, from, std::min(whole, headDim - chunk.column + first), whole);
    Value x = arith::ExtFOp::create(e.b, e.loc, VectorType::get({whole}, e.b.getBF16Type()), bytes);
    return halves(vector::ExtractStridedSliceOp::create(e.b, e.loc, x, {first}, {part}, {1}), /*paired=*/true);
  }
  Value x = e.loadRaw(memory, from, chunk.width, chunk.vectors * lanes);
  const bool exact = holds(*layer::dtypeOf(compute), *layer::dtypeOf(element));
  if (chunk.paired && element.isBF16())
    return halves(x, /*paired=*/true);
  x = e.widen(x);
  if (chunk.paired && !exact)
    return halves(arith::TruncFOp::create(e.b, e.loc, VectorType::get({2 * lanes}, compute), x), /*paired=*/true);
  SmallVector<Value, 2> vectors = chunk.vectors == 1 ? SmallVector<Value, 2>{x} : halves(x, chunk.paired);
  for (Value &vector : vectors)
    if (!exact)
      vector = e.roundThrough(vector, compute);
  return vectors;
}

//===-- The state of a token --------------------------------------------------------===//

/// Heads share the keys and values that are loaded; their sums stay in registers.
SmallVector<AttentionEmitter::Part> AttentionEmitter::parts() const {
  const int64_t most = (int64_t(e.target.vectorRegisters) - kKeys - 1) / kKeys;
  const int64_t count = llvm::divideCeil(group, most);
  SmallVector<Part> parts;
  for (int64_t i = 0; i < count; ++i)
    parts.push_back({i * group / count, (i + 1) * group / count - i * group / count});
  return parts;
}

AttentionEmitter::Sums AttentionEmitter::scratchSums(int64_t rows) {
  return {e.scratch({rows, group * rowWidth}), e.scratch({rows, group}), e.scratch({rows, group}), e.index(0), e.index(0)};
}

void AttentionEmitter::clear(const Sums &sums) {
  for (int64_t g = 0; g < group; ++g) {
    for (int64_t v = 0; v < rowWidth / lanes; ++v)
      e.store(e.splat(0), sums.accumulator, {sums.row, column(sums, g, v)});
    e.storeScalar(e.constant(-std::numeric_limits<float>::infinity()), sums.maximum, {sums.row, at(sums, g)});
    e.storeScalar(e.constant(0), sums.total, {sums.row, at(sums, g)});
  }
}

/// Widens the token's query and lays out its biases, for `add` and `weights`.
void AttentionEmitter::prepare(Value token, Value sequence, Value head) {
  for (int64_t g = 0; g < group; ++g) {
    Value first = e.mul(e.add(e.mul(head, group), g), headDim);
    int64_t next = 0;
    for (const Chunk &chunk : chunksOf(op.getKeys())) {
      Value x = e.loadRaw(op.getQuery(), {token, e.add(first, chunk.column)}, chunk.width, chunk.vectors * lanes);
      const bool split = chunk.paired && getElementTypeOrSelf(x.getType()).isBF16();
      x = split ? x : e.widen(x);
      for (Value vector : chunk.vectors == 1 ? SmallVector<Value, 2>{x} : halves(x, chunk.paired))
        e.store(vector, query, {e.index(g), e.index(next++ * lanes)});
    }
  }
  if (op.bias)
    fillBias(head);
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

//===-- One piece -------------------------------------------------------------------===//

/// sums += the piece. `values` are called while its scores are formed, `keys` while its
/// sums of values are, both in the softmax: a processor has so many lines under way
/// that fetches wait for each other unless they come evenly.
void AttentionEmitter::add(const Piece &piece, Value sequence, Value head, const Sums &sums, Fetch values, Fetch keys) {
  for (Part part : parts()) {
    const bool first = part.first == 0;
    scores(piece, sequence, head, part, first ? values : nullptr);
    softmax(piece, sequence, head, part, sums, first ? values : nullptr, first ? keys : nullptr);
    accumulate(piece, sequence, head, part, sums, first ? keys : nullptr);
  }
}

/// score[g][j] = q(g) . k(row + j), j < count, four keys at a time; the last four
/// repeat the last key, never a row behind it. Times the key's scale, if it has one
/// (Q3).
void AttentionEmitter::scores(const Piece &piece, Value sequence, Value head, Part part, Fetch fetch) {
  const SmallVector<Chunk> chunks = chunksOf(op.getKeys());
  auto four = [&](Value j, ArrayRef<Value> keys) {
    if (fetch)
      fetch(e.mul(e.div(j, kKeys), kKeys - 1), kKeys - 1);
    SmallVector<Value> sums(part.count * kKeys, e.splat(0));
    int64_t next = 0;
    for (const Chunk &chunk : chunks) {
      SmallVector<SmallVector<Value, 2>> k;
      for (Value key : keys)
        k.push_back(load(op.getKeys(), rowAt(op.getKeys(), sequence, head, e.add(piece.row, key), e.index(0)), chunk));
      for (int64_t v = 0; v < chunk.vectors; ++v, ++next)
        for (int64_t r = 0; r < part.count; ++r) {
          Value q = e.load(query, {e.index(part.first + r), e.index(next * lanes)}, lanes);
          for (int64_t u = 0; u < kKeys; ++u) {
            Value &sum = sums[r * kKeys + u];
            sum = e.fma(q, k[u][v], sum);
          }
        }
    }
    Value scales;
    if (op.getKeyScales())
      scales = scalesOf(op.getKeyScales(), {sequence, head, e.add(piece.row, j)}, e.sub(piece.count, j), kKeys);
    for (int64_t r = 0; r < part.count; ++r) {
      Value dots = e.horizontalSums(ArrayRef(sums).slice(r * kKeys, kKeys));
      e.store(scales ? e.mulf(dots, scales) : dots, score, {e.index(part.first + r), j});
    }
  };
  Value whole = e.mul(e.div(piece.count, kKeys), kKeys), last = e.sub(piece.count, 1);
  auto keysFrom = [&](Value j, bool clamped) {
    SmallVector<Value> keys;
    for (int64_t u = 0; u < kKeys; ++u)
      keys.push_back(clamped ? e.min(e.add(j, u), last) : e.add(j, u));
    return keys;
  };
  e.loop(e.index(0), whole, e.index(kKeys), [&](Value j) { four(j, keysFrom(j, /*clamped=*/false)); });
  Value rest = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, whole, piece.count);
  e.when(rest, [&] { four(whole, keysFrom(whole, /*clamped=*/true)); });
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
  Value significand = e.roundSignificand(e.exp2Fraction(e.subf(x, floor)), compute);
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
Value AttentionEmitter::scaled(Value s, int64_t g, Value biasFrom, Value j) {
  const double scale = op.getScale().convertToDouble();
  if (!op.bias)
    return e.mulf(s, e.splat(float(scale * std::numbers::log2e)));
  Value t = e.addf(e.mulf(s, e.splat(float(scale))), e.load(biasLine, {e.index(g), e.add(biasFrom, j)}, lanes));
  return e.mulf(t, e.splat(float(std::numbers::log2e)));
}

/// Scores to probabilities relative to 2^M, M an integer no less than any
/// floor(x): numerics A3, A4. Leaves the factor of the old sums in `rescale`. With
/// scales of the values what it leaves in `score` are weights, while l sums
/// probabilities (Q3). Heads go together, so that none waits for its own maximum.
void AttentionEmitter::softmax(const Piece &piece, Value sequence, Value head, Part part, const Sums &sums, Fetch values,
                               Fetch keys) {
  Value count = piece.count, biasFrom = biasStart(piece);
  Value lowest = e.splat(-std::numeric_limits<float>::infinity());
  SmallVector<Value> start(part.count, lowest);
  SmallVector<Value> greatest = e.loop(e.index(0), count, e.index(lanes), start, [&](Value j, ValueRange carried) {
    SmallVector<Value> next;
    Value mask = e.maskBelow(e.sub(count, j), lanes);
    for (int64_t r = 0; r < part.count; ++r) {
      const int64_t g = part.first + r;
      Value x = scaled(e.load(score, {e.index(g), j}, lanes), g, biasFrom, j);
      e.store(x, score, {e.index(g), j});
      next.push_back(e.maxf(carried[r], e.select(mask, e.floor(x), lowest)));
    }
    return next;
  });
  SmallVector<Value> factors, bases;
  for (int64_t r = 0; r < part.count; ++r) {
    const int64_t g = part.first + r;
    Value old = e.loadScalar(sums.maximum, {sums.row, at(sums, g)});
    Value now = e.maxScalar(old, e.reduceMax(greatest[r]));
    e.storeScalar(now, sums.maximum, {sums.row, at(sums, g)});
    factors.push_back(e.extract(e.powerOfTwo(e.broadcast(e.subScalar(old, now)))));
    e.storeScalar(factors.back(), rescale, {e.index(g)});
    bases.push_back(e.broadcast(now));
  }
  start.assign(part.count, e.splat(0));
  SmallVector<Value> added = e.loop(e.index(0), count, e.index(lanes), start, [&](Value j, ValueRange carried) {
    SmallVector<Value> next;
    constexpr int64_t kPart = kTile / kFetchedBetween;
    if (values)
      values(e.add(e.div(j, kPart), kTile - kFetchedBetween), lanes / kPart);
    if (keys)
      keys(e.div(j, kPart), lanes / kPart);
    Value left = e.sub(count, j), mask = e.maskBelow(left, lanes), scales;
    if (op.getValueScales())
      scales = scalesOf(op.getValueScales(), {sequence, head, e.add(piece.row, j)}, left, lanes);
    for (int64_t r = 0; r < part.count; ++r) {
      const int64_t g = part.first + r;
      Value x = e.load(score, {e.index(g), j}, lanes);
      Value p = e.select(mask, probability(x, bases[r]), e.splat(0));
      e.store(scales ? e.select(mask, weight(x, bases[r], scales), e.splat(0)) : p, score, {e.index(g), j});
      next.push_back(e.addf(carried[r], p));
    }
    return next;
  });
  for (int64_t r = 0; r < part.count; ++r) {
    SmallVector<Value> place{sums.row, at(sums, part.first + r)};
    Value old = e.mulScalar(e.loadScalar(sums.total, place), factors[r]);
    e.storeScalar(e.addScalar(old, e.reduceAdd(added[r])), sums.total, place);
  }
}

/// accumulator = accumulator * rescale + sum_j p[j] * v(row + j).
void AttentionEmitter::accumulate(const Piece &piece, Value sequence, Value head, Part part, const Sums &sums, Fetch fetch) {
  const SmallVector<Chunk> all = chunksOf(op.getValues());
  const int64_t most = std::max<int64_t>(2, int64_t(e.target.vectorRegisters) * 3 / 4 / part.count);
  int64_t done = 0; // vectors
  for (ArrayRef<Chunk> left = all; !left.empty();) {
    int64_t vectors = 0;
    const ArrayRef<Chunk> chunks = left.take_while([&](const Chunk &chunk) { return (vectors += chunk.vectors) <= most; });
    left = left.drop_front(chunks.size());
    int64_t used = 0;
    for (const Chunk &chunk : chunks)
      used += chunk.vectors;
    SmallVector<Value> start;
    for (int64_t r = 0; r < part.count; ++r) {
      Value factor = e.broadcast(e.loadScalar(rescale, {e.index(part.first + r)}));
      for (int64_t v = 0; v < used; ++v)
        start.push_back(e.mulf(e.load(sums.accumulator, {sums.row, column(sums, part.first + r, done + v)}, lanes), factor));
    }
    auto addKey = [&](Value j, SmallVector<Value> &next) {
      SmallVector<Value> v;
      for (const Chunk &chunk : chunks)
        llvm::append_range(v, load(op.getValues(), rowAt(op.getValues(), sequence, head, e.add(piece.row, j), e.index(0)), chunk));
      for (int64_t r = 0; r < part.count; ++r) {
        Value p = e.broadcast(e.loadScalar(score, {e.index(part.first + r), j}));
        for (int64_t c = 0; c < used; ++c)
          next[r * used + c] = e.fma(p, v[c], next[r * used + c]);
      }
    };
    Value whole = e.mul(e.div(piece.count, kKeys), kKeys);
    SmallVector<Value> added = e.loop(e.index(0), whole, e.index(kKeys), start, [&](Value j, ValueRange carried) {
      SmallVector<Value> next(carried);
      if (fetch && done == 0)
        fetch(e.add(e.mul(e.div(j, kKeys), kKeys - 1), kFetchedBetween), kKeys - 1);
      for (int64_t u = 0; u < kKeys; ++u)
        addKey(e.add(j, u), next);
      return next;
    });
    added = e.loop(whole, piece.count, e.index(1), added, [&](Value j, ValueRange carried) {
      SmallVector<Value> next(carried);
      addKey(j, next);
      return next;
    });
    for (int64_t r = 0; r < part.count; ++r)
      for (int64_t v = 0; v < used; ++v)
        e.store(added[r * used + v], sums.accumulator, {sums.row, column(sums, part.first + r, done + v)});
    done += used;
  }
}

//===-- Joining and finishing -----------------------------------------------------------===//

/// into += from. Powers of two rescale exactly.
void AttentionEmitter::merge(const Sums &from, const Sums &into) {
  for (int64_t g = 0; g < group; ++g) {
    SmallVector<Value> source{from.row, at(from, g)}, place{into.row, at(into, g)};
    Value added = e.loadScalar(from.maximum, source), old = e.loadScalar(into.maximum, place);
    Value now = e.maxScalar(old, added);
    Value factor = e.powerOfTwo(e.broadcast(e.subScalar(old, now)));
    Value addedFactor = e.powerOfTwo(e.broadcast(e.subScalar(added, now)));
    e.storeScalar(now, into.maximum, place);
    Value total = e.mulScalar(e.loadScalar(into.total, place), e.extract(factor));
    Value addedTotal = e.mulScalar(e.loadScalar(from.total, source), e.extract(addedFactor));
    e.storeScalar(e.addScalar(total, addedTotal), into.total, place);
    for (int64_t v = 0; v < rowWidth / lanes; ++v) {
      Value sum = e.mulf(e.load(into.accumulator, {into.row, column(into, g, v)}, lanes), factor);
      Value more = e.mulf(e.load(from.accumulator, {from.row, column(from, g, v)}, lanes), addedFactor);
      e.store(e.addf(sum, more), into.accumulator, {into.row, column(into, g, v)});
    }
  }
}

/// out = accumulator / l, rounded once; zeros where no key was visible.
void AttentionEmitter::finish(const Sums &sums, Value token, Value head) {
  for (int64_t g = 0; g < group; ++g) {
    Value first = e.mul(e.add(e.mul(head, group), g), headDim);
    Value l = e.broadcast(e.loadScalar(sums.total, {sums.row, at(sums, g)}));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    int64_t next = 0;
    for (const Chunk &chunk : chunksOf(op.getValues())) {
      SmallVector<Value, 2> y;
      for (int64_t v = 0; v < chunk.vectors; ++v, ++next) {
        Value sum = e.load(sums.accumulator, {sums.row, column(sums, g, next)}, lanes);
        y.push_back(e.select(none, e.splat(0), e.divf(sum, l)));
      }
      if (chunk.paired) { // back to the order of columns
        SmallVector<int64_t> low, high;
        for (int64_t i = 0; i < lanes; ++i) {
          low.push_back(i / 2 + i % 2 * lanes);
          high.push_back(lanes / 2 + i / 2 + i % 2 * lanes);
        }
        y = {e.shuffle(y[0], y[1], low), e.shuffle(y[0], y[1], high)};
      }
      for (int64_t v = 0; v < chunk.vectors && v * lanes < chunk.width; ++v)
        e.storeNarrow(y[v], op.getOut(), {token, e.add(first, chunk.column + v * lanes)}, std::min(lanes, chunk.width - v * lanes));
    }
  }
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

/// weights[token, head, position + j] = p[j] / l, from scores that are formed again,
/// with the final M and l: numerics A3, A4.
void AttentionEmitter::weights(const Piece &piece, Value sequence, Value head, const Sums &sums) {
  Value biasFrom = biasStart(piece);
  for (Part part : parts())
    scores(piece, sequence, head, part, nullptr);
  for (int64_t g = 0; g < group; ++g) {
    Value base = e.broadcast(e.loadScalar(sums.maximum, {sums.row, at(sums, g)}));
    Value l = e.broadcast(e.loadScalar(sums.total, {sums.row, at(sums, g)}));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    e.loop(e.index(0), piece.count, e.index(lanes), [&](Value j) {
      Value x = scaled(e.load(score, {e.index(g), j}, lanes), g, biasFrom, j);
      Value w = e.select(none, e.splat(0), e.divf(probability(x, base), l));
      Value column = e.add(piece.position, j);
      e.storeNarrowBelow(w, op.getWeights(), {piece.token, e.add(e.mul(head, group), g), column}, e.sub(piece.count, j));
    });
  }
}
