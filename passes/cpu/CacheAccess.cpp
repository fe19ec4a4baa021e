// Bindings through calls, and accesses through views.
#include "passes/cpu/CacheAccess.h"

#include "Support/Program.h"
#include "graphc/IR/Kernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace graphc::cpu {

static Value behindViews(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

//===-- Bindings ------------------------------------------------------------===//

/// Kinds of memory that a step may write, beside the cache.
static bool isDestination(StringAttr kind) {
  return kind && (kind == "buffer" || kind == "output" || kind == "carry");
}

BoundMemory::BoundMemory(ModuleOp module) {
  for (auto function : module.getOps<func::FuncOp>()) {
    if (!kernel::isStepFunction(function))
      continue;
    reached.insert(function);
    for (BlockArgument argument : function.getArguments())
      if (auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kernel::kBindingAttr))
        bound[argument] = {binding.getAs<StringAttr>("kind"), binding.getAs<StringAttr>("name"),
                           binding.getAs<ArrayAttr>("dims"), isDestination(binding.getAs<StringAttr>("kind"))};
  }
  for (bool changed = true; changed;) { // calls are few and shallow
    changed = false;
    for (auto function : module.getOps<func::FuncOp>())
      if (reached.contains(function))
        changed |= follow(function, module);
  }
}

/// Hands what is known of operands to the callees' arguments. True if that was news.
bool BoundMemory::follow(func::FuncOp function, ModuleOp module) {
  bool changed = false;
  function.walk([&](func::CallOp call) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return;
    changed |= reached.insert(callee).second;
    for (auto [operand, argument] : llvm::zip(call.getOperands(), callee.getArguments())) {
      if (!isa<MemRefType>(operand.getType())) {
        auto [entry, fresh] = threadNumbers.try_emplace(argument, isNotNegative(operand));
        changed |= fresh || (entry->second && !isNotNegative(operand));
        entry->second &= isNotNegative(operand);
        continue;
      }
      const Bound passed = of(operand).value_or(Bound());
      auto [entry, fresh] = bound.try_emplace(argument, passed);
      const Bound before = entry->second;
      if (entry->second.kind != passed.kind)
        entry->second.kind = {};
      if (entry->second.name != passed.name)
        entry->second.name = {};
      if (entry->second.dims != passed.dims)
        entry->second.dims = {};
      entry->second.isDestination &= passed.isDestination;
      changed |= fresh || entry->second != before;
    }
  });
  return changed;
}

std::optional<Bound> BoundMemory::of(Value memref) const {
  Value root = behindViews(memref);
  auto found = bound.find(root);
  if (found == bound.end())
    return std::nullopt;
  Bound result = found->second;
  if (root != memref)
    result.dims = {}; // a view has sizes of its own
  return result;
}

bool BoundMemory::isReached(func::FuncOp function) const { return reached.contains(function); }

StringRef BoundMemory::inputName(Value memref) const {
  auto found = bound.find(memref);
  if (found == bound.end() || !found->second.kind || found->second.kind.getValue() != "input" || !found->second.name)
    return {};
  return found->second.name.getValue();
}

std::pair<StringRef, int64_t> BoundMemory::symbolOf(Value memref, int64_t dim) const {
  auto found = bound.find(memref);
  if (found == bound.end() || !found->second.dims || dim >= int64_t(found->second.dims.size()))
    return {};
  auto text = dyn_cast<StringAttr>(found->second.dims[dim]);
  absl::StatusOr<Dim> parsed = parseDim(text ? std::string_view(text.getValue()) : std::string_view());
  if (!text || !parsed.ok() || parsed->isNumber() || parsed->multiple != 1)
    return {};
  return {text.getValue().substr(0, parsed->symbol.size()), parsed->offset};
}

bool BoundMemory::isNotNegative(Value value) const {
  return value.getDefiningOp<kernel::ThreadIdOp>() || value.getDefiningOp<kernel::NumThreadsOp>() ||
         threadNumbers.lookup(value);
}

//===-- Accesses ------------------------------------------------------------===//

