// Attention over the cache in place, by blocks of tokens: one query token at a
// time walks the tiles of its visible rows, and a block of tokens shares a tile
// while it is in cache. Threads take (sequence, token block, kv head) items; no
// result depends on their number.
#include "passes/cpu/AttentionEmitter.h"
#include "passes/cpu/Emitters.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"

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
  if (op.getKey())
    appendAll();
  if (op.getQuery()) {
    if (op.getKey())
      omp::BarrierOp::create(e.b, e.loc);
    segment = scratchSums(tokensAtOnce);
    whole = scratchSums(tokensAtOnce);
    forEachBlock(e.index(tokensAtOnce), [&](Value sequence, Value head, Value first, Value last) { attend(sequence, head, first, last); });
  }
  op.operation->erase();
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

/// The form for many tokens of each sequence.
static void emitPrefill(const AttentionForm &form, const Target &target) {
  (usesTiles(form, target) ? emitAttentionByTiles : emitAttentionByBlocks)(form, target);
}

void graphc::kernel::emitCachedAttention(CachedAttentionOp op, const Target &target) {
  if (!op.getScratch().empty())
    return emitAttentionBySegments(AttentionForm(op), target);
  (op.getPhase() == Phase::Prefill ? emitPrefill : emitAttentionByBlocks)(AttentionForm(op), target);
}

void graphc::kernel::emitAttention(AttentionOp op, const Target &target) {
  (op.getPhase() == Phase::Prefill ? emitPrefill : emitAttentionByBlocks)(AttentionForm(op), target);
}

void graphc::kernel::emitCacheStore(CacheStoreOp op, const Target &target) { emitAttentionByBlocks(AttentionForm(op), target); }
