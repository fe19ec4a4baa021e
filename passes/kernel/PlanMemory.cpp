// The memory plan of activations: a linear scan over the levels of a step.
// Equal blocks get equal plans, since slots are chosen in order, not by history.
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Dependences.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/IR/Builders.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

struct Life {
  BufferOp buffer;
  size_t index = 0;
  bool ofBatch = false; // partial sums of decoding
  int64_t first = INT64_MAX, last = -1; // levels of the kernels that write and last read it
  llvm::SmallDenseSet<Attribute> blocks = {}; // blocks of the kernels that touch it
};

/// Slots are shared within a class only: one leading symbol, one row size, and
/// either local to a block or not.
struct Slot {
  StringAttr symbol;
  int64_t rowBytes;
  bool crossesBlocks;
  int64_t freeFrom; // level from which on it may be written
};

/// Bytes of a row of `type`: all dimensions but the leading one.
static int64_t rowBytes(MemRefType type) {
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  for (int64_t dim : type.getShape().drop_front())
    bytes *= dim;
  return bytes;
}

struct PlanMemory : graphc::kernel::impl::PlanMemoryBase<PlanMemory> {
  using PlanMemoryBase::PlanMemoryBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    auto levels = levelsOf(function.front());
    SmallVector<Life> lives;
    for (auto buffer : function.front().getOps<BufferOp>()) {
      Life life{buffer, lives.size(), buffer.getSymbol() == "batch"};
      extend(life, buffer.getBuffer(), levels);
      if (life.last >= 0)
        lives.push_back(life);
    }
    // By level, then as they stand; buffers that one phase alone has come last, so that
    // the others have the same slots in all phases.
    llvm::sort(lives, [](const Life &a, const Life &b) {
      return std::tie(a.ofBatch, a.first, a.index) < std::tie(b.ofBatch, b.first, b.index);
    });

    SmallVector<Slot> slots;
    llvm::DenseMap<std::pair<int64_t, Type>, BlockArgument> arguments;
    for (Life &life : lives) {
      auto type = cast<MemRefType>(life.buffer.getType());
      const int64_t index = choose(slots, life);
      slots[index].freeFrom = life.last + 1;
      BlockArgument &argument = arguments[{index, type}];
      if (!argument)
        argument = addArgument(function, life.buffer, index);
      life.buffer.getBuffer().replaceAllUsesWith(argument);
    }
    for (auto buffer : llvm::make_early_inc_range(function.front().getOps<BufferOp>()))
      buffer.erase();
    numBuffers += lives.size();
    numSlots += slots.size();
    reportCounters(function, getArgument(), report, {&numBuffers, &numSlots});
  }

  /// Grows a life over the uses of its buffer, views included.
  static void extend(Life &life, Value memref, llvm::DenseMap<Operation *, int64_t> &levels) {
    for (Operation *user : memref.getUsers()) {
      if (auto view = dyn_cast<ViewLikeOpInterface>(user)) {
        extend(life, view->getResult(0), levels);
        continue;
      }
      auto level = levels.find(user);
      if (level == levels.end())
        continue; // reads the shape only
      life.first = std::min(life.first, level->second);
      life.last = std::max(life.last, level->second);
      life.blocks.insert(user->getAttr(kBlockAttr));
    }
  }

  /// The first free slot of the buffer's class; a new one if none is free.
  static int64_t choose(SmallVector<Slot> &slots, Life &life) {
    const Slot wanted{life.buffer.getSymbolAttr(), rowBytes(cast<MemRefType>(life.buffer.getType())),
                      life.blocks.size() > 1, 0};
    for (auto [index, slot] : llvm::enumerate(slots))
      if (slot.symbol == wanted.symbol && slot.rowBytes == wanted.rowBytes &&
          slot.crossesBlocks == wanted.crossesBlocks && slot.freeFrom <= life.first)
        return index;
    slots.push_back(wanted);
    return slots.size() - 1;
  }

  static BlockArgument addArgument(func::FuncOp function, BufferOp buffer, int64_t slot) {
    Builder builder(function.getContext());
    auto type = cast<MemRefType>(buffer.getType());
    SmallVector<Attribute> dims{buffer.getSymbolAttr()};
    for (int64_t dim : type.getShape().drop_front())
      dims.push_back(builder.getI64IntegerAttr(dim));
    DictionaryAttr binding = builder.getDictionaryAttr(
        {builder.getNamedAttr("kind", builder.getStringAttr("buffer")),
         builder.getNamedAttr("name", builder.getStringAttr("slot" + std::to_string(slot))),
         builder.getNamedAttr("dims", builder.getArrayAttr(dims)),
         builder.getNamedAttr("slot", builder.getI64IntegerAttr(slot))});
    const unsigned index = function.getNumArguments();
    (void)function.insertArgument(index, type, builder.getDictionaryAttr({{builder.getStringAttr(kBindingAttr), binding}}),
                                  buffer.getLoc());
    return function.getArgument(index);
  }

  Counter numBuffers{"buffers"};
  Counter numSlots{"slots"};
};

} // namespace
