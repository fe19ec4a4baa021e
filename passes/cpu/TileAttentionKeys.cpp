// Keys and values of attention by tiles: packed to pairs on the stack, and what is
// kept apart because packed rows are multiplied for tokens that do not see them.
#include "passes/cpu/TileAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

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

/// Keys [low, high) of the tile that the token sees; both may lie outside of it.
std::pair<Value, Value> AttentionByTiles::seenBy(Value token, const Keys &keys) {
  auto [lo, hi] = visible(token, keys.sequence);
  return {e.sub(lo, keys.position), e.sub(hi, keys.position)};
}

/// What `clearNonFinite` took from the sums of a strip: p*v of the keys that each row sees.
void AttentionByTiles::addNonFinite(Value strip, const Block &block, const Keys &keys) {
  Value infinite = e.splat(std::numeric_limits<float>::infinity());
  e.loop(e.index(0), e.index(kTileRows), e.index(1), [&](Value r) {
    Value row = e.add(strip, r);
    auto [lo, hi] = seenBy(tokenOf(block, row), keys);
    Value from = arith::MaxSIOp::create(e.b, e.loc, lo, e.index(0));
    e.loop(from, e.min(hi, e.index(kTile)), e.index(1), [&](Value key) {
      Value p = arith::ExtFOp::create(e.b, e.loc, e.b.getF32Type(), e.loadScalar(probabilities, {e.add(slot(strip), r), key}));
      for (int64_t column = 0; column < headDim; column += lanes) {
        Value v = e.loadWideAs(op.getValues(), rowAt(op.getValues(), keys.sequence, keys.head, e.add(keys.row, key), e.index(column)),
                               lanes, compute);
        Value isNonFinite = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::UEQ, math::AbsFOp::create(e.b, e.loc, v), infinite);
        Value term = e.select(isNonFinite, e.mulf(e.broadcast(p), v), e.splat(0));
        e.store(e.addf(e.load(accumulator, {row, e.index(column)}, lanes), term), accumulator, {row, e.index(column)});
      }
    });
  });
}
