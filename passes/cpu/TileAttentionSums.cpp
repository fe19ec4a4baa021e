// A strip of attention by tiles: its scores, their softmax by vectors, a row at a time,
// and the sums of values. Work by tiles is handed out as single products, which the
// softmax of another strip puts between its rows.
#include "passes/cpu/TileAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <memory>
#include <numbers>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

float AttentionByTiles::factor() const { return float(op.getScale().convertToDouble() * std::numbers::log2e); }

Value AttentionByTiles::isNot(Value condition) {
  return arith::XOrIOp::create(e.b, e.loc, condition, arith::ConstantOp::create(e.b, e.loc, e.b.getBoolAttr(true)));
}

/// score[r][j] = q[strip + r] . k[j], for 16 keys.
AttentionByTiles::Steps AttentionByTiles::scores(Value strip, Value part) {
  Steps products;
  auto sum = std::make_shared<Value>();
  for (int64_t step = 0; step < steps; ++step)
    products.push_back([=, this] {
      Value q = tiles.load(queries, strip, e.index(step * kTileDepth)), from = e.mul(part, steps * kTileRows);
      *sum = tiles.multiply(q, tiles.load(packedKeys, e.add(from, step * kTileRows), e.index(0)), step ? *sum : tiles.zero());
      if (step == steps - 1)
        tiles.store(*sum, score, slot(strip), e.mul(part, kTileRows));
    });
  return products;
}

/// Whether all rows of a strip see all keys of the tile.
Value AttentionByTiles::isWhole(Value strip, const Block &block, const Keys &keys) {
  auto is = [&](Value x, arith::CmpIPredicate predicate, int64_t y) -> Value {
    return arith::CmpIOp::create(e.b, e.loc, predicate, x, e.index(y));
  };
  Value toEnd = is(seenBy(tokenOf(block, strip), keys).second, arith::CmpIPredicate::sge, kTile);
  if (!op.getWindow())
    return toEnd;
  Value fromFirst = is(seenBy(tokenOf(block, e.add(strip, kTileRows - 1)), keys).first, arith::CmpIPredicate::sle, 0);
  return arith::AndIOp::create(e.b, e.loc, toEnd, fromFirst);
}

/// The keys of the tile that row r of a strip sees, by vectors.
SmallVector<Value> AttentionByTiles::masksOf(Value strip, Value r, const Block &block, const Keys &keys) {
  auto [lo, hi] = seenBy(tokenOf(block, e.add(strip, r)), keys);
  SmallVector<Value> masks;
  for (int64_t j = 0; j < kTile; j += lanes) {
    Value mask = e.maskBelow(e.sub(hi, j), lanes);
    if (op.getWindow()) // those below hi and not below lo: lo < hi
      mask = arith::XOrIOp::create(e.b, e.loc, mask, arith::AndIOp::create(e.b, e.loc, mask, e.maskBelow(e.sub(lo, j), lanes)));
    masks.push_back(mask);
  }
  return masks;
}

/// M of a strip's rows (numerics A3). What was summed with a lesser M is scaled.
void AttentionByTiles::raiseMaxima(Value strip, Value whole, const Block &block, const Keys &keys) {
  Value lowest = e.splat(-std::numeric_limits<float>::infinity());
  auto findGreatest = [&](Value r, ArrayRef<Value> masks) {
    Value most = lowest;
    for (int64_t j = 0; j < kTile; j += lanes) {
      Value s = scoreAt(strip, r, j);
      most = greater(masks.empty() ? s : e.select(masks[j / lanes], s, lowest), most);
    }
    e.store(most, greatest, {r, e.index(0)});
  };
  e.when(whole, [&] {
    e.loop(e.index(0), e.index(kTileRows), e.index(1), [&](Value r) { findGreatest(r, {}); });
  });
  e.when(isNot(whole), [&] {
    e.loop(e.index(0), e.index(kTileRows), e.index(1), [&](Value r) { findGreatest(r, masksOf(strip, r, block, keys)); });
  });
  Value old = e.load(maximum, {strip}, lanes);
  // The greatest score has the greatest product: the factor is not negative.
  Value now = greater(e.floor(e.mulf(maximaOfRows(), e.splat(factor()))), old);
  Value grows = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, now, old);
  e.when(vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::OR, grows), [&] {
    e.store(e.select(grows, e.powerOfTwo(e.subf(old, now)), e.splat(1)), greatest, {e.index(0), e.index(0)});
    e.store(now, maximum, {strip});
    rescale(strip);
  });
}

/// The greater one; y if x is NaN.
Value AttentionByTiles::greater(Value x, Value y) {
  return e.select(arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGT, x, y), x, y);
}

