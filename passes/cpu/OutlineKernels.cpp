// Outlining of kernels: a kernel's text without layer names is its identity.
// Thread numbers reach the kernels as plain arguments, from the parallel region
// of the step through the block functions.
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

bool isKernel(Operation *op) {
  return isa<EpilogueKernel, GatherRowsOp, CachedAttentionOp, AttentionOp, CacheStoreOp, SeedKernel>(op);
}

ArrayAttr layersOf(Operation *kernel) { return kernel->getAttrOfType<ArrayAttr>("layers"); }

struct Threads {
  Value thread, threads;
};

/// The thread numbers that are visible at `op`: arguments of its block function,
/// or read at the top of the parallel region (outside of one: of the function).
class ThreadNumbers {
public:
  explicit ThreadNumbers(func::FuncOp function, bool passed) : function(function), passed(passed) {}

  Threads at(Operation *op) {
    if (passed)
      return {function.getArgument(0), function.getArgument(1)};
    auto parallel = op->getParentOfType<omp::ParallelOp>();
    Block *scope = parallel ? &parallel.getRegion().front() : &function.front();
    Threads &numbers = read[scope];
    if (!numbers.thread) {
      OpBuilder builder = OpBuilder::atBlockBegin(scope);
      Type index = builder.getIndexType();
      numbers.thread = ThreadIdOp::create(builder, function.getLoc(), index);
      numbers.threads = NumThreadsOp::create(builder, function.getLoc(), index);
    }
    return numbers;
  }

private:
  func::FuncOp function;
  bool passed;
  llvm::DenseMap<Block *, Threads> read;
};

struct OutlineKernels : graphc::cpu::impl::OutlineKernelsBase<OutlineKernels> {
  using OutlineKernelsBase::OutlineKernelsBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbols(module);
    known.clear();
    findThreaded(module, symbols);
    for (func::FuncOp function : threaded) {
      if (!passed.contains(function))
        continue;
      Type index = IndexType::get(&getContext());
      DictionaryAttr none = DictionaryAttr::get(&getContext());
      if (failed(function.insertArguments({0, 0}, {index, index}, {none, none}, {function.getLoc(), function.getLoc()})))
        return signalPassFailure();
    }
    for (func::FuncOp function : threaded) {
      ThreadNumbers numbers(function, passed.contains(function));
      SmallVector<Operation *> kernels;
      SmallVector<func::CallOp> calls;
      function.walk([&](Operation *op) {
        if (isKernel(op))
          kernels.push_back(op);
        else if (auto call = dyn_cast<func::CallOp>(op); call && passed.contains(symbols.lookup(call.getCallee())))
          calls.push_back(call);
      });
      for (func::CallOp call : calls) {
        Threads at = numbers.at(call);
        call.getOperandsMutable().assign(prepend(at, call.getOperands()));
      }
      for (Operation *kernel : kernels)
        if (failed(outline(kernel, numbers.at(kernel), symbols)))
          return signalPassFailure();
    }
    reportCounters(module, getArgument(), report, {&numKernels, &numFunctions});
  }

  static SmallVector<Value> prepend(Threads numbers, ValueRange operands) {
    SmallVector<Value> all{numbers.thread, numbers.threads};
    llvm::append_range(all, operands);
    return all;
  }

  /// Functions that hold a kernel or call one that does; of them, those whose
  /// callers are all known are passed the thread numbers.
  void findThreaded(ModuleOp module, SymbolTable &symbols) {
    threaded.clear();
    passed.clear();
    llvm::DenseSet<Operation *> called;
    module.walk([&](func::CallOp call) { called.insert(symbols.lookup(call.getCallee())); });
    for (bool changed = true; changed;) {
      changed = false;
      for (auto function : module.getOps<func::FuncOp>()) {
        WalkResult found = function.walk([&](Operation *op) {
          auto call = dyn_cast<func::CallOp>(op);
          auto callee = call ? symbols.lookup<func::FuncOp>(call.getCallee()) : func::FuncOp();
          return isKernel(op) || (callee && threaded.contains(callee)) ? WalkResult::interrupt() : WalkResult::advance();
        });
        if (found.wasInterrupted())
          changed |= threaded.insert(function);
      }
    }
    for (func::FuncOp function : threaded)
      if (function.isPrivate() && called.contains(function))
        passed.insert(function);
  }

  LogicalResult outline(Operation *kernel, Threads numbers, SymbolTable &symbols) {
    OpBuilder builder(kernel);
    Location loc = kernel->getLoc();
    SmallVector<Value> operands = prepend(numbers, kernel->getOperands());
    auto type = builder.getFunctionType(TypeRange(operands), {});
    auto function = func::FuncOp::create(loc, nameOf(kernel), type);
    function.setPrivate();
    function->setAttr("no_inline", builder.getUnitAttr());
    Block *body = function.addEntryBlock();
    OpBuilder inner = OpBuilder::atBlockBegin(body);
    // By position, not by value: an operand that is read and written is two arguments.
    Operation *copy = inner.clone(*kernel);
    copy->setOperands(body->getArguments().drop_front(2));
    func::ReturnOp::create(inner, loc);
    if (failed(sinkConstants(copy))) {
      function.erase();
      return failure();
    }

    ++numKernels;
    auto [entry, fresh] = known.try_emplace(textOf(function));
    if (fresh) {
      entry->second = symbols.insert(function).getValue().str();
      ++numFunctions;
    } else {
      function.erase();
    }
    auto call = func::CallOp::create(builder, loc, entry->second, TypeRange{}, operands);
    call->setAttr("kernel.layers", layersOf(kernel));
    kernel->erase();
    return success();
  }

  /// Clones constants that the epilogue uses from outside into it.
  static LogicalResult sinkConstants(Operation *kernel) {
    for (Region &region : kernel->getRegions()) {
      WalkResult result = region.walk([&](Operation *op) {
        for (OpOperand &operand : op->getOpOperands()) {
          if (region.isAncestor(operand.get().getParentRegion()))
            continue;
          if (!matchPattern(operand.get(), m_Constant())) {
            op->emitOpError("in an epilogue must use arguments and constants only, got ") << operand.get();
            return WalkResult::interrupt();
          }
          OpBuilder builder(op);
          operand.set(builder.clone(*operand.get().getDefiningOp())->getResult(0));
        }
        return WalkResult::advance();
      });
      if (result.wasInterrupted())
        return failure();
    }
    return success();
  }

  static std::string nameOf(Operation *kernel) {
    ArrayAttr layers = layersOf(kernel);
    std::string name =
        layers.empty() ? kernel->getName().stripDialect().str() : cast<StringAttr>(layers[0]).getValue().str();
    if (auto phase = kernel->getAttrOfType<PhaseAttr>("phase"))
      name += ("." + stringifyPhase(phase.getValue())).str();
    return name;
  }

  /// Types and kernel, without names.
  static std::string textOf(func::FuncOp function) {
    Operation &kernel = function.front().front();
    ArrayAttr layers = layersOf(&kernel);
    kernel.removeAttr("layers");
    std::string text;
    llvm::raw_string_ostream stream(text);
    function.getFunctionType().print(stream);
    kernel.print(stream, OpPrintingFlags().useLocalScope().printGenericOpForm());
    kernel.setAttr("layers", layers);
    return text;
  }

  llvm::SetVector<func::FuncOp> threaded;
  llvm::DenseSet<Operation *> passed;
  std::map<std::string, std::string> known; // text -> function
  Counter numKernels{"kernels"};
  Counter numFunctions{"functions"};
};

} // namespace
