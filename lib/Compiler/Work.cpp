// Kernels are counted by their operands: what is bound to a parameter is read in
// full, except tables, of which rows are looked up. Blocks are functions that
// several calls share, so each call is followed with the bindings of its operands.
#include "Compiler/Work.h"

#include "Support/Program.h"
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"

#include <algorithm>

using namespace mlir;

namespace graphc {

namespace {

uint64_t bytesOf(MemRefType type) {
  return uint64_t(type.getNumElements()) * byteSize(*layer::dtypeOf(type.getElementType()));
}

class Counter {
public:
  Counter(ModuleOp module, const Target &target) : module(module), target(target) {}

  std::vector<KernelWork> count(llvm::StringRef step) {
    if (auto function = module.lookupSymbol<func::FuncOp>(step)) {
      for (BlockArgument argument : function.getArguments())
        bindings[argument] = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kernel::kBindingAttr);
      visit(function);
    }
    return std::move(kernels);
  }

private:
  void visit(func::FuncOp function) {
    function.walk([&](Operation *op) {
      if (auto call = dyn_cast<func::CallOp>(op))
        follow(call);
      else if (auto layers = op->getAttrOfType<ArrayAttr>("layers"); layers && isa<kernel::KernelDialect>(op->getDialect()))
        countKernel(op, layers.empty() ? StringRef() : cast<StringAttr>(layers[0]).getValue());
    });
  }

  void follow(func::CallOp call) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return;
    for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands()))
      bindings[argument] = bindings.lookup(operand);
    visit(callee);
  }

  bool isParameter(Value value) const {
    DictionaryAttr binding = bindings.lookup(value);
    auto kind = binding ? binding.getAs<StringAttr>("kind") : StringAttr();
    return kind && kind.getValue() == "parameter";
  }

  /// True for a buffer with a row for each wanted row of logits.
  bool hasLogitsRows(Value value) const {
    DictionaryAttr binding = bindings.lookup(value);
    auto dims = binding ? binding.getAs<ArrayAttr>("dims") : ArrayAttr();
    auto symbol = dims && !dims.empty() ? dyn_cast<StringAttr>(dims[0]) : StringAttr();
    return symbol && symbol.getValue() == "rows";
  }

  bool isDot(Value x, Value y) const {
    return target.bf16Dot && getElementTypeOrSelf(x.getType()).isBF16() && getElementTypeOrSelf(y.getType()).isBF16();
  }

  void countKernel(Operation *op, StringRef layer) {
    KernelWork &counted = kernels.emplace_back();
    counted.kind = op->getName().stripDialect();
    counted.layer = layer;
    StepWork &work = counted.work;
    auto embedding = dyn_cast<kernel::EmbeddingOp>(op);
    for (Value operand : op->getOperands()) {
      if (!isParameter(operand))
        continue;
      auto type = cast<MemRefType>(operand.getType());
      if (embedding && operand == embedding.getKernel())
        work.tokenBytes += bytesOf(type) / uint64_t(type.getDimSize(0));
      else
        work.weightBytes += bytesOf(type);
    }
    if (auto matmul = dyn_cast<kernel::MatmulOp>(op)) {
      MultiplyAdds &rows = hasLogitsRows(matmul.getX()) ? work.logitsRow : work.token;
      rows.add(isDot(matmul.getX(), matmul.getKernel()), double(cast<MemRefType>(matmul.getKernel().getType()).getNumElements()));
    } else if (auto attention = dyn_cast<kernel::CachedAttentionOp>(op)) {
      countAttention(attention, work);
    }
  }

  void countAttention(kernel::CachedAttentionOp op, StepWork &work) {
    auto keys = cast<MemRefType>(op.getKeys().getType()), values = cast<MemRefType>(op.getValues().getType());
    const int64_t kvHeads = keys.getDimSize(1), headDim = keys.getDimSize(3);
    const int64_t width = cast<MemRefType>(op.getQuery().getType()).getDimSize(1);
    int64_t headBytes = 0;
    for (auto [rows, scales] : {std::pair(keys, op.getKeyScales()), std::pair(values, op.getValueScales())})
      headBytes += headDim * byteSize(*layer::dtypeOf(rows.getElementType())) + (scales ? sizeof(float) : 0);
    // Rows are rounded to the query's type when they are read, whatever the pin.
    work.attentions.push_back({width / headDim, kvHeads, headDim, int64_t(op.getWindow().value_or(0)), kvHeads * headBytes,
                               isDot(op.getQuery(), op.getQuery())});
  }

  ModuleOp module;
  const Target &target;
  llvm::DenseMap<Value, DictionaryAttr> bindings;
  std::vector<KernelWork> kernels;
};

StepWork sumOf(const std::vector<KernelWork> &kernels) {
  StepWork sum;
  for (const KernelWork &kernel : kernels) {
    sum.weightBytes += kernel.work.weightBytes;
    sum.tokenBytes += kernel.work.tokenBytes;
    for (auto [all, one] : {std::pair(&sum.token, &kernel.work.token), std::pair(&sum.logitsRow, &kernel.work.logitsRow)})
      all->dot += one->dot, all->f32 += one->f32;
    sum.attentions.insert(sum.attentions.end(), kernel.work.attentions.begin(), kernel.work.attentions.end());
  }
  return sum;
}

/// Keys that `newTokens` queries behind `length` cached tokens see, summed.
double visibleKeys(int64_t length, int64_t newTokens, int64_t window) {
  if (window == 0)
    return double(newTokens) * length + double(newTokens) * (newTokens + 1) / 2;
  const int64_t growing = std::clamp<int64_t>(window - length, 0, newTokens); // queries that see all before them
  return visibleKeys(length, growing, 0) + double(newTokens - growing) * window;
}

} // namespace

Work countWork(ModuleOp module, const Target &target) {
  std::vector<KernelWork> prefill = Counter(module, target).count(kPrefillSymbol), decode = Counter(module, target).count(kDecodeSymbol);
  return {sumOf(prefill), sumOf(decode), std::move(prefill), std::move(decode)};
}

Cost costOf(const StepWork &work, std::span<const int32_t> lengths, int64_t newTokens) {
  Cost cost;
  const double batch = double(lengths.size()), tokens = batch * double(newTokens);
  cost.bytes = double(work.weightBytes) + tokens * double(work.tokenBytes);
  cost.multiplyAdds = {tokens * work.token.dot + batch * work.logitsRow.dot, tokens * work.token.f32 + batch * work.logitsRow.f32};
  for (const StepWork::Attention &attention : work.attentions)
    for (int64_t length : lengths) {
      const int64_t all = length + newTokens;
      // The first query's window begins window - 1 rows before it.
      const int64_t rows = attention.window ? std::min(all, attention.window - 1 + newTokens) : all;
      cost.bytes += double(rows) * double(attention.rowBytes);
      cost.multiplyAdds.add(attention.isDot, 2.0 * double(attention.heads * attention.headDim) *
                                                 visibleKeys(length, newTokens, attention.window));
    }
  return cost;
}

} // namespace graphc
