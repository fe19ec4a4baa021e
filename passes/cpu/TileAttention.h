// Attention of many tokens by tiles of bf16, as its sources share it: rows in blocks and
// strips, keys in tiles of 64, and the scratch that a thread has for them.
#pragma once

#include "passes/cpu/AttentionEmitter.h"
#include "passes/cpu/TileEmitter.h"

#include <functional>

namespace graphc::kernel {

class AttentionByTiles : AttentionEmitter {
public:
  AttentionByTiles(const AttentionForm &form, const Target &target);
  void emit();

private:
  /// Parts of a strip's work by tiles: a tile of scores each, and of sums as many as there are.
  static constexpr int64_t kParts = kTile / kTileRows;

  /// Tokens of a sequence and the heads of one group: row token * group + head.
  struct Block {
    Value sequence, head; ///< Kv head.
    Value first, count;   ///< Its first token; rows.
  };

  /// A tile of keys: rows [low, high] of it are seen by some token of the block.
  struct Keys {
    Value position, row; ///< Of the first; its row in the cache, or among the sequence's.
    Value low, high;
    Value sequence, head;
  };

  /// Emits work by tiles, a product a step.
  using Steps = llvm::SmallVector<std::function<void()>>;
  static void inTurn(llvm::ArrayRef<std::function<void()>> steps) {
    for (const auto &step : steps)
      step();
  }

  // Blocks.
  Value blockTokens();
  void attend(const Block &block, Value last);
  std::pair<Value, Value> stripsOf(const Block &block, const Keys &keys);
  Value tokenOf(const Block &block, Value row);
  void prepareRows(const Block &block);
  void finish(const Block &block);

  // Keys and values.
  Value seen(const Keys &keys, Value offset);
  std::pair<Value, Value> seenBy(Value token, const Keys &keys);
  Value load32(Value memory, const Keys &keys, Value offset, Value column);
  void packKeys(const Keys &keys);
  Value magnitude(Value x);
  Value packValues(const Keys &keys);
  void clearNonFinite();
  void addNonFinite(Value strip, const Block &block, const Keys &keys);

  // Strips.
  Steps scores(Value strip, Value part);
  Steps accumulate(Value strip, Value from, Value part);
  Value isWhole(Value strip, const Block &block, const Keys &keys);
  Value isNot(Value condition);
  llvm::SmallVector<Value> masksOf(Value strip, Value r, const Block &block, const Keys &keys);
  void raiseMaxima(Value strip, Value whole, const Block &block, const Keys &keys);
  Value maximaOfRows();
  Value greater(Value x, Value y);
  void rescale(Value strip);
  void probabilitiesOf(Value strip, Value part, Value whole, const Block &block, const Keys &keys, const Steps &products);
  void probabilitiesOfRow(Value strip, Value r, llvm::ArrayRef<Value> masks);
  /// The first of the rows that a strip has in `score` and `probabilities`.
  Value slot(Value strip) { return e.rem(strip, 2 * kTileRows); }
  Value scoreAt(Value strip, Value r, int64_t j) { return e.load(score, {e.add(slot(strip), r), e.index(j)}, lanes); }
  float factor() const; ///< Of scores before the power of two.

  TileEmitter tiles;
  int64_t rows, steps;
  Value queries;       // (rows + 16, headDim) bf16: a strip more, whose scores nobody reads
  Value accumulator;   // (rows + 16, headDim) f32: sum of p*v; a strip more, which nobody reads
  Value maximum;       // (rows) f32: M
  Value total;         // (rows, lanes) f32: l, a part in each lane
  Value packedKeys;    // (kTile / 16 * steps * 16, 32) bf16: pairs of columns, by keys
  Value packedValues;  // (headDim / 16 * kTile / 2, 32) bf16: pairs of keys, by columns
  Value score;         // (2 * 16, kTile) f32: of two strips
  Value greatest;      // (16, lanes) f32: of each row, apart in lanes; then in the first row what sums shrink by
  Value probabilities; // (2 * 16, kTile) bf16: of two strips
};

} // namespace graphc::kernel
