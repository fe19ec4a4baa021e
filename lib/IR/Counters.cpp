// Counters as one remark, in the order in which the pass lists them.
#include "IR/Counters.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Remarks.h"
#include "mlir/IR/SymbolTable.h"

namespace graphc {

using mlir::remark::RemarkOpts;
using Arg = mlir::remark::detail::Remark::Arg;

void reportCounters(mlir::Operation *op, llvm::StringRef pass, bool wanted,
                    std::initializer_list<Counter *> counters, Facts *facts) {
  std::string text;
  {
    auto remark = mlir::remark::analysis(op->getLoc(), RemarkOpts::name(kCountersRemark).category(pass));
    for (Counter *counter : counters) {
      if (facts)
        facts->push_back({counter->name.str(), counter->value});
      if (counter->value) {
        text += (text.empty() ? " " : ", ") + std::to_string(counter->value) + " " + counter->name.str();
        remark << Arg(counter->name, counter->value);
      }
      counter->value = 0;
    }
  }
  if (!wanted)
    return;
  auto remark = mlir::emitRemark(op->getLoc()) << pass;
  if (op->getName().getDialectNamespace() == "func") // a module may have many; it has few graphs
    remark << " @" << mlir::SymbolTable::getSymbolName(op).getValue();
  remark << ":" << (text.empty() ? " nothing to count" : text);
}

void countDone(mlir::Operation *op, llvm::StringRef pass, Counter &counter, llvm::StringRef layer,
               const llvm::Twine &text) {
  ++counter;
  mlir::remark::passed(op->getLoc(), RemarkOpts::name(counter.name).category(pass).function(layer)) << text.str();
}

void countMissed(mlir::Operation *op, llvm::StringRef pass, Counter &counter, llvm::StringRef layer,
                 const llvm::Twine &reason) {
  ++counter;
  mlir::remark::missed(op->getLoc(), RemarkOpts::name(counter.name).category(pass).function(layer)) << reason.str();
}

} // namespace graphc
