// Attention of many tokens by tiles of bf16. A block of tokens walks the tiles of
// the rows that any of them sees: 64 keys are packed to pairs of columns, 64 values
// to pairs of rows, once for all strips of 16 (token, head of the group) pairs. The
// rows' softmax stands between two products by tiles; p is a value of bf16 exactly.
//
// Longest chains of roundings: of a score D / 32 sums of tiles, + 16 products of
// pairs and their sum; of an output the same with the keys walked for D; of l a
// sum of four a tile, and 4 over lanes. A key that no token may see is never read; one that
// another token sees has p = 0 and finite values, since others are added apart.
#include "graphc/IR/Layer.h"
#include "passes/cpu/AttentionEmitter.h"
#include "passes/cpu/TileEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numbers>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Most rows of a block: its queries, sums and a tile of keys stay in L1.
constexpr int64_t kBlockRows = 64;
/// Bytes of a block's queries and sums.
constexpr int64_t kBlockBytes = 96 * 1024;
/// Tiles of sums in registers at once.
constexpr int64_t kSums = 4;

/// Rows of a block: 16 at least, and all heads of one token.
int64_t blockRows(int64_t group, int64_t headDim) {
  const int64_t most = std::clamp<int64_t>(kBlockBytes / (6 * headDim) / kTileRows * kTileRows, kTileRows, kBlockRows);
  return std::max(most, int64_t(llvm::alignTo(group, kTileRows)));
}

class AttentionByTiles : AttentionEmitter {
public:
  AttentionByTiles(const AttentionForm &form, const Target &target)
      : AttentionEmitter(form, target), tiles(e), rows(blockRows(group, headDim)), steps(headDim / kTileDepth) {}
  void emit();

private:
  /// A tile of keys: rows [low, high] of it are seen by some token of the block.
  struct Keys {
    Value position, row; ///< Of the first; its row in the cache, or among the sequence's.
    Value low, high;
    Value sequence, head;
  };

  void attend(Value sequence, Value head, Value first, Value last);
  void prepareRows(Value head, Value first, Value count);
  Value load32(Value memory, const Keys &keys, Value offset, Value column);
  Value seen(const Keys &keys, Value offset);
  void packKeys(const Keys &keys);
  Value packValues(const Keys &keys);
  void clearNonFinite();
  void scores(Value strip);
  std::pair<Value, Value> seenBy(Value token, const Keys &keys);
  void softmax(Value strip, Value row, Value token, const Keys &keys);
  void accumulate(Value strip);
  void addNonFinite(Value strip, Value row, Value token, const Keys &keys);
  void finish(Value head, Value first, Value count);
  /// Calls `body(r, token)` for the rows of a strip.
  void forEachRow(Value strip, Value first, Value count, llvm::function_ref<void(Value, Value)> body);

  Value magnitude(Value x);

  TileEmitter tiles;
  int64_t rows, steps;
  Value queries;       // (rows, headDim) bf16
  Value accumulator;   // (rows, headDim) f32: sum of p*v
  Value maximum;       // (rows) f32: M
  Value total;         // (rows, lanes) f32: l, a part in each lane
  Value packedKeys;    // (kTile / 16 * steps * 16, 32) bf16: pairs of columns, by keys
  Value packedValues;  // (headDim / 16 * kTile / 2, 32) bf16: pairs of keys, by columns
  Value score;         // (16, kTile) f32
  Value probabilities; // (16, kTile) bf16
};

void AttentionByTiles::emit() {
  Type bf16 = e.b.getBF16Type();
  queries = e.scratch({rows, headDim}, bf16);
  accumulator = e.scratch({rows, headDim});
  maximum = e.scratch({rows});
  total = e.scratch({rows, lanes});
  packedKeys = e.scratch({kTile * steps, kTileDepth}, bf16);
  packedValues = e.scratch({kTile * steps, kTileDepth}, bf16);
  score = e.scratch({kTileRows, kTile});
  probabilities = e.scratch({kTileRows, kTile}, bf16);
  if (op.getKey()) {
    appendAll();
    omp::BarrierOp::create(e.b, e.loc);
  }
  forEachBlock(rows / group, [&](Value sequence, Value head, Value first, Value last) { attend(sequence, head, first, last); });
  op.operation->erase();
}

