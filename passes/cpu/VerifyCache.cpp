// The contract of the cache, proved on vector code. Every use of cache memory is
// looked at; every store to it is proved to lie in the rows of new tokens, by the
// bounds of its indices; every write goes where a step may write, and nothing is
// allocated but scratch of fixed size.
#include "IR/CacheMemory.h"
#include "IR/Counters.h"
#include "passes/cpu/CacheAccess.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_VERIFYCACHE
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;
using namespace graphc::cpu;

namespace {

/// Most bytes that a function which reads a cache keeps on its stack, and that one
/// widened value takes (numerics A7).
constexpr int64_t kScratchLimit = 256 * 1024;
/// Errors after which no more are looked for.
constexpr int kMostViolations = 8;

struct VerifyCache : graphc::cpu::impl::VerifyCacheBase<VerifyCache> {
  using VerifyCacheBase::VerifyCacheBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    const BoundMemory boundMemory(module);
    memory = &boundMemory;
    violations = 0;
    loaded.clear();
    stored.clear();
    for (auto function : module.getOps<func::FuncOp>())
      checkFunction(function);
    if (!violations)
      checkSteps(module);
    if (violations)
      return signalPassFailure();
    reportCounters(module, getArgument(), report,
                   {&numFunctions, &numLoads, &numStores, &numCrossStores, &numPrefetches, &numWidenings, &widestBytes, &scratchBytes, &numWrites},
                   facts);
  }

  Facts *facts = nullptr;

private:
  InFlightDiagnostic broken(Location loc) {
    ++violations;
    return breakContract(loc);
  }

  void checkFunction(func::FuncOp function) {
    IndexBounds indexBounds(*memory);
    bounds = &indexBounds;
    bool takesCache = false;
    auto check = [&](Value value) {
      if (!cacheDTypeOf(value.getType()))
        return;
      takesCache = true;
      checkMemory(value);
      for (OpOperand &use : value.getUses())
        checkUse(use);
    };
    function.walk([&](Block *block) { llvm::for_each(block->getArguments(), check); });
    function.walk([&](Operation *op) {
      llvm::for_each(op->getResults(), check);
      checkEffects(op);
    });
    if (!takesCache)
      return;
    if (!function.isExternal() && !memory->isReached(function))
      broken(function.getLoc()) << "function '" << function.getName() << "' takes cache memory, but no step calls it";
    ++numFunctions;
    checkScratch(function);
  }

  /// Cache memory is an argument or a part of one, of the type that its space
  /// stands for.
  void checkMemory(Value value) {
    if (hasForeignElements(value.getType())) {
      auto diagnostic = broken(value.getLoc()) << "cache memory in space " << spaceOf(value.getType()) << " must hold "
                                               << StringRef(info(*cacheDTypeOf(value.getType())).name) << ", got " << value.getType();
      noteOrigin(diagnostic, value);
      return;
    }
    auto argument = dyn_cast<BlockArgument>(value);
    if (isa_and_nonnull<memref::SubViewOp, memref::CastOp>(value.getDefiningOp()) ||
        (argument && isa<func::FuncOp>(argument.getOwner()->getParentOp())))
      return;
    auto diagnostic = broken(value.getLoc()) << "cache memory must be an argument or a part of one";
    if (Operation *op = value.getDefiningOp())
      diagnostic << ", got a result of '" << op->getName() << "'";
    noteOrigin(diagnostic, value);
  }

