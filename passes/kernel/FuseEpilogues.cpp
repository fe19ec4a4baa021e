// Fusion of elementwise kernels into the epilogue of a producer. Buffers are
// written once and whole, so a buffer's writer stands for its value.
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/IR/IRMapping.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_FUSEEPILOGUES
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// The op that writes each memref, and the others that touch it.
class Writers {
public:
  explicit Writers(func::FuncOp function) {
    for (Operation &op : function.front()) {
      auto effects = dyn_cast<MemoryEffectOpInterface>(op);
      SmallVector<MemoryEffects::EffectInstance> instances;
      if (effects)
        effects.getEffects(instances);
      for (auto &instance : instances)
        if (instance.getValue() && isa<MemoryEffects::Write>(instance.getEffect()))
          writers[instance.getValue()] = &op;
    }
  }
  /// Null for what the step is given: inputs, parameters, tables.
  Operation *of(Value memref) const {
    if (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
      memref = view.getViewSource();
    return writers.lookup(memref);
  }
  void moveTo(Value memref, Operation *writer) { writers[memref] = writer; }

private:
  llvm::DenseMap<Value, Operation *> writers;
};

struct FuseEpilogues : graphc::kernel::impl::FuseEpiloguesBase<FuseEpilogues> {
  using FuseEpiloguesBase::FuseEpiloguesBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isExternal())
      return;
    Writers writers(function);
    for (auto elementwise : llvm::to_vector(function.front().getOps<ElementwiseOp>()))
      fuse(elementwise, writers);
    for (auto buffer : llvm::make_early_inc_range(function.front().getOps<BufferOp>()))
      if (buffer->use_empty())
        buffer.erase();
    reportCounters(function, getArgument(), report, {&numFused, &numNoProducer, &numNotReady});
  }

  void fuse(ElementwiseOp op, Writers &writers) {
    SmallVector<Value> operands{op.getX()};
    llvm::append_range(operands, op.getFused());
    EpilogueKernel producer;
    Value through;
    for (Value operand : operands) {
      Operation *writer = writers.of(operand);
      auto kernel = dyn_cast_or_null<EpilogueKernel>(writer);
      if (!kernel || !llvm::is_contained(kernel.getOuts(), operand))
        continue; // a view of a destination has other columns
      if (!producer || producer->isBeforeInBlock(writer))
        producer = kernel, through = operand;
    }
    const StringRef name = nameOf(op);
    if (!producer)
      return countMissed(op, getArgument(), numNoProducer, name, "its operands come from no kernel with an epilogue");
    for (Value operand : operands) {
      Operation *writer = writers.of(operand);
      if (operand != through && writer && (writer == producer.getOperation() || !writer->isBeforeInBlock(producer)) &&
          !llvm::is_contained(producer.getOuts(), operand))
        return countMissed(op, getArgument(), numNotReady, name,
                           "another operand is not there yet when '" + nameOf(producer) + "' runs");
    }
    countDone(op, getArgument(), numFused, name, "in the epilogue of '" + nameOf(producer) + "'");
    merge(op, producer, writers);
  }

  /// The value that the kernel writes first, as traces call it, or its first layer.
  static StringRef nameOf(Operation *kernel) {
    for (StringRef key : {StringRef(kValuesAttr), StringRef("layers")})
      if (auto names = kernel->getAttrOfType<ArrayAttr>(key); names && !names.empty())
        if (StringRef name = cast<StringAttr>(names[0]).getValue(); !name.empty())
          return name;
    return "";
  }

  /// One name for each destination; empty names where none were recorded.
  static SmallVector<Attribute> valueNamesOf(EpilogueKernel kernel) {
    if (auto names = kernel->getAttrOfType<ArrayAttr>(kValuesAttr))
      return SmallVector<Attribute>(names.getValue());
    return SmallVector<Attribute>(kernel.getOuts().size(), StringAttr::get(kernel->getContext()));
  }

  void merge(ElementwiseOp op, EpilogueKernel producer, Writers &writers) {
    // Buffers that the new epilogue reads or writes must exist at the producer.
    for (Value out : op.getOuts())
      if (Operation *definition = out.getDefiningOp())
        definition->moveBefore(producer);
    for (Value operand : op.getFused())
      if (Operation *view = operand.getDefiningOp(); view && producer->isBeforeInBlock(view))
        view->moveBefore(producer);

    Block &into = producer.getEpilogue().front(), &from = op.getEpilogue().front();
    auto yield = cast<YieldOp>(into.getTerminator());
    OpBuilder builder(yield);
    // What the producer yields, by destination.
    auto yielded = [&](Value memref) -> Value {
      for (auto [out, value] : llvm::zip(producer.getOuts(), yield.getValues()))
        if (out == memref)
          return value;
      return {};
    };
    IRMapping mapping;
    SmallVector<Value> newFused;
    auto bind = [&](Value memref, BlockArgument argument) {
      Value value = yielded(memref);
      if (!value) {
        newFused.push_back(memref);
        value = into.addArgument(cast<MemRefType>(memref.getType()).getElementType(), op.getLoc());
      }
      if (argument.getType().isF32() && !value.getType().isF32())
        value = arith::ExtFOp::create(builder, op.getLoc(), argument.getType(), value);
      mapping.map(argument, value);
    };
    bind(op.getX(), from.getArgument(0));
    for (auto [memref, argument] : llvm::zip(op.getFused(), from.getArguments().drop_front()))
      bind(memref, argument);
    for (Operation &inner : from.without_terminator())
      builder.clone(inner, mapping);

    SmallVector<Value> values, outs;
    SmallVector<Attribute> valueNames;
    for (auto [out, value, name] : llvm::zip(producer.getOuts(), yield.getValues(), valueNamesOf(producer))) {
      const bool othersRead = llvm::any_of(out.getUsers(), [&](Operation *user) {
        return user != producer.getOperation() && user != op.getOperation();
      });
      if (othersRead || isa<BlockArgument>(out)) {
        outs.push_back(out);
        values.push_back(value);
        valueNames.push_back(name);
      }
    }
    for (auto [out, value, name] :
         llvm::zip(op.getOuts(), cast<YieldOp>(from.getTerminator()).getValues(), valueNamesOf(op))) {
      outs.push_back(out);
      valueNames.push_back(name);
      values.push_back(mapping.lookup(value));
      writers.moveTo(out, producer);
    }
    yield.getValuesMutable().assign(values);
    producer.getFusedMutable().append(newFused);
    producer.getOutsMutable().assign(outs);
    SmallVector<Attribute> names(producer.getLayers().getValue());
    llvm::append_range(names, op.getLayers());
    producer.setLayersAttr(builder.getArrayAttr(names));
    if (producer->hasAttr(kValuesAttr))
      producer->setAttr(kValuesAttr, builder.getArrayAttr(valueNames));
    op.erase();
  }

private:
  Counter numFused{"fused"};
  Counter numNoProducer{"not-fused-no-producer"};
  Counter numNotReady{"not-fused-operand-later"};
};

} // namespace