void AttentionByTiles::attend(Value sequence, Value head, Value first, Value last) {
  Value count = e.mul(e.sub(last, first), group);
  prepareRows(head, first, count);
  Value from = visible(first, sequence).first, to = visible(e.sub(last, 1), sequence).second;
  e.loop(e.mul(e.div(from, kTile), kTile), to, e.index(kTile), [&](Value tile) {
    Value low = arith::MaxSIOp::create(e.b, e.loc, e.sub(from, tile), e.index(0));
    Value high = e.sub(e.min(e.sub(to, tile), e.index(kTile)), 1);
    const Keys keys{tile, rowOf(tile), low, high, sequence, head};
    packKeys(keys);
    Value greatest = packValues(keys);
    Value infinite = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(cast<VectorType>(greatest.getType()), int16_t(0x7f80)));
    Value isNonFinite = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::uge, greatest, infinite);
    Value anyNonFinite = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::OR, isNonFinite);
    e.when(anyNonFinite, [&] { clearNonFinite(); });
    e.loop(e.index(0), count, e.index(kTileRows), [&](Value strip) {
      scores(strip);
      forEachRow(strip, first, count, [&](Value r, Value token) { softmax(strip, r, token, keys); });
      accumulate(strip);
      e.when(anyNonFinite, [&] {
        forEachRow(strip, first, count, [&](Value r, Value token) { addNonFinite(strip, r, token, keys); });
      });
    });
  });
  finish(head, first, count);
}

void AttentionByTiles::forEachRow(Value strip, Value first, Value count, llvm::function_ref<void(Value, Value)> body) {
  Value end = e.min(e.sub(count, strip), e.index(kTileRows));
  e.loop(e.index(0), end, e.index(1), [&](Value r) { body(r, e.add(first, e.div(e.add(strip, r), group))); });
}

/// Rows behind the last one stay as they are: nothing of theirs reaches another row.
void AttentionByTiles::prepareRows(Value head, Value first, Value count) {
  e.loop(e.index(0), count, e.index(1), [&](Value row) {
    Value token = e.add(first, e.div(row, group));
    Value column = e.mul(e.add(e.mul(head, group), e.rem(row, group)), headDim);
    for (int64_t at = 0; at < headDim; at += kTileDepth)
      e.store(e.load(op.getQuery(), {token, e.add(column, at)}, kTileDepth), queries, {row, e.index(at)});
    for (int64_t at = 0; at < headDim; at += lanes)
      e.store(e.splat(0), accumulator, {row, e.index(at)});
    e.storeScalar(e.constant(-std::numeric_limits<float>::infinity()), maximum, {row});
    e.store(e.splat(0), total, {row, e.index(0)});
  });
}

/// A key of the tile that some token sees: the one at `offset`, or the nearest.
Value AttentionByTiles::seen(const Keys &keys, Value offset) {
  return arith::MaxSIOp::create(e.b, e.loc, e.min(offset, keys.high), keys.low);
}

/// 32 columns of a row of the tile: rd_C.
Value AttentionByTiles::load32(Value memory, const Keys &keys, Value offset, Value column) {
  Value x = e.load(memory, rowAt(memory, keys.sequence, keys.head, e.add(keys.row, offset), column), kTileDepth);
  if (getElementTypeOrSelf(x.getType()).isBF16())
    return x;
  return arith::TruncFOp::create(e.b, e.loc, VectorType::get({kTileDepth}, e.b.getBF16Type()), e.widen(x));
}

void AttentionByTiles::packKeys(const Keys &keys) {
  e.loop(e.index(0), e.index(kTile), e.index(kTileRows), [&](Value key) {
    SmallVector<Value> offsets;
    for (int64_t i = 0; i < kTileRows; ++i)
      offsets.push_back(seen(keys, e.add(key, i)));
    e.loop(e.index(0), e.index(steps), e.index(1), [&](Value step) {
      SmallVector<Value> columns;
      for (Value offset : offsets)
        columns.push_back(load32(op.getKeys(), keys, offset, e.mul(step, kTileDepth)));
      tiles.pack(columns, packedKeys, e.add(e.mul(key, steps), e.mul(step, kTileRows)));
    });
  });
}

/// The bits of bf16 without their signs.
Value AttentionByTiles::magnitude(Value x) {
  auto type = VectorType::get({kTileDepth}, e.b.getI16Type());
  Value mask = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, int16_t(0x7fff)));
  return arith::AndIOp::create(e.b, e.loc, vector::BitCastOp::create(e.b, e.loc, type, x), mask);
}

