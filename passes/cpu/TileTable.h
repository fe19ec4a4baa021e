// The one table of tiles: how each kind of matrix product is blocked on each
// target. Every number that was tuned is here, with what was measured.
#pragma once

#include "graphc/IR/Kernel.h"
#include "Support/Target.h"
#include "passes/cpu/TileEmitter.h"

namespace graphc::kernel {

/// The tile of a matrix product in a phase: the row that fits its types and the
/// target, with cache blocks sized for its inner dimension.
TileAttr tileOf(MatmulOp op, const Target &target);

/// Products of so few rows go to the dot instruction: they read their weights as
/// fast as memory allows, which tiles do not quite.
constexpr int64_t kDotRows = 2;
/// Weights that are loaded as tiles are fetched in the order of memory, the next tile
/// of columns while this one is multiplied; rows as long as this, each by itself some
/// steps ahead: 16 of them are too much to fetch that early.
constexpr int64_t kLongDepth = 2048, kStepsAhead = 4;
/// 32 rows as long as this fill the 48 KiB of L1; longer ones come from L2 each time.
constexpr int64_t kResidentDepth = 768;
/// Columns of such depth are packed while those before them are multiplied; two blocks of deeper
/// ones leave no room in L2 for enough columns each.
constexpr int64_t kPackAheadDepth = 1536;
/// Whether more than kDotRows rows are multiplied by tiles.
bool usesTiles(MatmulOp op, const Target &target);
/// Columns of a block of such a product.
int64_t tileBlock(int64_t depth);

} // namespace graphc::kernel
