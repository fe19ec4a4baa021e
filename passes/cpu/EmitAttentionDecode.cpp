// Attention of one token a sequence, at the speed of memory. The keys of a head
// are cut into segments by their number alone; threads take equal shares of all
// (sequence, kv head, segment) items, meet, and join each head's segments in
// order. So few heads occupy many threads, and no result depends on their number.
// While scores are formed the values of the same tile are fetched, while values are
// summed the keys of the next one, and some of both in the softmax between.
#include "passes/cpu/AttentionEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Bytes of a cache line.
constexpr int64_t kLine = 64;

class AttentionBySegments : AttentionEmitter {
public:
  using AttentionEmitter::AttentionEmitter;
  void emit();

private:
  void forEachSegment(llvm::function_ref<void(Value, Value, Value)> body);
  void attend(Value sequence, Value head, Value segment);
  void join(Value sequence, Value head);
  void fetch(Value memory, Value sequence, Value head, Value row, int64_t rows);
  Value startOf(Value sequence) { return e.loadIndex(op.getStarts(), sequence); }
  Value tokensOf(Value sequence) { return e.sub(startOf(e.add(sequence, 1)), startOf(sequence)); }
  /// Of a segment, for other threads to read.
  Sums partial(Value sequence, Value head, Value segment) {
    Value first = e.mul(e.add(e.mul(head, segmentsOf(kvHeads)), segment), group);
    return {op.partials.sums, op.partials.maxima, op.partials.totals, sequence, first};
  }

  Sums own;
};

void AttentionBySegments::emit() {
  own = scratchSums(1);
  forEachSegment([&](Value sequence, Value head, Value segment) { attend(sequence, head, segment); });
  omp::BarrierOp::create(e.b, e.loc);
  Value batch = e.sub(e.dim(op.getStarts(), 0), 1);
  auto [first, last] = e.share(e.mul(batch, kvHeads));
  e.loop(first, last, e.index(1), [&](Value item) {
    Value sequence = e.div(item, kvHeads);
    Value some = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, tokensOf(sequence), e.index(0));
    e.when(some, [&] { join(sequence, e.rem(item, kvHeads)); });
  });
  op.operation->erase();
}

/// Calls `body(sequence, head, segment)` for this thread's share of all items: a
/// piece of the line of them, so that it reads memory in order.
void AttentionBySegments::forEachSegment(llvm::function_ref<void(Value, Value, Value)> body) {
  Value batch = e.sub(e.dim(op.getStarts(), 0), 1);
  auto itemsOf = [&](Value sequence) {
    Value segments = spanOf(startOf(sequence), sequence).segments;
    return std::pair(segments, e.mul(e.mul(segments, kvHeads), tokensOf(sequence)));
  };
  Value all = e.loop(e.index(0), batch, e.index(1), ValueRange{e.index(0)}, [&](Value sequence, ValueRange before) -> SmallVector<Value> {
    return {e.add(before[0], itemsOf(sequence).second)};
  })[0];
  auto [first, last] = e.share(all);
  e.loop(e.index(0), batch, e.index(1), ValueRange{e.index(0)}, [&](Value sequence, ValueRange before) -> SmallVector<Value> {
    auto [segments, items] = itemsOf(sequence);
    Value from = arith::MaxSIOp::create(e.b, e.loc, e.sub(first, before[0]), e.index(0));
    e.loop(from, e.min(e.sub(last, before[0]), items), e.index(1), [&, segments = segments](Value item) {
      Value segment = arith::RemUIOp::create(e.b, e.loc, item, segments);
      body(sequence, e.rem(e.div(item, segments), kvHeads), segment); // the remainder is for the proof: it is less
    });
    return {e.add(before[0], items)};
  });
}

/// The lines of `rows` rows.
void AttentionBySegments::fetch(Value memory, Value sequence, Value head, Value row, int64_t rows) {
  auto type = cast<MemRefType>(memory.getType());
  const int64_t bytes = type.getElementTypeBitWidth() / 8, width = type.getRank() == 4 ? headDim : 1;
  for (int64_t at = 0; at < rows * width * bytes; at += kLine) {
    SmallVector<Value> place{sequence, head, row};
    if (type.getRank() == 4)
      place.push_back(e.index(at / bytes));
    else
      place.back() = e.add(row, at / bytes);
    e.prefetch(memory, place);
  }
}

/// The sums of one segment. The last one holds the token's own row, which is written
/// first.
void AttentionBySegments::attend(Value sequence, Value head, Value segment) {
  Value token = startOf(sequence);
  const Span span = spanOf(token, sequence);
  if (op.getKey()) {
    Value isLast = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, e.add(segment, 1), span.segments);
    e.when(isLast, [&] { append(sequence, head, token, startOf(e.add(sequence, 1))); });
  }
  clear(own);
  prepare(token, sequence, head);
  Value from = e.mul(e.add(span.first, span.begin(e, segment)), kTile);
  Value to = e.mul(e.add(span.first, span.begin(e, e.add(segment, 1))), kTile);
  Value first = e.mul(span.first, kTile), end = e.add(first, e.mul(span.tiles, kTile));
  e.loop(from, to, e.index(kTile), [&](Value tile) {
    const Piece piece = pieceOf(token, sequence, tile, rowOf(tile));
    // What this thread, or the next one, reads then; behind the last head it is none of ours.
    Value behind = e.add(tile, kTile);
    Value isEnd = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sge, behind, end);
    Value nextRow = rowOf(e.select(isEnd, first, behind)), nextHead = e.select(isEnd, e.add(head, 1), head);
    if (op.getKeyScales())
      fetch(op.getKeyScales(), sequence, nextHead, nextRow, kTile);
    if (op.getValueScales())
      fetch(op.getValueScales(), sequence, head, piece.row, kTile);
    add(
        piece, sequence, head, own,
        [&](Value row, int64_t rows) { fetch(op.getValues(), sequence, head, e.add(piece.row, row), rows); },
        [&](Value row, int64_t rows) { fetch(op.getKeys(), sequence, nextHead, e.add(nextRow, row), rows); });
  });
  const Sums out = partial(sequence, head, segment);
  clear(out);
  merge(own, out);
}

/// The output of a head, from its segments in order.
void AttentionBySegments::join(Value sequence, Value head) {
  Value token = startOf(sequence);
  const Span span = spanOf(token, sequence);
  clear(own);
  e.loop(e.index(0), span.segments, e.index(1), [&](Value segment) { merge(partial(sequence, head, segment), own); });
  finish(own, token, head);
  if (!op.getWeights())
    return;
  clearWeights(token, head);
  prepare(token, sequence, head);
  Value first = e.mul(span.first, kTile);
  e.loop(first, e.add(first, e.mul(span.tiles, kTile)), e.index(kTile), [&](Value tile) {
    weights(pieceOf(token, sequence, tile, rowOf(tile)), sequence, head, own);
  });
}

} // namespace

void kernel::emitAttentionBySegments(const AttentionForm &form, const Target &target) {
  AttentionBySegments(form, target).emit();
}
