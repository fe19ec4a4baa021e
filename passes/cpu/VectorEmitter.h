// Building vector-level code: loads and stores of any dtype with static tails,
// f32 arithmetic, reductions, loops. Emitters say what they compute; this says
// it in arith, vector, memref and scf for a target.
#pragma once

#include "graphc/IR/Kernel.h"
#include "Support/Target.h"

#include "mlir/IR/Builders.h"

namespace graphc::kernel {

/// floor(x) of f32, scalar or vector, for targets that round to integers only by
/// truncation.
mlir::Value floorByTruncation(mlir::OpBuilder &b, mlir::Location loc, mlir::Value x);

class VectorEmitter {
public:
  /// Emits before `op`, inside a function whose first arguments are the thread
  /// and the number of threads.
  VectorEmitter(mlir::Operation *op, const Target &target);

  mlir::OpBuilder b;
  mlir::Location loc;
  const Target &target;
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  // Index arithmetic; constants fold.
  Value index(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return b ? add(a, index(b)) : a; }
  Value sub(Value a, Value b);
  Value sub(Value a, int64_t b) { return sub(a, index(b)); }
  Value mul(Value a, int64_t b);
  Value mul(Value a, Value b);
  Value div(Value a, int64_t b); ///< Of non-negative values.
  Value rem(Value a, int64_t b); ///< Of non-negative values.
  Value div(Value a, Value b); ///< Of non-negative values.
  Value ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }
  Value min(Value a, Value b);
  Value dim(Value memref, int64_t dimension);
  /// Element `at` of an i32 memref (n), as an index.
  Value loadIndex(Value memref, Value at);

  // Loops.
  void loop(Value from, Value to, Value step, llvm::function_ref<void(Value)> body);
  llvm::SmallVector<Value> loop(Value from, Value to, Value step, ValueRange initial,
                                llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)> body);

  void when(Value condition, llvm::function_ref<void()> body);

  // Threads.
  /// This thread's [first, last) of `items`, by static partition.
  std::pair<Value, Value> share(Value items);
  /// Calls `body(row, from, to)` for this thread's pieces of (rows, width): parts of
  /// rows, so that one long row occupies all threads; `from` is a multiple of lanes().
  void pieces(Value rows, int64_t width, llvm::function_ref<void(Value, Value, Value)> body);
  /// Calls `body(column, count)` for the vectors of columns [from, to) of rows of
  /// `width`: from is a multiple of lanes(), to one too or `width`.
  void columns(Value from, Value to, int64_t width, llvm::function_ref<void(Value, int64_t)> body);

  // Vectors of lanes() f32, unless said otherwise.
  mlir::VectorType f32Vector() { return mlir::VectorType::get({lanes()}, b.getF32Type()); }
  int64_t lanes() const { return target.lanes(); }
  Value constant(float value); ///< A scalar.
  Value splat(float value);
  Value broadcast(Value scalar);
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value fma(Value a, Value b, Value c); ///< a * b + c; two roundings where the target has no FMA.
  Value divf(Value a, Value b);
  Value maxf(Value a, Value b);
  Value floor(Value x);
  Value widen(Value x); ///< Floats and integers to f32, of any length; itself for f32.
  Value shuffle(Value a, Value b, mlir::ArrayRef<int64_t> order);
  Value select(Value mask, Value yes, Value no);
  /// Lane i is set if i < count.
  Value maskOf(int64_t count, int64_t lanes);
  /// Lane i is set if i < count; count may be any index.
  Value maskBelow(Value count, int64_t lanes);
  /// acc[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1]; a, b of 2 * lanes() bf16 (target.bf16Dot).
  Value dotBf16(Value acc, Value a, Value b);
  /// Lanes of low, then those of high, rounded to bf16; for targets with bf16Dot and 16 lanes.
  Value narrowTwo(Value low, Value high);
  /// The value rounded to `type` and widened again; itself for f32.
  Value roundThrough(Value x, mlir::Type type);
  /// The same for 1 <= x <= 2, by a sum whose last place is that of `type` there.
  Value roundSignificand(Value x, mlir::Type type);
  /// 2^f for 0 <= f < 1, at most 1 ulp from it.
  Value exp2Fraction(Value f);
  /// 2^e for whole numbers e <= 127; 0 below -126.
  Value powerOfTwo(Value e);
  /// x * 2^e for whole numbers e; 0, or what f32 has there, where that is below 2^-126.
  Value timesPowerOfTwo(Value x, Value e);
  /// The sums of each vector's lanes, as a vector of sums.size() elements, a multiple
  /// of four. Each sum is the same tree, wherever its vector stands.
  Value horizontalSums(mlir::ArrayRef<Value> sums);
  Value reduceAdd(Value x);
  Value reduceMax(Value x);
  Value extract(Value x); ///< Lane 0.

  // Scalars, f32.
  Value addScalar(Value a, Value b) { return addf(a, b); }
  Value subScalar(Value a, Value b) { return subf(a, b); }
  Value mulScalar(Value a, Value b) { return mulf(a, b); }
  Value maxScalar(Value a, Value b) { return maxf(a, b); }
  Value loadScalar(Value memref, ValueRange at);
  void storeScalar(Value value, Value memref, ValueRange at);

  // Memory. Nothing outside [at, at + width) is read or written; lanes behind
  // `width` are zero.
  /// Scratch of fixed size on the stack of the function; f32 unless said otherwise.
  Value scratch(mlir::ArrayRef<int64_t> shape, mlir::Type element = {});
  Value load(Value memref, ValueRange at, int64_t width);
  void store(Value vector, Value memref, ValueRange at);
  /// `width` elements as stored, in a vector of `size`.
  Value loadRaw(Value memref, ValueRange at, int64_t width, int64_t size);
  void storeRaw(Value vector, Value memref, ValueRange at, int64_t width);
  /// `width` <= lanes() elements, widened to f32.
  Value loadWide(Value memref, ValueRange at, int64_t width);
  /// As loadWide, rounded to `type` on the way if it does not hold the elements.
  Value loadWideAs(Value memref, ValueRange at, int64_t width, mlir::Type type);
  /// Stores the first `width` lanes, rounded once to the memref's type.
  void storeNarrow(Value vector, Value memref, ValueRange at, int64_t width);
  /// The same of the first `count` lanes, any index: none or all if it is out of range.
  void storeNarrowBelow(Value vector, Value memref, ValueRange at, Value count);
  /// Fetches the line of an element, which may lie outside, into L2 and L3.
  void prefetch(Value memref, ValueRange at);
  /// Fetches the lines of elements [column, column + width) of a row into L1, of all that a kernel's
  /// epilogue reads by rows and stores.
  void prefetchEpilogue(EpilogueKernel kernel, Value row, Value column, int64_t width);

  /// The vector rounded once to the memref's type.
  Value narrowTo(Value vector, Value memref);

  // Epilogues.
  /// Applies the kernel's epilogue to `interior`, the elements [column, column +
  /// width) of a row, and stores what it yields.
  void epilogue(EpilogueKernel kernel, Value interior, Value row, Value column, int64_t width);
};

} // namespace graphc::kernel