  void checkUse(OpOperand &use) {
    Operation *op = use.getOwner();
    if (violations >= kMostViolations)
      return;
    if (isa<memref::DimOp, memref::SubViewOp, memref::CastOp>(op))
      return;
    if (auto call = dyn_cast<func::CallOp>(op)) {
      auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee());
      if (callee && !callee.isExternal())
        return;
      auto diagnostic = broken(op->getLoc()) << "call of '" << call.getCallee() << "', whose code is not here, takes cache memory";
      return noteOrigin(diagnostic, use.get());
    }
    const Access access = accessOf(use, *bounds);
    switch (access.kind) {
    case Access::Kind::Load:
      ++numLoads;
      loaded.insert(access.root);
      return checkWidening(op->getResult(0), use.get());
    case Access::Kind::Store:
      ++numStores;
      numCrossStores += isOfCross(access.root);
      stored.insert(access.root);
      return checkStore(op, use.get(), access);
    case Access::Kind::Prefetch:
      ++numPrefetches;
      return;
    case Access::Kind::None:
      break;
    }
    auto diagnostic = broken(op->getLoc()) << "'" << op->getName() << "' must not touch cache memory";
    noteOrigin(diagnostic, use.get());
  }

  /// The store lies in [sequence, head, lengths[sequence] + i, column ..], i < new
  /// tokens of the sequence, modulo the rows of a ring. Scales have no columns.
  void checkStore(Operation *op, Value memref, const Access &access) {
    auto type = cast<MemRefType>(access.root.getType());
    StringRef unproved;
    const Affine one{{}, 1};
    const bool isScale = type.getRank() == 3; // one element a row
    if (int64_t(access.indices.size()) != type.getRank() || type.getRank() < 3 || type.getRank() > 4 ||
        (isScale && access.width != one)) {
      unproved = "its indices cannot be followed";
    } else {
      const Affine &sequence = access.indices[0], &head = access.indices[1];
      auto within = [&](const Affine &first, const Affine &count, const Affine &end) {
        return bounds->isNonNegative(first, op) && bounds->isNonNegative(end.plus(first, -1).plus(count, -1), op);
      };
      if (!within(sequence, one, bounds->dimension(access.root, 0)))
        unproved = "sequence is not proved to be one of the batch";
      else if (!within(head, one, bounds->dimension(access.root, 1)))
        unproved = "head is not proved to be one of the cache";
      else if (!isScale && !within(access.indices[3], access.width, bounds->dimension(access.root, 3)))
        unproved = "columns are not proved to lie in the row";
      else if (!isNewRow(access, op))
        unproved = isOfCross(access.root) ? "row is not proved to be i, i < tokens of the source"
                                          : "row is not proved to be lengths[sequence] + i, i < new tokens";
    }
    if (unproved.empty())
      return;
    auto diagnostic = broken(op->getLoc()) << "store to the cache must stay in the rows of new tokens: " << unproved;
    noteOrigin(diagnostic, memref);
  }

  /// True if all calls bind `memory` to a side of a cross slot.
  bool isOfCross(Value memory) const {
    std::optional<Bound> bound = this->memory->of(memory);
    return bound && bound->name && bound->name.getValue().starts_with("cross_");
  }

  /// A source's rows begin at 0, the others' behind those that are there.
  bool isNewRow(const Access &access, Operation *op) {
    const Affine &sequence = access.indices[0];
    Affine position = access.indices[2];
    if (auto ring = bounds->asRemainder(position, bounds->dimension(access.root, 2)))
      position = *ring;
    const Affine length = isOfCross(access.root) ? Affine() : bounds->inputAt("lengths", sequence);
    const Affine tokens = bounds->inputAt("starts", sequence.plus(1)).plus(bounds->inputAt("starts", sequence), -1);
    return bounds->isNonNegative(position.plus(length, -1), op) &&
           bounds->isNonNegative(length.plus(tokens).plus(-1).plus(position, -1), op);
  }

  /// Values read from the cache are widened a vector at a time. Data movement
  /// keeps the type; the first operation with a wider result is the widening.
  void checkWidening(Value read, Value memref) {
    const unsigned bits = getElementTypeOrSelf(read.getType()).getIntOrFloatBitWidth();
    SmallVector<Value> values{read};
    llvm::DenseSet<Operation *> widenings;
    llvm::DenseSet<Value> seen;
    while (!values.empty()) {
      Value value = values.pop_back_val();
      if (!seen.insert(value).second)
        continue;
      for (Operation *user : value.getUsers())
        for (Value result : user->getResults()) {
          auto type = dyn_cast<VectorType>(result.getType());
          Type element = getElementTypeOrSelf(result.getType());
          if (!element.isIntOrFloat())
            continue;
          if (element.getIntOrFloatBitWidth() == bits) {
            values.push_back(result);
          } else if (element.getIntOrFloatBitWidth() > bits && widenings.insert(user).second) {
            const int64_t bytes = (type ? type.getNumElements() : 1) * element.getIntOrFloatBitWidth() / 8;
            ++numWidenings;
            widestBytes.value = std::max<uint64_t>(widestBytes.value, bytes);
            if (bytes <= kScratchLimit)
              continue;
            auto diagnostic = broken(user->getLoc()) << "'" << user->getName() << "' widens " << bytes
                                                     << " bytes of the cache at once, expected at most " << kScratchLimit;
            noteOrigin(diagnostic, memref);
          }
        }
    }
  }

  /// Nothing is allocated but fixed scratch, and nothing is written but buffers,
  /// outputs, scratch and the cache.
  void checkEffects(Operation *op) {
    auto effects = dyn_cast<MemoryEffectOpInterface>(op);
    if (!effects || isa<memref::PrefetchOp>(op) || violations >= kMostViolations)
      return;
    SmallVector<MemoryEffects::EffectInstance> instances;
    effects.getEffects(instances);
    for (auto &instance : instances) {
      Value value = instance.getValue();
      if (isa<MemoryEffects::Allocate>(instance.getEffect()))
        checkAllocation(op);
      else if (isa<MemoryEffects::Write>(instance.getEffect()) && value && isa<MemRefType>(value.getType()) &&
               !cacheDTypeOf(value.getType()))
        checkWrite(op, value);
    }
  }

  void checkAllocation(Operation *op) {
    auto alloca = dyn_cast<memref::AllocaOp>(op);
    if (!alloca)
      broken(op->getLoc()) << "'" << op->getName() << "' must not allocate memory: only fixed scratch on the stack may be used";
    else if (!alloca.getType().hasStaticShape())
      broken(op->getLoc()) << "scratch must have a fixed size, got " << alloca.getType();
    else if (!isa<func::FuncOp>(op->getParentOp()))
      broken(op->getLoc()) << "scratch must be allocated once, at the start of its function";
  }

  void checkWrite(Operation *op, Value value) {
    auto function = op->getParentOfType<func::FuncOp>();
    if (!memory->isReached(function) || isa<memref::AllocaOp>(op))
      return;
    std::optional<Bound> bound = memory->of(value);
    StringRef kind = bound && bound->kind ? bound->kind.getValue() : "";
    ++numWrites;
    if (bound ? bound->isDestination : isScratch(value))
      return;
    auto diagnostic = broken(op->getLoc()) << "'" << op->getName() << "' must write to a buffer, an output, scratch or the cache, got "
                                           << (kind.empty() ? "memory of another kind" : kind);
    if (bound && bound->name)
      diagnostic << " " << bound->name;
    noteOrigin(diagnostic, value);
  }

  static bool isScratch(Value value) {
    while (auto view = value.getDefiningOp<ViewLikeOpInterface>())
      value = view.getViewSource();
    return value.getDefiningOp<memref::AllocaOp>();
  }

  void checkScratch(func::FuncOp function) {
    int64_t bytes = 0;
    function.walk([&](memref::AllocaOp alloca) {
      if (alloca.getType().hasStaticShape())
        bytes += alloca.getType().getNumElements() * alloca.getType().getElementTypeBitWidth() / 8;
    });
    scratchBytes.value = std::max<uint64_t>(scratchBytes.value, bytes);
    if (bytes > kScratchLimit)
      broken(function.getLoc()) << "function '" << function.getName() << "' reads a cache and has " << bytes
                                << " bytes of scratch, expected at most " << kScratchLimit;
  }

  /// A slot that some step reads and updates is updated by each step that reads
  /// it. A cross slot that is read is stored, and by no step that reads it.
  void checkSteps(ModuleOp module) {
    llvm::MapVector<std::pair<int64_t, StringRef>, func::FuncOp> onlyRead;
    llvm::DenseSet<std::pair<int64_t, StringRef>> updated, crossStored;
    for (auto step : module.getOps<func::FuncOp>()) {
      if (!isStepFunction(step))
        continue;
      for (BlockArgument argument : step.getArguments()) {
        std::optional<CacheBinding> binding = cacheBindingOf(step, argument.getArgNumber());
        if (!binding)
          continue;
        const bool reads = reaches(argument, loaded), writes = reaches(argument, stored);
        if (binding->isOfCross() && writes) {
          crossStored.insert({binding->block, binding->side});
          if (reads)
            broken(step.getLoc()) << binding->text() << " are stored in '" << step.getName() << "', which reads them: "
                                  << "a source's rows must not change while a decoder reads them";
        } else if (reads && writes) {
          updated.insert({binding->block, binding->side});
        } else if (reads) {
          onlyRead[{binding->block, binding->side}] = step;
        }
      }
    }
    for (auto &[key, step] : onlyRead)
      if (key.second.starts_with("cross_") && !crossStored.contains(key))
        broken(step.getLoc()) << key.second << " of block " << key.first << " are read in '" << step.getName()
                              << "', but no step stores a source's rows";
      else if (updated.contains(key))
        broken(step.getLoc()) << key.second << " of block " << key.first << " are read in '" << step.getName()
                              << "', but its new rows are not stored";
  }

  /// True if memory of `argument` is in `accessed`, here or in a callee.
  bool reaches(Value argument, const llvm::DenseSet<Value> &accessed) {
    if (accessed.contains(argument))
      return true;
    for (OpOperand &use : argument.getUses())
      if (auto call = dyn_cast<func::CallOp>(use.getOwner()))
        if (auto callee = getOperation().lookupSymbol<func::FuncOp>(call.getCallee()))
          if (reaches(callee.getArgument(use.getOperandNumber()), accessed))
            return true;
    return false;
  }

  const BoundMemory *memory = nullptr;
  IndexBounds *bounds = nullptr; ///< Of the function being checked.
  int violations = 0;
  llvm::DenseSet<Value> loaded, stored; ///< Arguments that are cache memory.

  Counter numFunctions{"functions"};
  Counter numLoads{"loads"};
  Counter numStores{"stores"};
  Counter numCrossStores{"cross-stores"};
  Counter numPrefetches{"prefetches"};
  Counter numWidenings{"widenings"};
  Counter widestBytes{"widest-bytes"};
  Counter scratchBytes{"scratch-bytes"};
  Counter numWrites{"other-writes"};
};

} // namespace

std::unique_ptr<Pass> graphc::cpu::createVerifyCache(bool report, Facts *facts) {
  return createWithFacts<VerifyCache>(VerifyCacheOptions{report}, facts);
}
