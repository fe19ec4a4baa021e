// The contract of the cache, proved on kernels. Kernels name the operands that
// are cache memory and nothing else may touch it, so following arguments through
// calls is following memory.
#include "IR/CacheMemory.h"
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_VERIFYCACHE
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// A slot's side in all steps: block and name of its binding.
using SideKey = std::pair<int64_t, StringRef>;

struct VerifyCache : graphc::kernel::impl::VerifyCacheBase<VerifyCache> {
  using VerifyCacheBase::VerifyCacheBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable table(module);
    symbols = &table;
    sound = true;
    sides.clear();
    updatedIn.clear();
    for (auto function : module.getOps<func::FuncOp>()) {
      checkTypes(function);
      function.walk([&](Operation *op) { checkAllocation(op); });
    }
    for (auto function : module.getOps<func::FuncOp>())
      if (sound && isStepFunction(function))
        checkStep(function);
    for (auto &[key, side] : sides)
      if (sound && !side.update)
        broken(side.reader->getLoc()) << side.binding.text() << " are read but never updated: new rows are lost";
    if (!sound)
      return signalPassFailure();
    numSlots += sides.size();
    reportCounters(module, getArgument(), report, {&numSlots, &numKernels, &numUpdates, &numCalls, &numBuffers}, facts);
  }

  Facts *facts = nullptr;

