// Attention of many tokens by tiles of bf16. A block of tokens walks the tiles of
// the rows that any of them sees: 64 keys are packed to pairs of columns, 64 values
// to pairs of rows, once for all strips of 16 (token, head of the group) pairs. The
// rows' softmax stands between two products by tiles; p is a value of bf16 exactly.
// A strip's softmax is taken while tiles form the next one's scores and the sums of
// the one before: vectors take longer than tiles, and need not wait for them.
//
// Longest chains of roundings: of a score D / 32 sums of tiles, + 16 products of
// pairs and their sum; of an output the same with the keys walked for D; of l two
// for each 32 keys, and 4 over lanes. A key that no token may see is never read; one that
// another token sees has p = 0 and finite values, since others are added apart.
#include "passes/cpu/TileAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

/// Bytes of a block's queries and sums, which stay in L2: the more rows, the less
/// often are keys and values packed.
constexpr int64_t kBlockBytes = 96 * 1024;
/// Blocks that a thread gets if there are tokens enough: their costs differ.
constexpr int64_t kBlocksAThread = 4;

/// Rows of a block: 16 at least, and all heads of one token.
static int64_t blockRows(int64_t group, int64_t headDim) {
  const int64_t most = std::max(kBlockBytes / (6 * headDim) / kTileRows * kTileRows, kTileRows);
  return std::max(most, int64_t(llvm::alignTo(group, kTileRows)));
}

AttentionByTiles::AttentionByTiles(const AttentionForm &form, const Target &target)
    : AttentionEmitter(form, target), tiles(e), rows(blockRows(group, headDim)), steps(headDim / kTileDepth) {}

void AttentionByTiles::emit() {
  Type bf16 = e.b.getBF16Type();
  queries = e.scratch({rows + kTileRows, headDim}, bf16);
  accumulator = e.scratch({rows + kTileRows, headDim});
  maximum = e.scratch({rows});
  total = e.scratch({rows, lanes});
  packedKeys = e.scratch({kTile * steps, kTileDepth}, bf16);
  packedValues = e.scratch({kTile * steps, kTileDepth}, bf16);
  score = e.scratch({2 * kTileRows, kTile});
  greatest = e.scratch({kTileRows, lanes});
  probabilities = e.scratch({2 * kTileRows, kTile}, bf16);
  if (op.getKey()) {
    appendAll();
    omp::BarrierOp::create(e.b, e.loc);
  }
  forEachBlock(blockTokens(), [&](Value sequence, Value head, Value first, Value last) {
    attend({sequence, head, first, e.mul(e.sub(last, first), group)}, last);
  });
  op.operation->erase();
}

/// Tokens of a block: as many as there is room for, fewer where threads would wait
/// for each other. A token's bits do not depend on it.
Value AttentionByTiles::blockTokens() {
  Value threads = op.operation->getParentOfType<func::FuncOp>().getArgument(1);
  Value tokens = e.loadIndex(op.getStarts(), e.sub(e.dim(op.getStarts(), 0), 1));
  Value fair = e.div(e.mul(tokens, kvHeads), e.mul(threads, kBlocksAThread));
  Value least = e.index(std::max<int64_t>(kTileRows / group, 1));
  return e.min(arith::MaxSIOp::create(e.b, e.loc, fair, least), e.index(rows / group));
}

/// Three strips are under way at once: while one's softmax is taken, tiles form the
/// scores of the next and the sums of the one before, a product after each row.
void AttentionByTiles::attend(const Block &block, Value last) {
  prepareRows(block);
  Value from = visible(block.first, block.sequence).first, to = visible(e.sub(last, 1), block.sequence).second;
  e.loop(e.mul(e.div(from, kTile), kTile), to, e.index(kTile), [&](Value tile) {
    Value low = arith::MaxSIOp::create(e.b, e.loc, e.sub(from, tile), e.index(0));
    Value high = e.sub(e.min(e.sub(to, tile), e.index(kTile)), 1);
    const Keys keys{tile, rowOf(tile), low, high, block.sequence, block.head};
    packKeys(keys);
    Value most = packValues(keys);
    Value infinite = arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(cast<VectorType>(most.getType()), int16_t(0x7f80)));
    Value isNonFinite = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::uge, most, infinite);
    Value anyNonFinite = vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::OR, isNonFinite);
    e.when(anyNonFinite, [&] { clearNonFinite(); });
    auto [first, end] = stripsOf(block, keys);
    e.loop(e.index(0), e.index(kParts), e.index(1), [&](Value part) { inTurn(scores(first, part)); });
    e.loop(first, end, e.index(kTileRows), [&](Value strip) {
      Value whole = isWhole(strip, block, keys);
      raiseMaxima(strip, whole, block, keys);
      // Before the first strip sums go to rows that nobody reads; behind the last one come scores that nobody reads.
      Value before = e.sub(strip, kTileRows), isFirst = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, strip, first);
      Value summed = e.select(isFirst, e.index(rows), before);
      e.loop(e.index(0), e.index(kParts), e.index(1), [&](Value part) {
        Steps products = scores(e.add(strip, kTileRows), part);
        products.append(accumulate(summed, slot(e.add(strip, kTileRows)), part));
        probabilitiesOf(strip, part, whole, block, keys, products);
      });
      e.when(anyNonFinite, [&] { addNonFinite(strip, block, keys); });
    });
    Value last = e.mul(e.div(e.sub(end, 1), kTileRows), kTileRows);
    e.loop(e.index(0), e.index(kParts), e.index(1), [&](Value part) { inTurn(accumulate(last, slot(last), part)); });
  });
  finish(block);
}