/// The greatest lane of each row of `greatest`, in the order of rows: halves of
/// two rows are joined until a row is left in each lane.
Value AttentionByTiles::maximaOfRows() {
  SmallVector<Value> rows;
  for (int64_t r = 0; r < kTileRows; ++r)
    rows.push_back(e.load(greatest, {e.index(r), e.index(0)}, lanes));
  for (int64_t half = lanes / 2; half >= 1; half /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; lane += 2 * half)
      for (int64_t from : {lane, lanes + lane})
        for (int64_t i = 0; i < half; ++i)
          low.push_back(from + i), high.push_back(from + half + i);
    for (int64_t r = 0; r < half; ++r)
      rows[r] = greater(e.shuffle(rows[r], rows[r + half], low), e.shuffle(rows[r], rows[r + half], high));
  }
  return rows[0];
}

/// Scales the sums of a strip's rows by what `greatest` holds.
void AttentionByTiles::rescale(Value strip) {
  e.loop(e.index(0), e.index(kTileRows), e.index(1), [&](Value r) {
    Value row = e.add(strip, r), down = e.broadcast(e.loadScalar(greatest, {e.index(0), r}));
    for (int64_t column = 0; column < headDim; column += lanes)
      e.store(e.mulf(e.load(accumulator, {row, e.index(column)}, lanes), down), accumulator, {row, e.index(column)});
    e.store(e.mulf(e.load(total, {row, e.index(0)}, lanes), down), total, {row, e.index(0)});
  });
}

/// Scores of a part of a strip's rows to probabilities, and `products` meanwhile.
void AttentionByTiles::probabilitiesOf(Value strip, Value part, Value whole, const Block &block, const Keys &keys, const Steps &products) {
  constexpr int64_t kRows = kTileRows / kParts;
  Value from = e.mul(part, kRows);
  e.when(whole, [&] {
    const int64_t count = int64_t(products.size());
    for (int64_t i = 0; i < kRows; ++i) {
      probabilitiesOfRow(strip, e.add(from, i), {});
      inTurn(ArrayRef(products).slice(i * count / kRows, (i + 1) * count / kRows - i * count / kRows));
    }
  });
  e.when(isNot(whole), [&] {
    e.loop(from, e.add(from, kRows), e.index(1), [&](Value r) { probabilitiesOfRow(strip, r, masksOf(strip, r, block, keys)); });
    inTurn(products);
  });
}

/// Scores of a row to probabilities relative to 2^M (A3), and their sum (A4): of bf16 and
/// ones, exact but for the sum's roundings.
void AttentionByTiles::probabilitiesOfRow(Value strip, Value r, ArrayRef<Value> masks) {
  auto pairs = VectorType::get({2 * lanes}, e.b.getBF16Type());
  Value ones = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(pairs, Attribute(e.b.getFloatAttr(e.b.getBF16Type(), 1))));
  Value row = e.add(strip, r), base = e.broadcast(e.loadScalar(maximum, {row})), l = e.load(total, {row, e.index(0)}, lanes);
  for (int64_t j = 0; j < kTile; j += 2 * lanes) {
    SmallVector<Value> ps;
    for (int64_t at : {j, j + lanes}) {
      // 2^(floor - M) may come before the rounding: bf16 has its exponents, down to
      // those that it makes 0.
      Value x = e.mulf(scoreAt(strip, r, at), e.splat(factor())), floor = e.floor(x);
      Value p = e.timesPowerOfTwo(e.exp2Fraction(e.subf(x, floor)), e.subf(floor, base));
      ps.push_back(masks.empty() ? p : e.select(masks[at / lanes], p, e.splat(0)));
    }
    Value stored = e.narrowTwo(ps[0], ps[1]);
    e.store(stored, probabilities, {e.add(slot(strip), r), e.index(j)});
    l = e.dotBf16(l, stored, ones);
  }
  e.store(l, total, {row, e.index(0)});
}

/// accumulator[strip + r] += sum_j p[from + r][j] * v[j], for a part of the columns.
AttentionByTiles::Steps AttentionByTiles::accumulate(Value strip, Value from, Value part) {
  Steps products;
  auto sum = std::make_shared<Value>();
  auto add = [=, this](Value tile, int64_t key) {
    Value column = e.mul(tile, kTileRows);
    if (key == 0)
      *sum = tiles.loadSums(accumulator, strip, column);
    Value v = tiles.load(packedValues, e.add(e.mul(tile, kTile / 2), key / 2), e.index(0));
    *sum = tiles.multiply(tiles.load(probabilities, from, e.index(key)), v, *sum);
    if (key == kTile - kTileDepth)
      tiles.store(*sum, accumulator, strip, column);
  };
  const int64_t all = headDim / kTileRows;
  if (all % kParts != 0) { // as many for each part as there are
    products.push_back([=, this] {
      e.loop(e.div(e.mul(part, all), kParts), e.div(e.mul(e.add(part, 1), all), kParts), e.index(1), [&](Value tile) {
        for (int64_t key = 0; key < kTile; key += kTileDepth)
          add(tile, key);
      });
    });
    return products;
  }
  for (int64_t i = 0; i < all / kParts; ++i)
    for (int64_t key = 0; key < kTile; key += kTileDepth)
      products.push_back([=, this] { add(e.add(e.mul(part, all / kParts), i), key); });
  return products;
}
