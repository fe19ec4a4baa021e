// The one table of tiles: how each kind of matrix product is blocked on each
// target. Every number that was tuned is here, with what was measured.
#pragma once

#include "graphc/IR/Kernel.h"
#include "Support/Target.h"

namespace graphc::kernel {

/// The tile of a matrix product in a phase: the row that fits its types and the
/// target, with cache blocks sized for its inner dimension.
TileAttr tileOf(MatmulOp op, const Target &target);

} // namespace graphc::kernel
