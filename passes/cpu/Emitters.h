// One function for each kernel: it replaces the op by loops over vectors. The
// op stands alone in a function whose first arguments are the thread and the
// number of threads (cpu-outline-kernels makes it so).
#pragma once

#include "graphc/IR/Kernel.h"
#include "passes/cpu/VectorEmitter.h"

namespace graphc::kernel {

void emitCachedAttention(CachedAttentionOp op, const Target &target);

} // namespace graphc::kernel
