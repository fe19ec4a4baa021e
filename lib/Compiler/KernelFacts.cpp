// Blocks are functions that several calls share, so calls are followed, with the
// step's arguments in place of the callee's.
#include "Compiler/KernelFacts.h"

#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>

using namespace mlir;

namespace graphc {

namespace {

/// "layers.*.ffn.gate" of "layers.3.ffn.gate".
std::string withoutNumbers(StringRef name) {
  SmallVector<StringRef> parts;
  name.split(parts, '.');
  for (StringRef &part : parts)
    if (!part.empty() && part.find_first_not_of("0123456789") == StringRef::npos)
      part = "*";
  return llvm::join(parts, ".");
}

/// Visits the kernels of a step in order, calls followed.
class StepWalk {
public:
  using Visit = llvm::function_ref<void(Operation *kernel, StringRef block, const llvm::DenseMap<Value, Value> &arguments)>;

  StepWalk(ModuleOp module, Visit visit) : module(module), visit(visit) {}

  void walk(func::FuncOp function, StringRef block = "") {
    function.walk([&](Operation *op) {
      if (auto call = dyn_cast<func::CallOp>(op))
        follow(call);
      else if (isa_and_nonnull<kernel::KernelDialect>(op->getDialect()) && op->hasAttr("layers"))
        visit(op, block, arguments);
    });
  }

private:
  void follow(func::CallOp call) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return;
    for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands())) {
      Value source = arguments.lookup(operand);
      arguments[argument] = source ? source : operand;
    }
    auto path = call->getAttrOfType<StringAttr>("layer.path");
    walk(callee, path ? path.getValue() : StringRef());
  }

  ModuleOp module;
  Visit visit;
  llvm::DenseMap<Value, Value> arguments; // of callees -> of the step
};

std::string kernelName(Operation *op, StringRef block) {
  auto layers = op->getAttrOfType<ArrayAttr>("layers");
  std::string name = layers.empty() ? op->getName().stripDialect().str() : cast<StringAttr>(layers[0]).getValue().str();
  return withoutNumbers(block.empty() ? StringRef(name) : StringRef((block + "." + name).str()));
}

uint64_t elementBytes(Value memref) { return uint64_t(cast<MemRefType>(memref.getType()).getElementTypeBitWidth() / 8); }

/// Bytes of a row of (rows, width) or (rows) memory.
uint64_t rowBytes(Value memref) {
  uint64_t bytes = elementBytes(memref);
  for (int64_t dim : cast<MemRefType>(memref.getType()).getShape().drop_front())
    bytes *= uint64_t(dim);
  return bytes;
}

} // namespace

std::vector<SlotUsers> slotUsersOf(ModuleOp module) {
  llvm::MapVector<int64_t, llvm::SetVector<StringAttr>> users;
  for (const char *step : {kPrefillSymbol, kDecodeSymbol, kEncoderSymbol}) {
    auto function = module.lookupSymbol<func::FuncOp>(step);
    if (!function)
      continue;
    auto visit = [&](Operation *op, StringRef block, const llvm::DenseMap<Value, Value> &arguments) {
      for (Value operand : op->getOperands()) {
        while (auto view = operand.getDefiningOp<ViewLikeOpInterface>())
          operand = view.getViewSource();
        if (Value source = arguments.lookup(operand))
          operand = source;
        while (auto view = operand.getDefiningOp<ViewLikeOpInterface>())
          operand = view.getViewSource();
        auto argument = dyn_cast<BlockArgument>(operand);
        if (!argument || argument.getOwner() != &function.front())
          continue;
        auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kernel::kBindingAttr);
        if (auto slot = binding ? binding.getAs<IntegerAttr>("slot") : IntegerAttr())
          users[slot.getInt()].insert(StringAttr::get(module.getContext(), kernelName(op, block)));
      }
    };
    StepWalk(module, visit).walk(function);
  }
  std::vector<SlotUsers> result;
  for (auto &[slot, names] : users) {
    SlotUsers entry{slot, {}};
    for (StringAttr name : names)
      entry.kernels.push_back(name.str());
    result.push_back(std::move(entry));
  }
  std::sort(result.begin(), result.end(), [](const SlotUsers &a, const SlotUsers &b) { return a.slot < b.slot; });
  return result;
}

std::vector<StackScratch> stackScratchOf(ModuleOp module) {
  std::vector<StackScratch> result;
  for (auto function : module.getOps<func::FuncOp>()) {
    int64_t bytes = 0;
    function.walk([&](memref::AllocaOp alloca) {
      bytes += alloca.getType().getNumElements() * int64_t(alloca.getType().getElementTypeBitWidth() / 8);
    });
    if (bytes > 0)
      result.push_back({function.getSymName().str(), bytes});
  }
  std::stable_sort(result.begin(), result.end(), [](const StackScratch &a, const StackScratch &b) { return a.bytes > b.bytes; });
  return result;
}

CacheTraffic cacheTrafficOf(ModuleOp module) {
  CacheTraffic traffic;
  auto function = module.lookupSymbol<func::FuncOp>(kDecodeSymbol);
  if (!function)
    return traffic;
  auto visit = [&](Operation *op, StringRef, const llvm::DenseMap<Value, Value> &) {
    if (auto attention = dyn_cast<kernel::CachedAttentionOp>(op)) {
      uint64_t bytes = 0; // of a row
      for (Value side : {attention.getKeys(), attention.getValues()}) {
        ArrayRef<int64_t> shape = cast<MemRefType>(side.getType()).getShape(); // (batch, kvHeads, rows, headDim)
        bytes += uint64_t(shape[1] * shape[3]) * elementBytes(side);
      }
      for (Value scales : {attention.getKeyScales(), attention.getValueScales()})
        if (scales) // (batch, kvHeads, rows)
          bytes += uint64_t(cast<MemRefType>(scales.getType()).getShape()[1]) * elementBytes(scales);
      const bool isCross = !attention.getKey();
      (isCross ? traffic.readPerSourceRow : traffic.readPerRow) += bytes;
      traffic.writtenPerToken += isCross ? 0 : bytes;
    } else if (auto move = dyn_cast<kernel::SeedMoveOp>(op)) {
      ++traffic.casts;
      traffic.readPerRow += rowBytes(move.getX());
      traffic.writtenPerRow += rowBytes(move.getOut());
    } else if (auto update = dyn_cast<kernel::SeedUpdateOp>(op)) {
      traffic.casts += update.getX().getType() != update.getOut().getType();
      traffic.readPerRow += rowBytes(update.getX());
      traffic.writtenPerRow += rowBytes(update.getOut());
    } else if (auto attention = dyn_cast<kernel::SeedAttentionOp>(op)) {
      traffic.readPerRow += rowBytes(attention.getKeys()) + rowBytes(attention.getValues()) + rowBytes(attention.getKeyPositions());
    } else if (auto merge = dyn_cast<kernel::SeedMergeMaskOp>(op)) {
      traffic.readPerRow += rowBytes(merge.getMask());
      traffic.writtenPerRow += rowBytes(merge.getOut());
    } else if (auto positions = dyn_cast<kernel::SeedKeyPositionsOp>(op)) {
      traffic.readPerRow += rowBytes(positions.getMask());
      traffic.writtenPerRow += rowBytes(positions.getOut());
    }
  };
  StepWalk(module, visit).walk(function);
  return traffic;
}

} // namespace graphc
