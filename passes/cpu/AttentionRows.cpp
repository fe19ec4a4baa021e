// Rows of attention: positions, what a token sees, and new rows behind old ones.
#include "passes/cpu/AttentionEmitter.h"
#include "passes/cpu/QuantizeRow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <bit>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

AttentionEmitter::AttentionEmitter(const AttentionForm &form, const Target &target) : op(form), e(form.operation, target) {
  kvHeads = form.kvHeads;
  headDim = form.headDim;
  rowWidth = sumsWidth(headDim);
  lanes = target.lanes();
  heads = op.getQuery() ? cast<MemRefType>(op.getQuery().getType()).getShape()[1] / headDim : kvHeads;
  group = heads / kvHeads;
  compute = getElementTypeOrSelf((op.getQuery() ? op.getQuery() : op.getKey()).getType());
  if (!op.getQuery())
    return;
  query = e.scratch({group, rowWidth});
  score = e.scratch({group, kTile + std::max(kKeys, lanes)});
  rescale = e.scratch({group});
  if (op.bias)
    biasLine = e.scratch({group, 2 * (op.buckets.maxDistance + kTile) + 1 + lanes});
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

/// Two tiles a segment at least, and never more segments than the layer has: a
/// token's sums depend on what it sees and on nothing else.
AttentionEmitter::Span AttentionEmitter::spanOf(Value token, Value sequence) {
  auto [lo, hi] = visible(token, sequence);
  Span span;
  span.first = e.div(lo, kTile);
  span.tiles = e.sub(e.ceilDiv(hi, kTile), span.first);
  Value least = arith::MaxSIOp::create(e.b, e.loc, e.div(span.tiles, 2), e.index(1));
  span.segments = e.min(least, e.index(segmentsOf(kvHeads)));
  return span;
}

Value AttentionEmitter::Span::begin(VectorEmitter &e, Value segment) const {
  return e.div(e.mul(segment, tiles), segments);
}

/// The keys of the tile at position `tile` and row `tileRow` that the token sees.
AttentionEmitter::Piece AttentionEmitter::pieceOf(Value token, Value sequence, Value tile, Value tileRow) {
  auto [lo, hi] = visible(token, sequence);
  Value begin = arith::MaxSIOp::create(e.b, e.loc, tile, lo);
  Value count = e.sub(e.min(e.add(tile, kTile), hi), begin);
  return {token, begin, count, e.add(tileRow, e.sub(begin, tile)), positionOf(token, sequence)};
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

/// Calls `body(sequence, head, first, last)` for this thread's share of all blocks of
/// `tokens` tokens of a kv head, dealt out in turn over the whole batch; without
/// `tokens` a block is all of a sequence.
void AttentionEmitter::forEachBlock(Value tokens, llvm::function_ref<void(Value, Value, Value, Value)> body) {
  auto function = op.operation->getParentOfType<func::FuncOp>();
  Value thread = function.getArgument(0), threads = function.getArgument(1);
  Value batch = e.sub(e.dim(op.getStarts(), 0), 1);
  e.loop(e.index(0), batch, e.index(1), ValueRange{thread}, [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
    Value ours = carried[0]; // item of this sequence that is ours
    Value begin = e.loadIndex(op.getStarts(), sequence), end = e.loadIndex(op.getStarts(), e.add(sequence, 1));
    Value count = e.sub(end, begin);
    Value blocks = tokens ? e.div(e.add(count, e.sub(tokens, 1)), tokens) : e.min(count, e.index(1));
    Value items = e.mul(blocks, kvHeads);
    e.loop(ours, items, threads, [&](Value item) {
      Value first = tokens ? e.add(begin, e.mul(e.div(item, kvHeads), tokens)) : begin;
      body(sequence, e.rem(item, kvHeads), first, tokens ? e.min(e.add(first, tokens), end) : end);
    });
    // Where the turn stands when the next sequence begins: (ours - items) mod threads.
    Value behind = arith::RemUIOp::create(e.b, e.loc, items, threads);
    return {arith::RemUIOp::create(e.b, e.loc, e.sub(e.add(ours, threads), behind), threads)};
  });
}

void AttentionEmitter::appendAll() {
  forEachBlock(nullptr, [&](Value sequence, Value head, Value first, Value last) { append(sequence, head, first, last); });
}
