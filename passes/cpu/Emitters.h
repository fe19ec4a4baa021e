// One function for each kernel: it replaces the op by loops over vectors. The
// op stands alone in a function whose first arguments are the thread and the
// number of threads (cpu-outline-kernels makes it so).
#pragma once

#include "graphc/IR/Kernel.h"
#include "passes/cpu/VectorEmitter.h"

namespace graphc::kernel {

/// The tile is set; widths are static, rows are not.
void emitMatmul(MatmulOp op, const Target &target);
void emitRmsNorm(RmsNormOp op, const Target &target);
void emitLayerNorm(LayerNormOp op, const Target &target);
void emitEmbedding(EmbeddingOp op, const Target &target);
void emitElementwise(ElementwiseOp op, const Target &target);
void emitRotary(RotaryOp op, const Target &target);
void emitGatherRows(GatherRowsOp op, const Target &target);
void emitCachedAttention(CachedAttentionOp op, const Target &target);
void emitAttention(AttentionOp op, const Target &target);
void emitCacheStore(CacheStoreOp op, const Target &target);
/// Any kernel of seed mode.
void emitSeed(SeedKernel op, const Target &target);

} // namespace graphc::kernel
