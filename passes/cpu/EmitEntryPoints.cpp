// The C signature of a step: two tables, loaded where memory is needed. Nothing
// but the tables crosses into the parallel region, so the address space of cache
// memory never passes through a capture.
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "Support/Program.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/Builders.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_EMITENTRYPOINTS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Turns one step function over memrefs into one over the two tables.
class StepSignature {
public:
  StepSignature(func::FuncOp function, ArrayAttr bindings, ArrayAttr symbols)
      : function(function), bindings(bindings), symbols(symbols), builder(function.getContext()),
        loc(function.getLoc()), i64(builder.getI64Type()), ptr(LLVM::LLVMPointerType::get(function.getContext())) {}

  LogicalResult rewrite();

private:
  LogicalResult checkArgument(BlockArgument argument);
  void replaceUses(BlockArgument argument);
  Block *scopeOf(Operation *user);
  Value materialize(BlockArgument argument);
  Value descriptor(BlockArgument argument, MemRefType type);
  Value dimension(Attribute dim);
  Value number(int64_t value) { return LLVM::ConstantOp::create(builder, loc, i64, value); }
  Value load(Value table, int64_t index, Type type);

  func::FuncOp function;
  ArrayAttr bindings, symbols;
  OpBuilder builder;
  Location loc;
  Type i64;
  LLVM::LLVMPointerType ptr;
  Value pointers, dims;
};

} // namespace

LogicalResult StepSignature::checkArgument(BlockArgument argument) {
  auto type = dyn_cast<MemRefType>(argument.getType());
  if (isa<LLVM::LLVMPointerType>(argument.getType()))
    return success();
  if (!type || !type.getLayout().isIdentity())
    return function.emitError("argument ") << argument.getArgNumber()
           << " of a step function must be a dense memref or a pointer, got " << argument.getType();
  auto list = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr).getAs<ArrayAttr>("dims");
  if (int64_t(list.size()) != type.getRank())
    return function.emitError("binding of argument ") << argument.getArgNumber() << " must have " << type.getRank()
           << " dims, got " << list.size();
  for (auto [dim, size] : llvm::zip(list, type.getShape())) {
    auto fixed = dyn_cast<IntegerAttr>(dim);
    if (ShapedType::isDynamic(size) ? bool(fixed) : !fixed || fixed.getInt() != size)
      return function.emitError("binding of argument ") << argument.getArgNumber() << " has dims " << list
             << ", which do not fit " << type;
  }
  return success();
}

LogicalResult StepSignature::rewrite() {
  Block &entry = function.front();
  const unsigned count = entry.getNumArguments();
  for (BlockArgument argument : entry.getArguments())
    if (failed(checkArgument(argument)))
      return failure();
  pointers = entry.addArgument(ptr, loc);
  dims = entry.addArgument(ptr, loc);
  for (unsigned i = 0; i < count; ++i)
    replaceUses(entry.getArgument(i));
  for (auto parallel : entry.getOps<omp::ParallelOp>()) {
    builder.setInsertionPoint(parallel);
    parallel.getNumThreadsMutable().assign(dimension(builder.getStringAttr("threads")));
  }
  entry.eraseArguments(0, count);
  function.removeArgAttrsAttr();
  function.setFunctionType(builder.getFunctionType({ptr, ptr}, {}));
  return success();
}

/// The block at whose start memory of `user` is loaded: the parallel region's
/// if it is in one, else the function's.
Block *StepSignature::scopeOf(Operation *user) {
  while (user->getParentOp() != function && !isa<omp::ParallelOp>(user->getParentOp()))
    user = user->getParentOp();
  return user->getParentOp() == function ? user->getBlock() : &user->getParentRegion()->front();
}

void StepSignature::replaceUses(BlockArgument argument) {
  llvm::SmallDenseMap<Block *, Value> atStart;
  llvm::SmallDenseMap<Operation *, Value> beforeCall;
  for (OpOperand &use : llvm::make_early_inc_range(argument.getUses())) {
    Operation *user = use.getOwner();
    const bool isCall = isa<func::CallOp>(user);
    Value &value = isCall ? beforeCall[user] : atStart[scopeOf(user)];
    if (!value) {
      if (isCall)
        builder.setInsertionPoint(user);
      else
        builder.setInsertionPointToStart(scopeOf(user));
      value = materialize(argument);
    }
    use.set(value);
  }
}

