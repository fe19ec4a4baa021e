// Tiles from the table, as attributes: visible in the text, and changed there.
#include "passes/cpu/Passes.h"
#include "passes/cpu/TileTable.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_CHOOSETILES
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace graphc;
using namespace graphc::kernel;

namespace {
struct ChooseTiles : graphc::cpu::impl::ChooseTilesBase<ChooseTiles> {
  using ChooseTilesBase::ChooseTilesBase;

  void runOnOperation() override {
    const Target *target = cpu::targetOrError(getOperation(), this->target);
    if (!target)
      return signalPassFailure();
    getOperation().walk([&](MatmulOp op) {
      if (!op.getTile())
        op.setTileAttr(tileOf(op, *target));
      if (usesTiles(op, *target))
        op.setPhase(Phase::Prefill); // one function serves any number of rows, so both phases share it
    });
  }
};
} // namespace
