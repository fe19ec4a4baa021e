// How the vector emitter walks rows: partition among threads, columns by vectors
// with a masked rest, and the epilogue on vectors.
#include "passes/cpu/VectorEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace graphc::kernel;

/// Columns of a piece of a row: long enough to amortise its start, short enough
/// that a row of 8,192 occupies 16 threads.
static constexpr int64_t kPiece = 512;

std::pair<Value, Value> VectorEmitter::share(Value items) {
  auto function = b.getInsertionBlock()->getParent()->getParentOfType<func::FuncOp>();
  Value thread = function.getArgument(0), threads = function.getArgument(1);
  return {div(mul(thread, items), threads), div(mul(add(thread, 1), items), threads)};
}

void VectorEmitter::pieces(Value rows, int64_t width, llvm::function_ref<void(Value, Value, Value)> body) {
  const int64_t perRow = llvm::divideCeil(width, kPiece);
  auto [first, last] = share(mul(rows, perRow));
  loop(first, last, index(1), [&](Value item) {
    if (perRow == 1)
      return body(item, index(0), index(width));
    Value from = mul(rem(item, perRow), kPiece);
    body(div(item, perRow), from, min(add(from, kPiece), index(width)));
  });
}

void VectorEmitter::columns(Value from, Value to, int64_t width, llvm::function_ref<void(Value, int64_t)> body) {
  const int64_t whole = width / lanes() * lanes(), rest = width % lanes();
  if (whole > 0)
    loop(from, rest ? min(to, index(whole)) : to, index(lanes()), [&](Value column) { body(column, lanes()); });
  if (rest > 0) {
    Value reached = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, to, index(whole));
    when(reached, [&] { body(index(whole), rest); });
  }
}

//===-- Epilogues -----------------------------------------------------------------===//

/// The scalar op of an epilogue as the same op on vectors.
static Value vectorize(VectorEmitter &e, Operation &op, ArrayRef<Value> operands) {
  auto type = VectorType::get({e.lanes()}, op.getResult(0).getType());
  if (auto constant = dyn_cast<arith::ConstantOp>(op))
    return arith::ConstantOp::create(e.b, e.loc, DenseElementsAttr::get(type, constant.getValue()));
  OperationState state(e.loc, op.getName(), operands, {type}, op.getAttrs());
  return e.b.create(state)->getResult(0);
}

void VectorEmitter::epilogue(EpilogueKernel kernel, Value interior, Value row, Value column, int64_t width) {
  Block &body = kernel.getEpilogue().front();
  llvm::DenseMap<Value, Value> vectors;
  vectors[body.getArgument(0)] = interior;
  for (auto [argument, fused] : llvm::zip(body.getArguments().drop_front(), kernel.getFused())) {
    const bool perColumn = cast<MemRefType>(fused.getType()).getRank() == 1;
    vectors[argument] =
        perColumn ? loadRaw(fused, column, width, lanes()) : loadRaw(fused, {row, column}, width, lanes());
  }
  auto vectorOf = [&](Value scalar) -> Value {
    if (Value vector = vectors.lookup(scalar))
      return vector;
    // A constant that stands outside of the region.
    return vector::BroadcastOp::create(b, loc, VectorType::get({lanes()}, scalar.getType()), scalar);
  };
  for (Operation &op : body.without_terminator()) {
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(vectorOf(operand));
    vectors[op.getResult(0)] = vectorize(*this, op, operands);
  }
  for (auto [value, out] : llvm::zip(body.getTerminator()->getOperands(), kernel.getOuts()))
    storeRaw(vectorOf(value), out, {row, column}, width);
}