/// Element `index` of a table; the tables do not change during a call.
Value StepSignature::load(Value table, int64_t index, Type type) {
  Value address = table;
  if (index > 0)
    address = LLVM::GEPOp::create(builder, loc, ptr, isa<IntegerType>(type) ? i64 : Type(ptr), table,
                                  ArrayRef<LLVM::GEPArg>{int32_t(index)}, LLVM::GEPNoWrapFlags::inbounds);
  auto result = LLVM::LoadOp::create(builder, loc, type, address);
  result.setInvariant(true);
  return result;
}

Value StepSignature::dimension(Attribute attribute) {
  if (auto value = dyn_cast<IntegerAttr>(attribute))
    return number(value.getInt());
  const Dim dim = *parseDim(cast<StringAttr>(attribute).getValue());
  const auto found = llvm::find_if(symbols, [&](Attribute symbol) { return cast<StringAttr>(symbol) == dim.symbol; });
  Value value = load(dims, found - symbols.begin(), i64);
  if (const int64_t bias = dim.offset + dim.multiple - 1)
    value = LLVM::AddOp::create(builder, loc, value, number(bias));
  if (dim.multiple > 1) {
    value = LLVM::UDivOp::create(builder, loc, value, number(dim.multiple));
    value = LLVM::MulOp::create(builder, loc, value, number(dim.multiple));
  }
  return value;
}

Value StepSignature::materialize(BlockArgument argument) {
  auto type = dyn_cast<MemRefType>(argument.getType());
  if (type)
    return UnrealizedConversionCastOp::create(builder, loc, type, descriptor(argument, type)).getResult(0);
  const unsigned place = argument.getArgNumber();
  Attribute entry = bindingEntry(function.getArgAttrOfType<DictionaryAttr>(place, kBindingAttr), argument.getType());
  return load(pointers, llvm::find(bindings, entry) - bindings.begin(), argument.getType());
}

/// The descriptor {allocated, aligned, offset, sizes, strides} of dense memory.
Value StepSignature::descriptor(BlockArgument argument, MemRefType type) {
  auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr);
  const int64_t index = llvm::find(bindings, bindingEntry(binding, type)) - bindings.begin();
  auto memory = LLVM::LLVMPointerType::get(builder.getContext(), type.getMemorySpaceAsInt());
  auto array = LLVM::LLVMArrayType::get(i64, type.getRank());
  auto structure = LLVM::LLVMStructType::getLiteral(builder.getContext(), {memory, memory, i64, array, array});

  Value result = LLVM::PoisonOp::create(builder, loc, structure);
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    result = LLVM::InsertValueOp::create(builder, loc, result, value, position);
  };
  Value pointer = load(pointers, index, memory);
  insert(pointer, 0);
  insert(pointer, 1);
  insert(number(0), 2);
  Value stride = number(1);
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    Value size = dimension(binding.getAs<ArrayAttr>("dims")[i]);
    insert(size, {3, i});
    insert(stride, {4, i});
    if (i > 0)
      stride = LLVM::MulOp::create(builder, loc, stride, size, LLVM::IntegerOverflowFlags::nsw);
  }
  return result;
}

namespace {
struct EmitEntryPoints : cpu::impl::EmitEntryPointsBase<EmitEntryPoints> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> steps;
    for (auto function : module.getOps<func::FuncOp>())
      if (!function.isExternal() && isStepFunction(function))
        steps.push_back(function);
    if (steps.empty())
      return;
    if (failed(collectBindings(module)))
      return signalPassFailure();
    auto bindings = module->getAttrOfType<ArrayAttr>(kBindingsAttr);
    auto symbols = module->getAttrOfType<ArrayAttr>(kSymbolsAttr);
    for (func::FuncOp step : steps)
      if (failed(StepSignature(step, bindings, symbols).rewrite()))
        return signalPassFailure();
  }
};
} // namespace
