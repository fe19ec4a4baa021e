// What both forms of attention are made of: where rows stand, which of them a
// token sees, and the sums of one token and one piece of its keys. All sums of a
// token are formed here, so that every form has the same bits.
#pragma once

#include "graphc/IR/Kernel.h"
#include "passes/cpu/AttentionForm.h"
#include "passes/cpu/VectorEmitter.h"

namespace graphc::kernel {

/// Keys of one tile: rows of cache that stay in L1 while a token block uses them.
inline constexpr int64_t kTile = 64;
/// Keys scored at once: their sums are reduced together.
inline constexpr int64_t kKeys = 4;
/// Rows of a tile that are fetched between two products, the last values and the
/// first keys: a softmax takes about a quarter of the time. The others are
/// fetched three with each four keys.
inline constexpr int64_t kFetchedBetween = kTile / 4;

class AttentionEmitter {
public:
  AttentionEmitter(const AttentionForm &form, const Target &target);

protected:
  using Value = mlir::Value;

  /// Columns of a row that are read at once, as one or two vectors of f32. Paired
  /// columns are in the order even, odd: that widens bf16 by a shift and a mask.
  struct Chunk {
    int64_t column, width, vectors;
    bool paired;
  };

  /// M, l and the sums of p*v of the heads of a group, in memory: element `row`,
  /// heads from `first` on.
  struct Sums {
    Value accumulator; ///< (rows, heads * rowWidth) f32, columns in the order of values
    Value maximum;     ///< (rows, heads) f32: M
    Value total;       ///< (rows, heads) f32: l
    Value row, first;
  };

  /// The keys of one tile that a token sees.
  struct Piece {
    Value token;           ///< Row of the call.
    Value position, count; ///< Of the first key; keys.
    Value row;             ///< Of the first key in the cache, or among the sequence's rows.
    Value query;           ///< Position of the token.
  };

  /// The keys of a token: its tiles, cut into segments whose sums are added in order.
  struct Span {
    Value first, tiles, segments;
    Value begin(VectorEmitter &e, Value segment) const; ///< Its first tile, from `first` on.
  };

  /// Emits a fetch of rows of a tile that are needed soon: the first, and how many.
  using Fetch = llvm::function_ref<void(Value, int64_t)>;

  // Rows.
  llvm::SmallVector<Value, 4> rowAt(Value memory, Value sequence, Value head, Value row, Value column);
  Value rowOf(Value position);
  Value positionOf(Value token, Value sequence);
  std::pair<Value, Value> visible(Value token, Value sequence);
  Span spanOf(Value token, Value sequence);
  Piece pieceOf(Value token, Value sequence, Value tile, Value tileRow);
  void append(Value sequence, Value head, Value first, Value last);
  void appendAll();
  void forEachBlock(Value tokens, llvm::function_ref<void(Value, Value, Value, Value)> body);

  // Sums.
  Sums scratchSums(int64_t rows);
  void clear(const Sums &sums);
  void prepare(Value token, Value sequence, Value head);
  void add(const Piece &piece, Value sequence, Value head, const Sums &sums, Fetch values = nullptr, Fetch keys = nullptr);
  void merge(const Sums &from, const Sums &into);
  void finish(const Sums &sums, Value token, Value head);

  // The weights, if someone asks for them.
  void clearWeights(Value token, Value head);
  void weights(const Piece &piece, Value sequence, Value head, const Sums &sums);

  AttentionForm op;
  VectorEmitter e;
  int64_t heads, kvHeads, group, headDim, lanes, rowWidth;
  mlir::Type compute;

private:
  /// Heads [first, first + count) of a group: as many as registers hold.
  struct Part {
    int64_t first, count;
  };
  llvm::SmallVector<Part> parts() const;

  bool widensByTables(mlir::Type element) const;
  llvm::SmallVector<Chunk> chunksOf(Value memory) const;
  llvm::SmallVector<Value, 2> load(Value memory, mlir::ValueRange at, const Chunk &chunk);
  llvm::SmallVector<Value, 2> halves(Value x, bool paired);

  void fillBias(Value head);
  void scores(const Piece &piece, Value sequence, Value head, Part part, Fetch fetch);
  Value probability(Value x, Value base);
  void softmax(const Piece &piece, Value sequence, Value head, Part part, const Sums &sums, Fetch values, Fetch keys);
  Value biasStart(const Piece &piece);
  Value scaled(Value s, int64_t g, Value biasFrom, Value j);
  Value scalesOf(Value scales, mlir::ArrayRef<Value> row, Value count, int64_t width);
  Value weight(Value x, Value base, Value scales);
  void accumulate(const Piece &piece, Value sequence, Value head, Part part, const Sums &sums, Fetch fetch);
  Value at(const Sums &sums, int64_t g) { return e.add(sums.first, g); }
  Value column(const Sums &sums, int64_t g, int64_t vector) { return e.add(e.mul(at(sums, g), rowWidth), vector * lanes); }

  Value query;    // (group, rowWidth) f32: the token's, columns in the order of keys
  Value score;    // (group, kTile + padding) f32: scores, then weights of values
  Value rescale;  // (group) f32: 2^(old M - new M)
  Value biasLine; // (group, distances) f32: the bias of each distance from -maxDistance - kTile on
};

/// A token at a time, over tiles that stay in cache for a block of tokens.
void emitAttentionByBlocks(const AttentionForm &form, const Target &target);
/// A strip of tokens and heads at a time, by tiles of bf16.
void emitAttentionByTiles(const AttentionForm &form, const Target &target);
/// Whether the target has tiles and they can do all that the form asks for.
bool usesTiles(const AttentionForm &form, const Target &target);
/// One token a sequence, its keys dealt out in segments.
void emitAttentionBySegments(const AttentionForm &form, const Target &target);

} // namespace graphc::kernel
