// Reading of cache bindings, and notes on the way of memory.
#include "IR/CacheMemory.h"

#include "Support/Contract.h"
#include "graphc/IR/Layer.h"

#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;

namespace graphc::kernel {

InFlightDiagnostic breakContract(Location loc) { return emitError(loc) << StringRef(kContractPrefix); }

void noteOrigin(InFlightDiagnostic &diagnostic, Value value) {
  while (Operation *op = value.getDefiningOp()) {
    auto view = dyn_cast<ViewLikeOpInterface>(op);
    diagnostic.attachNote(op->getLoc()) << (view ? "through '" : "made by '") << op->getName() << "'";
    if (!view)
      return;
    value = view.getViewSource();
  }
  auto argument = cast<BlockArgument>(value);
  auto function = dyn_cast<FunctionOpInterface>(argument.getOwner()->getParentOp());
  if (!function) {
    diagnostic.attachNote(argument.getLoc()) << "from an argument of '" << argument.getOwner()->getParentOp()->getName()
                                             << "'";
    return;
  }
  Diagnostic &note = diagnostic.attachNote(function.getLoc());
  note << "from argument " << argument.getArgNumber() << " of '" << function.getName() << "'";
  if (std::optional<CacheBinding> binding = cacheBindingOf(function, argument.getArgNumber()))
    note << ": " << binding->text();
}

int64_t spaceOf(Type memref) {
  auto space = dyn_cast_or_null<IntegerAttr>(cast<BaseMemRefType>(memref).getMemorySpace());
  return space ? space.getInt() : 0;
}

bool hasForeignElements(Type type) {
  std::optional<DType> dtype = cacheDTypeOf(type);
  return dtype && layer::dtypeOf(cast<BaseMemRefType>(type).getElementType()) != dtype;
}

bool growsWithCapacity(Attribute dim) {
  auto text = dyn_cast<StringAttr>(dim);
  return text && llvm::any_of(ArrayRef<StringRef>{"capacity", "cache_rows", "window:", "source"},
                              [&](StringRef symbol) { return text.getValue().starts_with(symbol); });
}

std::string CacheBinding::text() const { return (side + " of block " + Twine(block)).str(); }

std::optional<CacheBinding> cacheBindingOf(FunctionOpInterface step, unsigned argument) {
  auto binding = dyn_cast_or_null<DictionaryAttr>(step.getArgAttr(argument, kBindingAttr));
  auto kind = binding ? binding.getAs<StringAttr>("kind") : StringAttr();
  auto name = binding ? binding.getAs<StringAttr>("name") : StringAttr();
  if (!kind || kind.getValue() != "cache" || !name)
    return std::nullopt;
  auto block = binding.getAs<IntegerAttr>("block");
  return CacheBinding{name.getValue(), block ? block.getInt() : 0, binding};
}

} // namespace graphc::kernel
