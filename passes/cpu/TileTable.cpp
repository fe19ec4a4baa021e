// The table of tiles, and how cache blocks follow from it.
#include "passes/cpu/TileTable.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// How products are formed: pairs of bf16 by the dot instruction, f32 as stored,
/// or f32 widened in registers from a 16-bit type.
enum class Form { Dot, F32, Widened };

struct Entry {
  Phase phase;
  bool inputMajor;
  Form form;
  std::string_view target; ///< "" = any other target.
  std::initializer_list<int64_t> rows;
  int64_t cols, unroll;
  int64_t panelBytes; ///< Of kernel that stays in L2 while all rows pass.
  int64_t depth;      ///< Elements of K a pass, if K is longer than 1.5 times that.
  int64_t prefetch;   ///< Bytes ahead at least; 0: none.
};

constexpr int64_t KiB = 1024;

const Entry kTable[] = {
    // 32 registers: 24 accumulators, 4 columns and a row. 16: 8 accumulators, 4 columns, rows and a temporary.
    {Phase::Prefill, false, Form::Dot, "avx512_bf16", {6, 4, 2, 1}, 4, 1, 512 * KiB, 1024, 0},
    {Phase::Prefill, false, Form::F32, "avx512_bf16", {6, 4, 2, 1}, 4, 1, 512 * KiB, 512, 0},
    {Phase::Prefill, false, Form::Widened, "avx512_bf16", {6, 4, 2, 1}, 4, 1, 512 * KiB, 1024, 0},
    {Phase::Prefill, false, Form::F32, "x86-64-v4", {6, 4, 2, 1}, 4, 1, 512 * KiB, 512, 0},
    {Phase::Prefill, false, Form::Widened, "x86-64-v4", {6, 4, 2, 1}, 4, 1, 512 * KiB, 1024, 0},
    {Phase::Prefill, false, Form::F32, "", {2, 1}, 4, 1, 512 * KiB, 512, 0},
    {Phase::Prefill, false, Form::Widened, "", {2, 1}, 4, 1, 512 * KiB, 1024, 0},
    // One row: 8 columns in flight, the next 8 fetched into L2 in the order of memory, so that memory sees one stream.
    {Phase::Decode, false, Form::Dot, "avx512_bf16", {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::F32, "avx512_bf16", {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::Widened, "avx512_bf16", {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::F32, "x86-64-v4", {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::Widened, "x86-64-v4", {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::F32, "", {1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::Widened, "", {1}, 8, 1, 256 * KiB, 0, 2048},
    // Columns in lanes: cols is 4 vectors of 16, or 2 to 4 of the shorter ones.
    {Phase::Prefill, true, Form::Dot, "avx512_bf16", {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::F32, "avx512_bf16", {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::Widened, "avx512_bf16", {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::F32, "x86-64-v4", {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::Widened, "x86-64-v4", {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::F32, "", {4, 2, 1}, 16, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::Widened, "", {4, 2, 1}, 16, 1, 512 * KiB, 0, 0},
    {Phase::Decode, true, Form::Dot, "avx512_bf16", {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::F32, "avx512_bf16", {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::Widened, "avx512_bf16", {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::F32, "x86-64-v4", {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::Widened, "x86-64-v4", {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::F32, "", {2, 1}, 32, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::Widened, "", {2, 1}, 32, 1, 256 * KiB, 0, 0},
};

/// Most columns of a block: bounds the scratch of interior values.
constexpr int64_t kMaxBlock = 256;

} // namespace

TileAttr kernel::tileOf(MatmulOp op, const Target &target) {
  auto x = cast<MemRefType>(op.getX().getType()), kernel = cast<MemRefType>(op.getKernel().getType());
  const int64_t depth = kernel.getShape()[op.getInputMajor() ? 0 : 1];
  Form form = Form::Widened;
  if (x.getElementType().isF32() && kernel.getElementType().isF32())
    form = Form::F32;
  else if (x.getElementType().isBF16() && kernel.getElementType().isBF16() && target.bf16Dot)
    form = Form::Dot;
  const Entry *entry = nullptr;
  for (const Entry &row : kTable)
    if (row.phase == op.getPhase() && row.inputMajor == op.getInputMajor() && row.form == form &&
        (row.target == target.name || (row.target.empty() && !entry)))
      entry = &row;
  const int64_t columnBytes = depth * kernel.getElementTypeBitWidth() / 8;
  const int64_t step = std::max<int64_t>(entry->cols, target.lanes());
  const int64_t block = std::clamp(entry->panelBytes / columnBytes / step * step, step, std::max(kMaxBlock, step));
  const bool deep = entry->depth > 0 && depth > entry->depth * 3 / 2;
  return TileAttr::get(op.getContext(), SmallVector<int64_t>(entry->rows), entry->cols, entry->unroll, block,
                       deep ? entry->depth : 0, entry->prefetch);
}
