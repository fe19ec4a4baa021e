// Outlining of identical blocks: a block's text, with names made relative and
// operands numbered, is its identity.
#include "IR/Counters.h"
#include "graphc/IR/Kernel.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_OUTLINEBLOCKS
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

StringRef blockOf(Operation &op) {
  auto block = op.getAttrOfType<StringAttr>(kBlockAttr);
  return block ? block.getValue() : StringRef();
}

std::string textOf(func::FuncOp function) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  AsmState names(function, OpPrintingFlags().useLocalScope()); // once: naming values takes longer than printing them
  function.getFunctionType().print(stream);
  for (Operation &op : function.front()) {
    stream << "\n";
    op.print(stream, names);
  }
  return text;
}

/// First line in which two texts differ, of the second one.
std::string firstDifference(StringRef known, StringRef text) {
  while (!text.empty()) {
    auto [knownLine, knownRest] = known.split('\n');
    auto [line, rest] = text.split('\n');
    if (knownLine != line)
      return line.trim().substr(0, 200).str();
    known = knownRest, text = rest;
  }
  return "end of block";
}

struct OutlineBlocks : graphc::kernel::impl::OutlineBlocksBase<OutlineBlocks> {
  using OutlineBlocksBase::OutlineBlocksBase;

  void runOnOperation() override {
    for (auto function : llvm::to_vector(getOperation().getOps<func::FuncOp>())) {
      if (function.isExternal() || !function->hasAttr("kernel.phase"))
        continue;
      StringRef phase = function.getName(); // "prefill", "decode", "encoder"
      phase.consume_front("graphc_");
      known.clear();
      lastStem.clear();
      for (auto parallel : llvm::to_vector(function.front().getOps<omp::ParallelOp>())) {
        outline(parallel.getRegion().front(), function, phase);
        for (Operation &op : parallel.getRegion().front())
          op.removeAttr(kValuesAttr);
      }
    }
    reportCounters(getOperation(), getArgument(), report, {&numBlocks, &numFunctions, &numNew});
  }

  void outline(Block &body, func::FuncOp step, StringRef phase) {
    for (auto it = body.begin(); it != body.end();) {
      StringRef block = blockOf(*it);
      auto end = it;
      while (end != body.end() && blockOf(*end) == block)
        ++end;
      if (!block.empty()) {
        // A barrier in front says what came before the block, not what it is.
        while (it != end && isa<omp::BarrierOp>(*it))
          it->removeAttr(kBlockAttr), ++it;
        if (it != end)
          outlineRun(it, end, block.str(), step, phase);
      }
      it = end;
    }
  }

  void outlineRun(Block::iterator begin, Block::iterator end, std::string block, func::FuncOp step, StringRef phase) {
    Location loc = begin->getLoc();
    llvm::SetVector<Value> inputs;
    llvm::DenseSet<Value> inside;
    for (Operation &op : llvm::make_range(begin, end)) {
      for (Value operand : op.getOperands())
        if (!inside.contains(operand))
          inputs.insert(operand);
      inside.insert(op.getResults().begin(), op.getResults().end());
    }
    OpBuilder builder(step);
    auto type = builder.getFunctionType(TypeRange(inputs.getArrayRef()), {});
    auto function = func::FuncOp::create(builder, loc, "block", type);
    function.setPrivate();
    function->setAttr("no_inline", builder.getUnitAttr());
    IRMapping mapping;
    mapping.map(inputs.getArrayRef(), function.addEntryBlock()->getArguments());
    OpBuilder inner = OpBuilder::atBlockBegin(&function.front());
    for (Operation &op : llvm::make_range(begin, end)) {
      Operation *copy = inner.clone(op, mapping);
      copy->removeAttr(kBlockAttr);
      copy->removeAttr(kValuesAttr);
      if (auto layers = copy->getAttrOfType<ArrayAttr>("layers"))
        copy->setAttr("layers", relative(layers, block));
    }
    func::ReturnOp::create(inner, loc);

    std::string text = textOf(function);
    ++numBlocks;
    // Blocks are expected to be alike in a run of them, "layers.0", "layers.1", ..;
    // where another one begins, they are another part of the model.
    const auto [stem, digits] = StringRef(block).rsplit('.');
    int64_t number = 0;
    const bool follows = !digits.getAsInteger(10, number) && stem == lastStem && number > lastNumber;
    lastStem = stem.str(), lastNumber = number;
    auto [entry, fresh] = known.try_emplace(text);
    if (fresh) {
      const size_t index = known.size() - 1;
      entry->second = ("decoder_block." + Twine(index) + "." + phase).str();
      function.setName(entry->second);
      ++numFunctions;
      if (follows) {
        const std::string why = "shares code with no block before it; first difference from the last one: " + firstDifference(lastText, text);
        if (report)
          emitRemark(loc) << getArgument() << " " << block << ": " << why;
        countMissed(step, getArgument(), numNew, block, why);
      }
    } else {
      function.erase();
    }
    lastText = text;
    builder.setInsertionPoint(&*begin);
    auto call = func::CallOp::create(builder, loc, entry->second, TypeRange{}, inputs.getArrayRef());
    call->setAttr("layer.path", builder.getStringAttr(block));
    SmallVector<Operation *> moved;
    for (Operation &op : llvm::make_range(begin, end))
      moved.push_back(&op);
    for (Operation *op : llvm::reverse(moved))
      op->erase();
  }

  static ArrayAttr relative(ArrayAttr names, StringRef block) {
    Builder builder(names.getContext());
    SmallVector<Attribute> result;
    for (Attribute name : names) {
      StringRef text = cast<StringAttr>(name).getValue();
      if (text.consume_front(block))
        text.consume_front(".");
      result.push_back(builder.getStringAttr(text));
    }
    return builder.getArrayAttr(result);
  }

  std::map<std::string, std::string> known; // text -> function
  std::string lastText, lastStem; // of the block before
  int64_t lastNumber = 0;
  Counter numBlocks{"blocks"};
  Counter numFunctions{"functions"};
  Counter numNew{"not-shared"};
};

} // namespace