/// Elements that a mask lets through at most.
static Affine maskedWidth(Value mask, Affine all, IndexBounds &bounds) {
  if (auto constant = mask ? mask.getDefiningOp<vector::ConstantMaskOp>() : vector::ConstantMaskOp())
    return Affine{{}, constant.getMaskDimSizes().back()};
  if (auto prefix = mask ? mask.getDefiningOp<vector::CreateMaskOp>() : vector::CreateMaskOp())
    return bounds.of(prefix.getOperands().back());
  return all;
}

/// Turns indices into those of the memory behind the views; drops them where a
/// view is no plain part of its source.
static void throughViews(Access &access, IndexBounds &bounds) {
  while (Operation *op = access.root.getDefiningOp()) {
    if (auto cast = dyn_cast<memref::CastOp>(op)) {
      access.root = cast.getSource();
      continue;
    }
    auto view = dyn_cast<memref::SubViewOp>(op);
    if (!view)
      return;
    access.root = view.getSource();
    const llvm::SmallBitVector dropped = view.getDroppedDims();
    const int64_t rank = view.getSourceType().getRank();
    bool plain = !access.indices.empty() && !dropped.test(rank - 1);
    for (OpFoldResult stride : view.getMixedStrides())
      plain &= getConstantIntValue(stride) == 1;
    if (!plain) {
      access.indices.clear();
      continue;
    }
    std::vector<Affine> indices;
    size_t next = 0;
    for (int64_t dim = 0; dim < rank; ++dim) {
      OpFoldResult offset = view.getMixedOffsets()[dim];
      auto constant = getConstantIntValue(offset);
      Affine index = constant ? Affine{{}, *constant} : bounds.of(cast<Value>(offset));
      if (!dropped.test(dim))
        index = index.plus(access.indices[next++]);
      indices.push_back(std::move(index));
    }
    access.indices = std::move(indices);
  }
}

Access accessOf(OpOperand &use, IndexBounds &bounds) {
  using Kind = Access::Kind;
  Access access;
  ValueRange indices;
  Operation *op = use.getOwner();
  auto set = [&](Kind kind, Value memref, ValueRange at, Type element, Value mask = {}) {
    if (memref != use.get() || (kind == Kind::Store && use.getOperandNumber() == 0 && !isa<vector::MaskedStoreOp>(op)))
      return;
    access.kind = kind;
    access.root = memref;
    indices = at;
    auto vector = dyn_cast<VectorType>(element);
    access.width = Affine{{}, vector ? vector.getShape().back() : 1};
    if (vector && vector.getRank() != 1)
      indices = {}; // rows apart: not followed
    access.width = maskedWidth(mask, access.width, bounds);
  };
  llvm::TypeSwitch<Operation *>(op)
      .Case([&](memref::LoadOp x) { set(Kind::Load, x.getMemRef(), x.getIndices(), x.getType()); })
      .Case([&](vector::LoadOp x) { set(Kind::Load, x.getBase(), x.getIndices(), x.getType()); })
      .Case([&](vector::MaskedLoadOp x) { set(Kind::Load, x.getBase(), x.getIndices(), x.getType(), x.getMask()); })
      .Case([&](vector::TransferReadOp x) { set(Kind::Load, x.getBase(), x.getIndices(), x.getType()); })
      .Case([&](memref::StoreOp x) { set(Kind::Store, x.getMemRef(), x.getIndices(), x.getValueToStore().getType()); })
      .Case([&](vector::StoreOp x) { set(Kind::Store, x.getBase(), x.getIndices(), x.getValueToStore().getType()); })
      .Case([&](vector::MaskedStoreOp x) {
        set(Kind::Store, x.getBase(), x.getIndices(), x.getValueToStore().getType(), x.getMask());
      })
      .Case([&](vector::TransferWriteOp x) {
        const bool plain = x.getPermutationMap().isMinorIdentity();
        set(Kind::Store, x.getBase(), plain ? x.getIndices() : ValueRange(), x.getValueToStore().getType(), x.getMask());
      })
      .Case([&](memref::PrefetchOp x) { set(x.getIsWrite() ? Kind::None : Kind::Prefetch, x.getMemref(), {}, x.getMemref().getType()); });
  if (access.kind == Kind::None)
    return access;
  for (Value index : indices)
    access.indices.push_back(bounds.of(index));
  throughViews(access, bounds);
  return access;
}

} // namespace graphc::cpu
