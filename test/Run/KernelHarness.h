// Kernels from text to machine code in this process, and memory that shows
// every access outside of it.
#pragma once

#include "Support/DType.h"
#include "Support/Target.h"

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace mlir {
class ModuleOp;
class Value;
} // namespace mlir
namespace graphc::kernel {
class VectorEmitter;
} // namespace graphc::kernel

namespace graphc::test {

/// A row-major memref operand between an inaccessible page, which begins right
/// behind the last element, and a page of NaN patterns before the first.
class Operand {
public:
  /// rows of `columns` elements; rank 1 if `rows` is 0. `stride` elements from row to row (0: columns).
  Operand(DType dtype, int64_t rows, int64_t columns, int64_t stride = 0);
  ~Operand();
  Operand(Operand &&other) noexcept { *this = std::move(other); } // which swaps
  Operand &operator=(Operand &&other) noexcept;

  /// The same elements, passed as a dense memref of these dimensions instead.
  Operand &&shaped(std::vector<int64_t> dims) &&;
  /// Normal deviates, rounded to the dtype; integers: 0 .. limit - 1.
  Operand &&random(std::mt19937_64 &engine, double deviation = 1) &&;
  Operand &&integers(std::mt19937_64 &engine, int64_t limit) &&;

  double get(int64_t row, int64_t column) const;
  void set(int64_t row, int64_t column, double value);
  /// All elements as the bit pattern of a NaN.
  void clear();
  /// True if the page before the elements, and the gaps between rows, are as they were made.
  bool canariesIntact() const;

  DType dtype = DType::F32;
  int64_t rows = 0, columns = 0, stride = 0;
  /// The first element's bytes.
  char *begin() const { return data; }
  std::vector<int64_t> dims; ///< Of a memref of another rank than 1 and 2.
  /// The first `rows` rows of the memref, as code expects it.
  std::vector<int64_t> descriptor(int64_t rows) const;

private:
  char *elementAt(int64_t row, int64_t column) const;
  char *map = nullptr, *data = nullptr;
  size_t mapBytes = 0;
};

/// Functions `(%thread: index, %threads: index, memrefs...)` of a module.
class CompiledKernels {
public:
  /// `text`: functions with the attribute llvm.emit_c_interface, each with one
  /// kernel. Runs the emitters and lowers for `target`; reports a test failure
  /// and leaves the object empty if anything is wrong, also if the code calls a
  /// function of the C library. `emit`, if there is one, may emit kernels itself
  /// before the emitters run.
  CompiledKernels(const std::string &text, const Target &target, const std::function<void(mlir::ModuleOp)> &emit = nullptr);
  ~CompiledKernels();

  explicit operator bool() const { return state != nullptr; }
  /// Calls `function` once for each of `threads` threads, last thread first; none waits at a barrier.
  /// `rows` replaces the number of rows of each operand of rank 2 that `byRows` marks.
  void run(const std::string &function, int threads, const std::vector<std::pair<Operand *, int64_t>> &operands) const;

private:
  struct State;
  std::unique_ptr<State> state;
};

/// The targets of the table that this host runs.
std::vector<const Target *> hostTargets();

} // namespace graphc::test
