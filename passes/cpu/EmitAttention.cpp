// Attention over the cache in place, by blocks of tokens: one query token at a
// time walks the tiles of its visible rows, and a block of tokens shares a tile
// while it is in cache. Threads take (sequence, token block, kv head) items; no
// result depends on their number.
#include "passes/cpu/AttentionEmitter.h"
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Bytes of the accumulators of a token block.
constexpr int64_t kAccumulatorBytes = 64 * 1024;

class AttentionByBlocks : AttentionEmitter {
public:
  AttentionByBlocks(const AttentionForm &form, const Target &target)
      : AttentionEmitter(form, target),
        tokensAtOnce(std::clamp<int64_t>(kAccumulatorBytes / (group * headDim * 4), 1, 16)) {}
  void emit();

private:
  void forEachItem(Value thread, Value threads, bool byBlocks, llvm::function_ref<void(Value, Value, Value)> body);
  void forEachPiece(Value sequence, Value first, Value last, llvm::function_ref<void(const Piece &, Value)> body);
  void attend(Value sequence, Value head, Value first, Value last);
  void endSegment(const Piece &piece, Value sequence, Value slot, Value tile);
  Sums at(Sums sums, Value slot) {
    sums.row = slot;
    return sums;
  }

  int64_t tokensAtOnce;
  Sums segment, whole; // of the tokens of a block: the segment that is under way, those before it
};

void AttentionByBlocks::emit() {
  auto function = op.operation->getParentOfType<func::FuncOp>();
  Value thread = function.getArgument(0), threads = function.getArgument(1);
  if (op.getKey()) {
    forEachItem(thread, threads, /*byBlocks=*/false, [&](Value sequence, Value head, Value) {
      Value next = e.add(sequence, 1);
      append(sequence, head, e.loadIndex(op.getStarts(), sequence), e.loadIndex(op.getStarts(), next));
    });
    if (op.getQuery())
      omp::BarrierOp::create(e.b, e.loc);
  }
  if (op.getQuery()) {
    segment = scratchSums(tokensAtOnce);
    whole = scratchSums(tokensAtOnce);
    forEachItem(thread, threads, /*byBlocks=*/true, [&](Value sequence, Value head, Value block) {
      Value end = e.loadIndex(op.getStarts(), e.add(sequence, 1));
      Value first = e.add(e.loadIndex(op.getStarts(), sequence), e.mul(block, tokensAtOnce));
      attend(sequence, head, first, e.min(e.add(first, tokensAtOnce), end));
    });
  }
  op.operation->erase();
}

/// Calls `body(sequence, head, block)` for this thread's share of all items,
/// dealt out in turn over the whole batch.
void AttentionByBlocks::forEachItem(Value thread, Value threads, bool byBlocks,
                                    llvm::function_ref<void(Value, Value, Value)> body) {
  Value batch = e.sub(e.dim(op.getStarts(), 0), 1);
  e.loop(e.index(0), batch, e.index(1), ValueRange{thread}, [&](Value sequence, ValueRange carried) -> SmallVector<Value> {
    Value first = carried[0]; // item of this sequence that is ours
    Value tokens = e.sub(e.loadIndex(op.getStarts(), e.add(sequence, 1)), e.loadIndex(op.getStarts(), sequence));
    Value blocks = byBlocks ? e.ceilDiv(tokens, tokensAtOnce) : e.min(tokens, e.index(1));
    Value items = e.mul(blocks, kvHeads);
    e.loop(first, items, threads, [&](Value item) { body(sequence, e.rem(item, kvHeads), e.div(item, kvHeads)); });
    // Where the turn stands when the next sequence begins: (first - items) mod threads.
    Value behind = arith::RemUIOp::create(e.b, e.loc, items, threads);
    return {arith::RemUIOp::create(e.b, e.loc, e.sub(e.add(first, threads), behind), threads)};
  });
}

/// Calls `body(piece, tile)` for each tile of the rows that tokens [first, last) see
/// and, tile by tile, each token that sees part of it.
void AttentionByBlocks::forEachPiece(Value sequence, Value first, Value last,
                                     llvm::function_ref<void(const Piece &, Value)> body) {
  Value from = e.mul(e.div(visible(first, sequence).first, kTile), kTile);
  Value to = visible(e.sub(last, 1), sequence).second;
  e.loop(from, to, e.index(kTile), [&](Value tile) {
    Value tileRow = rowOf(tile);
    e.loop(first, last, e.index(1), [&](Value token) {
      const Piece piece = pieceOf(token, sequence, tile, tileRow);
      Value any = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, piece.count, e.index(0));
      e.when(any, [&] { body(piece, tile); });
    });
  });
}

void AttentionByBlocks::attend(Value sequence, Value head, Value first, Value last) {
  e.loop(first, last, e.index(1), [&](Value token) {
    Value slot = e.sub(token, first);
    clear(at(segment, slot));
    clear(at(whole, slot));
  });
  forEachPiece(sequence, first, last, [&](const Piece &piece, Value tile) {
    Value slot = e.sub(piece.token, first);
    endSegment(piece, sequence, slot, tile);
    prepare(piece.token, sequence, head);
    add(piece, sequence, head, at(segment, slot));
  });
  e.loop(first, last, e.index(1), [&](Value token) {
    Value slot = e.sub(token, first);
    merge(at(segment, slot), at(whole, slot));
    finish(at(whole, slot), token, head);
  });
  if (!op.getWeights())
    return;
  // M and l are known only now, and a 16-bit destination could not keep the
  // scores until then: they are computed once more.
  e.loop(first, last, e.index(1), [&](Value token) { clearWeights(token, head); });
  forEachPiece(sequence, first, last, [&](const Piece &piece, Value) {
    prepare(piece.token, sequence, head);
    weights(piece, sequence, head, at(whole, e.sub(piece.token, first)));
  });
}

/// Where the piece begins a segment but the first, adds the last one to those before.
void AttentionByBlocks::endSegment(const Piece &piece, Value sequence, Value slot, Value tile) {
  const Span span = spanOf(piece.token, sequence);
  Value past = e.sub(e.div(tile, kTile), span.first);
  Value next = e.div(e.add(e.mul(past, span.segments), e.sub(span.tiles, 1)), span.tiles); // the segment at `past` or behind
  Value begins = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::eq, span.begin(e, next), past);
  Value notFirst = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::sgt, past, e.index(0));
  e.when(arith::AndIOp::create(e.b, e.loc, begins, notFirst), [&] {
    merge(at(segment, slot), at(whole, slot));
    clear(at(segment, slot));
  });
}

} // namespace

void kernel::emitAttentionByBlocks(const AttentionForm &form, const Target &target) {
  AttentionByBlocks(form, target).emit();
}

void graphc::kernel::emitCachedAttention(CachedAttentionOp op, const Target &target) {
  (op.getScratch().empty() ? emitAttentionByBlocks : emitAttentionBySegments)(AttentionForm(op), target);
}

void graphc::kernel::emitAttention(AttentionOp op, const Target &target) { emitAttentionByBlocks(AttentionForm(op), target); }

void graphc::kernel::emitCacheStore(CacheStoreOp op, const Target &target) { emitAttentionByBlocks(AttentionForm(op), target); }
