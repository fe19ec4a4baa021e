// Counters as one remark, in the order in which the pass lists them.
#include "IR/Counters.h"

#include "mlir/IR/Diagnostics.h"

namespace graphc {

void reportCounters(mlir::Operation *op, llvm::StringRef pass, bool wanted,
                    std::initializer_list<Counter *> counters, Facts *facts) {
  std::string text;
  for (Counter *counter : counters) {
    if (facts)
      facts->push_back({counter->name.str(), counter->value});
    if (counter->value)
      text += (text.empty() ? " " : ", ") + std::to_string(counter->value) + " " + counter->name.str();
    counter->value = 0;
  }
  if (wanted)
    mlir::emitRemark(op->getLoc()) << pass << ":" << (text.empty() ? " nothing to count" : text);
}

} // namespace graphc
