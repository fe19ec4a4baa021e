// The table of tiles, and how cache blocks follow from it.
#include "passes/cpu/TileTable.h"
#include "passes/cpu/MatmulRows.h"

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
  unsigned registers; ///< Vector registers of the target.
  std::initializer_list<int64_t> rows;
  int64_t cols, unroll;
  int64_t panelBytes; ///< Of kernel that stays in L2 while all rows pass.
  int64_t depth;      ///< Elements of K a pass, if K is longer than 1.5 times that.
  int64_t prefetch;   ///< Bytes ahead at least; 0: none.
};

constexpr int64_t KiB = 1024;

const Entry kTable[] = {
    // 32 registers: 24 accumulators, 4 columns and a row. 16: 8 accumulators, 4 columns, rows and a temporary.
    {Phase::Prefill, false, Form::Dot, 32, {6, 4, 2, 1}, 4, 1, 512 * KiB, 1024, 0},
    {Phase::Prefill, false, Form::F32, 32, {6, 4, 2, 1}, 4, 1, 512 * KiB, 512, 0},
    {Phase::Prefill, false, Form::Widened, 32, {6, 4, 2, 1}, 4, 1, 512 * KiB, 1024, 0},
    {Phase::Prefill, false, Form::F32, 16, {2, 1}, 4, 1, 512 * KiB, 512, 0},
    {Phase::Prefill, false, Form::Widened, 16, {2, 1}, 4, 1, 512 * KiB, 1024, 0},
    // One row: 8 columns in flight, the next 8 fetched into L2 in the order of memory, so that memory sees one stream.
    {Phase::Decode, false, Form::Dot, 32, {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::F32, 32, {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::Widened, 32, {2, 1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::F32, 16, {1}, 8, 1, 256 * KiB, 0, 2048},
    {Phase::Decode, false, Form::Widened, 16, {1}, 8, 1, 256 * KiB, 0, 2048},
    // Columns in lanes: cols is 4 vectors of 16, or 2 to 4 of the shorter ones.
    {Phase::Prefill, true, Form::Dot, 32, {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::F32, 32, {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::Widened, 32, {6, 4, 2, 1}, 64, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::F32, 16, {4, 2, 1}, 16, 1, 512 * KiB, 0, 0},
    {Phase::Prefill, true, Form::Widened, 16, {4, 2, 1}, 16, 1, 512 * KiB, 0, 0},
    {Phase::Decode, true, Form::Dot, 32, {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::F32, 32, {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::Widened, 32, {2, 1}, 128, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::F32, 16, {2, 1}, 32, 1, 256 * KiB, 0, 0},
    {Phase::Decode, true, Form::Widened, 16, {2, 1}, 32, 1, 256 * KiB, 0, 0},
};

/// Most columns of a block: bounds the scratch of interior values.
constexpr int64_t kMaxBlock = 256;
/// Of the packed columns, those being packed included, which stay in L2 with two blocks of rows.
constexpr int64_t kTilePanelBytes = 1024 * KiB;

} // namespace

bool kernel::usesTiles(MatmulOp op, const Target &target) {
  auto kernel = cast<MemRefType>(op.getKernel().getType());
  return target.bf16Tiles && !op.getInputMajor() && usesDot(op, target) && kernel.getDimSize(1) % kTileDepth == 0 &&
         kernel.getDimSize(0) >= kTileRows;
}

int64_t kernel::tileBlock(int64_t depth) {
  const int64_t bytes = depth <= kPackAheadDepth ? kTilePanelBytes / 2 : kTilePanelBytes;
  return std::clamp<int64_t>(bytes / (2 * depth) / (2 * kTileRows) * (2 * kTileRows), 2 * kTileRows, kMaxBlock);
}

TileAttr kernel::tileOf(MatmulOp op, const Target &target) {
  auto x = cast<MemRefType>(op.getX().getType()), kernel = cast<MemRefType>(op.getKernel().getType());
  const int64_t depth = kernel.getShape()[op.getInputMajor() ? 0 : 1];
  Form form = Form::Widened;
  if (x.getElementType().isF32() && kernel.getElementType().isF32())
    form = Form::F32;
  else if (x.getElementType().isBF16() && kernel.getElementType().isBF16() && target.bf16Dot)
    form = Form::Dot;
  // Where tiles take over from a few rows on, the few have the decode phase's form.
  const Phase phase = usesTiles(op, target) ? Phase::Decode : op.getPhase();
  const Entry *entry = llvm::find_if(kTable, [&](const Entry &row) {
    return row.phase == phase && row.inputMajor == op.getInputMajor() && row.form == form &&
           row.registers == target.vectorRegisters;
  });
  assert(entry != std::end(kTable) && "each form has a row for 16 and 32 registers; dots have 32");
  const int64_t columnBytes = depth * kernel.getElementTypeBitWidth() / 8;
  const int64_t step = std::max<int64_t>(entry->cols, target.lanes());
  const int64_t block = std::clamp(entry->panelBytes / columnBytes / step * step, step, std::max(kMaxBlock, step));
  const bool deep = entry->depth > 0 && depth > entry->depth * 3 / 2;
  return TileAttr::get(op.getContext(), SmallVector<int64_t>(entry->rows), entry->cols, entry->unroll, block,
                       deep ? entry->depth : 0, entry->prefetch);
}