/// Returns the greatest magnitude of each of 32 lanes.
Value AttentionByTiles::packValues(const Keys &keys) {
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < kTileDepth / 2; ++i) {
    low.append({i, kTileDepth + i});
    high.append({kTileDepth / 2 + i, kTileDepth + kTileDepth / 2 + i});
  }
  Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(VectorType::get({kTileDepth}, e.b.getI16Type())));
  return e.loop(e.index(0), e.index(kTile / 2), e.index(1), ValueRange{zero}, [&](Value pair, ValueRange carried) -> SmallVector<Value> {
    Value even = seen(keys, e.mul(pair, 2)), odd = seen(keys, e.add(e.mul(pair, 2), 1)), greatest = carried[0];
    for (int64_t column = 0; column < headDim; column += kTileDepth) {
      Value a = load32(op.getValues(), keys, even, e.index(column)), b = load32(op.getValues(), keys, odd, e.index(column));
      for (Value x : {a, b})
        greatest = arith::MaxUIOp::create(e.b, e.loc, greatest, magnitude(x));
      for (int64_t half : {0, 1})
        e.store(e.shuffle(a, b, half ? high : low), packedValues,
                {e.add(pair, (column / kTileRows + half) * (kTile / 2)), e.index(0)});
    }
    return {greatest};
  })[0];
}

/// Replaces values that are not finite by 0: 0 * infinity would reach tokens that do not see them.
void AttentionByTiles::clearNonFinite() {
  e.loop(e.index(0), e.index(kTile * steps), e.index(1), [&](Value row) {
    Value x = e.load(packedValues, {row, e.index(0)}, kTileDepth);
    auto integers = VectorType::get({kTileDepth}, e.b.getI16Type());
    Value infinite = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(integers, int16_t(0x7f80)));
    Value isFinite = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::ult, magnitude(x), infinite);
    Value zero = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(x.getType()));
    e.store(e.select(isFinite, x, zero), packedValues, {row, e.index(0)});
  });
}

/// score[r][j] = q[strip + r] . k[j].
void AttentionByTiles::scores(Value strip) {
  SmallVector<Value> sums;
  for (int64_t i = 0; i < kTile / kTileRows; ++i)
    sums.push_back(tiles.zero());
  for (int64_t step = 0; step < steps; ++step) {
    Value q = tiles.load(queries, strip, e.index(step * kTileDepth));
    for (auto [i, sum] : llvm::enumerate(sums))
      sum = tiles.multiply(q, tiles.load(packedKeys, e.index((int64_t(i) * steps + step) * kTileRows), e.index(0)), sum);
  }
  for (auto [i, sum] : llvm::enumerate(sums))
    tiles.store(sum, score, e.index(0), e.index(int64_t(i) * kTileRows));
}

/// Keys [low, high) of the tile that the token sees; both may lie outside of it.
std::pair<Value, Value> AttentionByTiles::seenBy(Value token, const Keys &keys) {
  auto [lo, hi] = visible(token, keys.sequence);
  return {e.sub(lo, keys.position), e.sub(hi, keys.position)};
}

/// Scores of row r to probabilities relative to 2^M: numerics A3, A4. What was
/// summed with a lesser M is scaled.
void AttentionByTiles::softmax(Value strip, Value r, Value token, const Keys &keys) {
  Value row = e.add(strip, r), factor = e.splat(float(op.getScale().convertToDouble() * std::numbers::log2e));
  Value lowest = e.splat(-std::numeric_limits<float>::infinity()), greatest = lowest;
  auto [lo, hi] = seenBy(token, keys);
  SmallVector<Value> xs, masks;
  for (int64_t j = 0; j < kTile; j += lanes) {
    Value mask = e.maskBelow(e.sub(hi, j), lanes);
    if (op.getWindow()) // those below hi and not below lo: lo < hi
      mask = arith::XOrIOp::create(e.b, e.loc, mask, arith::AndIOp::create(e.b, e.loc, mask, e.maskBelow(e.sub(lo, j), lanes)));
    Value x = e.mulf(e.load(score, {r, e.index(j)}, lanes), factor), seenX = e.select(mask, x, lowest);
    Value greater = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, seenX, greatest);
    greatest = e.select(greater, seenX, greatest);
    xs.push_back(x);
    masks.push_back(mask);
  }
  Value old = e.loadScalar(maximum, {row}), now = e.maxScalar(old, e.floor(e.reduceMax(greatest)));
  e.when(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, now, old), [&] {
    Value down = e.powerOfTwo(e.broadcast(e.subScalar(old, now)));
    for (int64_t column = 0; column < headDim; column += lanes)
      e.store(e.mulf(e.load(accumulator, {row, e.index(column)}, lanes), down), accumulator, {row, e.index(column)});
    e.store(e.mulf(e.load(total, {row, e.index(0)}, lanes), down), total, {row, e.index(0)});
    e.storeScalar(now, maximum, {row});
  });
  // 2^(floor - M) may come before the rounding: bf16 has its exponents, down to
  // those that it makes 0.
  Value base = e.broadcast(now);
  SmallVector<Value> ps;
  for (auto [i, x] : llvm::enumerate(xs)) {
    Value floor = e.floor(x);
    Value p = e.mulf(e.exp2Fraction(e.subf(x, floor)), e.powerOfTwo(e.subf(floor, base)));
    Value stored = e.narrowTo(e.select(masks[i], p, e.splat(0)), probabilities);
    e.store(stored, probabilities, {r, e.index(int64_t(i) * lanes)});
    ps.push_back(e.widen(stored));
  }
  for (size_t width = ps.size() / 2; width >= 1; width /= 2)
    for (size_t i = 0; i < width; ++i)
      ps[i] = e.addf(ps[i], ps[i + width]);
  e.store(e.addf(e.load(total, {row, e.index(0)}, lanes), ps[0]), total, {row, e.index(0)});
}