private:
  /// What is known of a side after some steps.
  struct Side {
    CacheBinding binding;
    Type type;
    func::FuncOp step; ///< The first one that binds it.
    Operation *update = nullptr, *reader = nullptr;
    func::FuncOp readIn; ///< The last step that reads it without an update.
  };
  /// Step arguments behind a function's arguments.
  using Arguments = llvm::DenseMap<Value, BlockArgument>;

  InFlightDiagnostic broken(Location loc) {
    sound = false;
    return breakContract(loc);
  }

  /// Cache memory is an argument, of the type that its space stands for, and only
  /// kernels and calls take it.
  void checkTypes(func::FuncOp function) {
    auto check = [&](Value value) {
      std::optional<DType> dtype = cacheDTypeOf(value.getType());
      if (!dtype)
        return;
      if (hasForeignElements(value.getType())) {
        auto diagnostic = broken(value.getLoc()) << "cache memory in space " << spaceOf(value.getType()) << " must hold "
                                                 << StringRef(info(*dtype).name) << ", got " << value.getType();
        noteOrigin(diagnostic, value);
      } else if (Operation *op = value.getDefiningOp()) {
        auto diagnostic = broken(op->getLoc()) << "cache memory must be an argument of the step, got a result of '"
                                               << op->getName() << "'";
        noteOrigin(diagnostic, value);
      }
      for (OpOperand &use : value.getUses())
        checkUse(use);
    };
    function.walk([&](Block *block) { llvm::for_each(block->getArguments(), check); });
    function.walk([&](Operation *op) { llvm::for_each(op->getResults(), check); });
  }

  void checkUse(OpOperand &use) {
    Operation *op = use.getOwner();
    if (auto kernel = dyn_cast<CacheKernel>(op))
      if (llvm::any_of(kernel.getCacheSides(), [&](const CacheSide &side) { return side.memory == &use; }))
        return;
    auto call = dyn_cast<func::CallOp>(op);
    if (auto callee = call ? symbols->lookup<func::FuncOp>(call.getCallee()) : func::FuncOp(); callee && !callee.isExternal())
      return;
    auto diagnostic = broken(op->getLoc());
    if (call)
      diagnostic << "call of '" << call.getCallee() << "', whose code is not here, takes cache memory";
    else
      diagnostic << "'" << op->getName() << "' must not touch cache memory";
    noteOrigin(diagnostic, use.get());
  }

  /// Nothing but placed buffers, and none of the cache's size.
  void checkAllocation(Operation *op) {
    auto effects = dyn_cast<MemoryEffectOpInterface>(op);
    if (!effects || !effects.hasEffect<MemoryEffects::Allocate>())
      return;
    auto buffer = dyn_cast<BufferOp>(op);
    if (!buffer)
      broken(op->getLoc()) << "'" << op->getName() << "' must not allocate memory: only buffers of the memory plan may be used";
    else if (growsWithCapacity(buffer.getSymbolAttr()))
      broken(op->getLoc()) << "buffer must not grow with the capacity, got " << buffer.getSymbolAttr();
  }

  void checkStep(func::FuncOp step) {
    const bool hasCache = llvm::any_of(step.getArgumentTypes(), [](Type type) { return cacheDTypeOf(type).has_value(); });
    Arguments arguments;
    llvm::MapVector<SideKey, unsigned> bound;
    for (BlockArgument argument : step.getArguments()) {
      const unsigned index = argument.getArgNumber();
      std::optional<CacheBinding> binding = cacheBindingOf(step, index);
      if (bool(binding) != cacheDTypeOf(argument.getType()).has_value()) {
        broken(argument.getLoc()) << "argument " << index << " of '" << step.getName() << "' must be bound as cache if and only if "
                                  << "it is in the memory space of a dtype, got " << argument.getType();
        continue;
      }
      if (!binding) {
        if (hasCache) // seed mode carries its cache as tensors, and needs copies of them
          checkBuffer(step, index);
        continue;
      }
      const SideKey key(binding->block, binding->side);
      if (auto [other, fresh] = bound.try_emplace(key, index); !fresh)
        broken(argument.getLoc()) << "arguments " << other->second << " and " << index << " of '" << step.getName()
                                  << "' are the same memory: " << binding->text();
      checkBinding(step, argument, *binding);
      arguments[argument] = argument;
    }
    if (!sound)
      return;
    used.clear();
    visit(step, arguments, step);
    for (auto [key, index] : bound)
      if (Side &side = sides.find(key)->second; side.binding.isOfCross() && isUpdatedIn(step, side) && side.readIn == step)
        broken(side.reader->getLoc()) << side.binding.text() << " are stored in '" << step.getName() << "', which reads them: "
                                      << "a source's rows must not change while a decoder reads them";
      else if (!used.contains(step.getArgument(index)))
        broken(step.getLoc()) << cacheBindingOf(step, index)->text() << " are bound in '" << step.getName()
                              << "', but no kernel updates or reads them";
  }

  /// The same slot is the same memory in all steps: the output is the input.
  void checkBinding(func::FuncOp step, BlockArgument argument, const CacheBinding &binding) {
    auto [entry, fresh] = sides.try_emplace(SideKey(binding.block, binding.side), Side{binding, argument.getType(), step});
    Side &side = entry->second;
    if (side.type == argument.getType() && side.binding.attributes == binding.attributes)
      return;
    auto diagnostic = broken(argument.getLoc()) << binding.text() << " must be the same memory in all steps, got "
                                                << argument.getType() << " with " << binding.attributes.get("dims") << " in '"
                                                << step.getName() << "'";
    diagnostic.attachNote(side.step.getLoc()) << side.type << " with " << side.binding.attributes.get("dims") << " in '"
                                              << side.step.getName() << "'";
  }

  void checkBuffer(func::FuncOp step, unsigned index) {
    auto binding = step.getArgAttrOfType<DictionaryAttr>(index, kBindingAttr);
    auto kind = binding ? binding.getAs<StringAttr>("kind") : StringAttr();
    if (!kind || kind.getValue() != "buffer")
      return;
    ++numBuffers;
    for (Attribute dim : binding.getAs<ArrayAttr>("dims"))
      if (growsWithCapacity(dim))
        broken(step.getLoc()) << "buffer " << binding.get("name") << " must not grow with the capacity, got dims "
                              << binding.get("dims");
  }

  /// Follows the cache memory of `step` through the kernels and calls of `function`.
  void visit(func::FuncOp function, const Arguments &arguments, func::FuncOp step) {
    function.walk([&](Operation *op) {
      if (auto kernel = dyn_cast<CacheKernel>(op))
        checkKernel(kernel, arguments, step);
      else if (auto call = dyn_cast<func::CallOp>(op))
        visitCall(call, arguments, step);
    });
  }

  void visitCall(func::CallOp call, const Arguments &arguments, func::FuncOp step) {
    auto callee = symbols->lookup<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return; // takes no cache, as was checked
    Arguments inner;
    for (auto [operand, parameter] : llvm::zip(call.getOperands(), callee.getArguments()))
      if (auto found = arguments.find(operand); found != arguments.end())
        inner[parameter] = found->second;
    if (inner.empty())
      return;
    if (!open.insert(callee)) {
      broken(call.getLoc()) << "recursive call of '" << call.getCallee() << "' takes cache memory";
      return;
    }
    ++numCalls;
    visit(callee, inner, step);
    open.remove(callee);
  }

  void checkKernel(CacheKernel kernel, const Arguments &arguments, func::FuncOp step) {
    std::optional<CacheBinding> first;
    for (const CacheSide &operand : kernel.getCacheSides()) {
      auto found = arguments.find(operand.memory->get());
      if (found == arguments.end()) {
        auto diagnostic = broken(kernel->getLoc()) << "kernel '" << kernel->getName() << "' takes " << operand.name
                                                   << " that are no cache of '" << step.getName() << "'";
        noteOrigin(diagnostic, operand.memory->get());
        continue;
      }
      const CacheBinding binding = *cacheBindingOf(step, found->second.getArgNumber());
      Side &side = sides.find(SideKey(binding.block, binding.side))->second;
      if (binding.side != operand.name || (first && first->block != binding.block)) {
        auto diagnostic = broken(kernel->getLoc()) << "kernel '" << kernel->getName() << "' takes " << binding.text() << " as "
                                                   << operand.name;
        if (first)
          diagnostic << " beside " << first->text();
        noteOrigin(diagnostic, found->second);
      }
      first = first ? first : std::optional(binding);
      side.reader = kernel;
      used.insert(found->second);
      if (operand.updated)
        recordUpdate(kernel, side, step);
      else
        side.readIn = step;
    }
    ++numKernels;
  }

  bool isUpdatedIn(func::FuncOp step, const Side &side) const {
    return updatedIn.contains({step.getOperation(), side.binding.attributes});
  }

  void recordUpdate(CacheKernel kernel, Side &side, func::FuncOp step) {
    if (updatedIn.insert({step.getOperation(), side.binding.attributes}).second) {
      side.update = kernel;
      ++numUpdates;
      return;
    }
    auto diagnostic = broken(kernel->getLoc()) << side.binding.text() << " are updated more than once in '" << step.getName()
                                               << "': two slots are one memory";
    diagnostic.attachNote(side.update->getLoc()) << "also updated by '" << side.update->getName() << "'";
  }

  SymbolTable *symbols = nullptr;
  bool sound = true;
  llvm::MapVector<SideKey, Side> sides;
  llvm::SetVector<Operation *> open; ///< Callees being visited.
  llvm::DenseSet<std::pair<Operation *, Attribute>> updatedIn; ///< Steps and the sides they update.
  llvm::DenseSet<Value> used;                                  ///< Arguments of the step that kernels take.

  Counter numSlots{"slots"};
  Counter numKernels{"kernels"};
  Counter numUpdates{"updates"};
  Counter numCalls{"calls"};
  Counter numBuffers{"buffers"};
};

} // namespace

std::unique_ptr<Pass> graphc::kernel::createVerifyCache(bool report, Facts *facts) {
  return createWithFacts<VerifyCache>(VerifyCacheOptions{report}, facts);
}
