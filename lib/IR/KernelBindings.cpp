// The one list of bindings that prefill and decode share. The runtime fills one
// table of pointers for both, so an argument is known by what is bound to it,
// not by its place in a function.
#include "graphc/IR/Kernel.h"

#include "Support/Message.h"
#include "Support/Program.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace graphc::kernel {

bool isStepFunction(FunctionOpInterface function) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (function.getArgAttr(i, kBindingAttr))
      return true;
  return false;
}

DictionaryAttr bindingEntry(DictionaryAttr binding, Type type) {
  NamedAttrList entry(binding);
  entry.set("type", TypeAttr::get(type));
  return entry.getDictionary(binding.getContext());
}

static LogicalResult addSymbols(FunctionOpInterface function, DictionaryAttr binding, llvm::SetVector<StringRef> &symbols) {
  auto dims = binding.getAs<ArrayAttr>("dims");
  if (!dims)
    return function.emitError("binding ") << binding.get("name") << " must have dims";
  for (Attribute dim : dims) {
    auto text = dyn_cast<StringAttr>(dim);
    if (!text)
      continue;
    absl::StatusOr<Dim> parsed = parseDim(text.getValue());
    if (!parsed.ok())
      return function.emitError() << concat(parsed.status().message());
    if (!parsed->isNumber())
      symbols.insert(text.getValue().substr(0, parsed->symbol.size()));
  }
  return success();
}

LogicalResult collectBindings(ModuleOp module) {
  llvm::SetVector<Attribute> bindings, traces;
  llvm::SetVector<StringRef> symbols;
  for (StringRef symbol : {"threads", "tokens", "batch", "rows", "capacity"})
    symbols.insert(symbol);
  for (auto function : module.getOps<FunctionOpInterface>()) {
    if (!isStepFunction(function))
      continue;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto binding = function.getArgAttrOfType<DictionaryAttr>(i, kBindingAttr);
      if (!binding)
        return function.emitError("argument ") << i << " of a step function must have a '" << kBindingAttr << "' attribute";
      if (failed(addSymbols(function, binding, symbols)))
        return failure();
      const bool isTrace = binding.get("kind") == StringAttr::get(module.getContext(), "trace");
      (isTrace ? traces : bindings).insert(bindingEntry(binding, function.getArgument(i).getType()));
    }
  }
  bindings.insert(traces.begin(), traces.end()); // the runtime wants the hook last
  Builder builder(module.getContext());
  module->setAttr(kBindingsAttr, builder.getArrayAttr(bindings.getArrayRef()));
  module->setAttr(kSymbolsAttr, builder.getStrArrayAttr(symbols.getArrayRef()));
  return success();
}

} // namespace graphc::kernel