/// accumulator[strip + r] += sum_j p[r][j] * v[j].
void AttentionByTiles::accumulate(Value strip) {
  for (int64_t from = 0; from < headDim; from += kSums * kTileRows) {
    SmallVector<int64_t> columns;
    for (int64_t column = from; column < std::min(headDim, from + kSums * kTileRows); column += kTileRows)
      columns.push_back(column);
    SmallVector<Value> sums;
    for (int64_t column : columns)
      sums.push_back(tiles.loadSums(accumulator, strip, e.index(column)));
    for (int64_t key = 0; key < kTile; key += kTileDepth) {
      Value p = tiles.load(probabilities, e.index(0), e.index(key));
      for (auto [sum, column] : llvm::zip(sums, columns))
        sum = tiles.multiply(p, tiles.load(packedValues, e.index(column / kTileRows * (kTile / 2) + key / 2), e.index(0)), sum);
    }
    for (auto [sum, column] : llvm::zip(sums, columns))
      tiles.store(sum, accumulator, strip, e.index(column));
  }
}

/// What `clearNonFinite` took from the row's sums: p*v of the keys that it sees.
void AttentionByTiles::addNonFinite(Value strip, Value r, Value token, const Keys &keys) {
  auto [lo, hi] = seenBy(token, keys);
  Value infinite = e.splat(std::numeric_limits<float>::infinity()), row = e.add(strip, r);
  Value from = arith::MaxSIOp::create(e.b, e.loc, lo, e.index(0));
  e.loop(from, e.min(hi, e.index(kTile)), e.index(1), [&](Value key) {
    Value p = arith::ExtFOp::create(e.b, e.loc, e.b.getF32Type(), e.loadScalar(probabilities, {r, key}));
    for (int64_t column = 0; column < headDim; column += lanes) {
      Value v = e.loadWideAs(op.getValues(), rowAt(op.getValues(), keys.sequence, keys.head, e.add(keys.row, key), e.index(column)),
                             lanes, compute);
      Value size = math::AbsFOp::create(e.b, e.loc, v);
      Value isNonFinite = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UEQ, size, infinite);
      Value term = e.select(isNonFinite, e.mulf(e.broadcast(p), v), e.splat(0));
      e.store(e.addf(e.load(accumulator, {row, e.index(column)}, lanes), term), accumulator, {row, e.index(column)});
    }
  });
}

/// out = accumulator / l, rounded once; zeros where no key was visible.
void AttentionByTiles::finish(Value head, Value first, Value count) {
  e.loop(e.index(0), count, e.index(1), [&](Value row) {
    Value l = e.broadcast(e.reduceAdd(e.load(total, {row, e.index(0)}, lanes)));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    Value token = e.add(first, e.div(row, group)), to = e.mul(e.add(e.mul(head, group), e.rem(row, group)), headDim);
    for (int64_t column = 0; column < headDim; column += lanes) {
      Value y = e.divf(e.load(accumulator, {row, e.index(column)}, lanes), l);
      e.storeNarrow(e.select(none, e.splat(0), y), op.getOut(), {token, e.add(to, column)}, lanes);
    }
  });
}

} // namespace

bool graphc::kernel::usesTiles(const AttentionForm &form, const Target &target) {
  if (!target.bf16Tiles || !form.query || !getElementTypeOrSelf(form.query.getType()).isBF16() || form.headDim % kTileDepth)
    return false;
  const int64_t group = cast<MemRefType>(form.query.getType()).getShape()[1] / form.headDim / form.kvHeads;
  const int64_t block = 6 * form.headDim * blockRows(group, form.headDim), packed = 4 * form.headDim * kTile;
  return !form.bias && !form.weights && !form.keyScales && !form.valueScales && block <= kBlockBytes && packed <= kBlockBytes;
}

void graphc::kernel::emitAttentionByTiles(const AttentionForm &form, const Target &target) {
  AttentionByTiles(form, target).emit();
}