/// Strips [first, end) of rows that see a key of the tile. Later tokens see later keys.
std::pair<Value, Value> AttentionByTiles::stripsOf(const Block &block, const Keys &keys) {
  Value first = e.index(0), end = block.count;
  if (op.isCross)
    return {first, end};
  Value behind = e.sub(keys.position, positionOf(block.first, block.sequence)); // tokens from the first to the first key's own
  if (op.getCausal())
    first = e.mul(e.div(e.mul(arith::MaxSIOp::create(e.b, e.loc, behind, first), group), kTileRows), kTileRows);
  if (op.getWindow())
    end = e.min(end, e.mul(e.add(behind, kTile - 1 + int64_t(*op.getWindow())), group));
  return {first, end};
}

/// The token of a row; rows behind the block's last one repeat it.
Value AttentionByTiles::tokenOf(const Block &block, Value row) {
  return e.add(block.first, e.div(e.min(row, e.sub(block.count, 1)), group));
}

/// Rows behind the last one, up to the end of its strip, repeat it.
void AttentionByTiles::prepareRows(const Block &block) {
  e.loop(e.index(0), e.mul(e.ceilDiv(block.count, kTileRows), kTileRows), e.index(1), [&](Value row) {
    Value from = e.min(row, e.sub(block.count, 1));
    Value column = e.mul(e.add(e.mul(block.head, group), e.rem(from, group)), headDim);
    for (int64_t at = 0; at < headDim; at += kTileDepth)
      e.store(e.load(op.getQuery(), {tokenOf(block, row), e.add(column, at)}, kTileDepth), queries, {row, e.index(at)});
    for (int64_t at = 0; at < headDim; at += lanes)
      e.store(e.splat(0), accumulator, {row, e.index(at)});
    e.storeScalar(e.constant(-std::numeric_limits<float>::infinity()), maximum, {row});
    e.store(e.splat(0), total, {row, e.index(0)});
  });
}

/// out = accumulator / l, rounded once; zeros where no key was visible. A product with
/// 1 / l is within an ulp of the quotient, the function table's error of a division.
void AttentionByTiles::finish(const Block &block) {
  e.loop(e.index(0), block.count, e.index(1), [&](Value row) {
    Value l = e.broadcast(e.reduceAdd(e.load(total, {row, e.index(0)}, lanes)));
    Value none = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OEQ, l, e.splat(0));
    Value inverse = e.divf(e.splat(1), l), to = e.mul(e.add(e.mul(block.head, group), e.rem(row, group)), headDim);
    for (int64_t column = 0; column < headDim; column += lanes) {
      Value y = e.mulf(e.load(accumulator, {row, e.index(column)}, lanes), inverse);
      e.storeNarrow(e.select(none, e.splat(0), y), op.getOut(), {tokenOf(block, row), e.add(to, column)}, lanes);
    }
  });
}

bool graphc::kernel::usesTiles(const AttentionForm &form, const Target &target) {
  if (!target.bf16Tiles || !form.query || !getElementTypeOrSelf(form.query.getType()).isBF16() || form.headDim % kTileDepth)
    return false;
  const int64_t group = cast<MemRefType>(form.query.getType()).getShape()[1] / form.headDim / form.kvHeads;
  const int64_t block = 6 * form.headDim * blockRows(group, form.headDim), packed = 4 * form.headDim * kTile;
  // A negative scale would make the greatest score the least.
  return !form.bias && !form.scale.isNegative() && !form.weights && !form.keyScales && !form.valueScales && block <= kBlockBytes && packed <= kBlockBytes;
}

void graphc::kernel::emitAttentionByTiles(const AttentionForm &form, const Target &target) {
  AttentionByTiles(form, target).emit();
}
