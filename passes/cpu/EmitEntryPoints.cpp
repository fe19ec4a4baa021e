// The C signature of a step: two tables, loaded where memory is needed. Nothing
// but the tables crosses into the parallel region, so the address space of cache
// memory never passes through a capture. Functions that only steps call, the blocks,
// take the tables too, and pointers to what differs from call to call: a layer then
// costs a load for each of its weights and caches, and nothing else.
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "Support/Program.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"

namespace graphc::cpu {
#define GEN_PASS_DEF_EMITENTRYPOINTS
#include "passes/cpu/Passes.h.inc"
} // namespace graphc::cpu

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// Makes descriptors of dense memory from a pointer and the table of dimensions.
class Descriptors {
public:
  Descriptors(OpBuilder &builder, Location loc, ArrayAttr symbols, Value dims)
      : builder(builder), loc(loc), symbols(symbols), dims(dims) {}

  /// `sizes` are dims of a binding: numbers, or sizes in terms of symbols.
  Value memref(Value pointer, MemRefType type, ArrayAttr sizes);
  Value dimension(Attribute size);
  /// Element `index` of a table; the tables do not change during a call.
  Value load(Value table, int64_t index, Type type);

private:
  Value number(int64_t value) { return LLVM::ConstantOp::create(builder, loc, builder.getI64Type(), value); }

  OpBuilder &builder;
  Location loc;
  ArrayAttr symbols;
  Value dims;
};

/// Functions that take the tables, by name, and the arguments that they now find in
/// them.
using Blocks = llvm::MapVector<StringAttr, llvm::BitVector>;

/// Turns one step function over memrefs into one over the two tables.
class StepSignature {
public:
  /// `places` are those of bindings in the table.
  StepSignature(func::FuncOp function, const DenseMap<Attribute, int64_t> &places, ArrayAttr symbols, const Blocks &blocks)
      : function(function), places(places), symbols(symbols), blocks(blocks), builder(function.getContext()),
        loc(function.getLoc()), ptr(LLVM::LLVMPointerType::get(function.getContext())) {}

  LogicalResult rewrite();

private:
  LogicalResult checkArgument(BlockArgument argument);
  void replaceUses(BlockArgument argument);
  Block *scopeOf(Operation *user);
  Value materialize(BlockArgument argument, bool isPointer);
  bool callsBlock(Operation *user) const;

  func::FuncOp function;
  const DenseMap<Attribute, int64_t> &places;
  ArrayAttr symbols;
  const Blocks &blocks;
  OpBuilder builder;
  Location loc;
  LLVM::LLVMPointerType ptr;
  Value pointers, dims;
};

} // namespace

static LLVM::LLVMPointerType pointerTo(MemRefType type) {
  return LLVM::LLVMPointerType::get(type.getContext(), type.getMemorySpaceAsInt());
}

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
  function.walk([&](func::CallOp call) {
    if (auto found = blocks.find(call.getCalleeAttr().getAttr()); found != blocks.end()) {
      call->eraseOperands(found->second);
      call.getOperandsMutable().append({pointers, dims});
    }
  });
  for (unsigned i = 0; i < count; ++i)
    replaceUses(entry.getArgument(i));
  for (auto parallel : entry.getOps<omp::ParallelOp>()) {
    builder.setInsertionPoint(parallel);
    parallel.getNumThreadsMutable().assign(Descriptors(builder, loc, symbols, dims).dimension(builder.getStringAttr("threads")));
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
      value = materialize(argument, callsBlock(user));
    }
    use.set(value);
  }
}

bool StepSignature::callsBlock(Operation *user) const {
  auto call = dyn_cast<func::CallOp>(user);
  return call && blocks.contains(call.getCalleeAttr().getAttr());
}

/// What `argument` is bound to, as a pointer or as its own type.
Value StepSignature::materialize(BlockArgument argument, bool isPointer) {
  auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr);
  const int64_t index = places.at(bindingEntry(binding, argument.getType()));
  Descriptors descriptors(builder, loc, symbols, dims);
  auto type = dyn_cast<MemRefType>(argument.getType());
  Value pointer = descriptors.load(pointers, index, type ? pointerTo(type) : argument.getType());
  return !type || isPointer ? pointer : descriptors.memref(pointer, type, binding.getAs<ArrayAttr>("dims"));
}

Value Descriptors::load(Value table, int64_t index, Type type) {
  auto ptr = LLVM::LLVMPointerType::get(builder.getContext());
  Value address = table;
  if (index > 0)
    address = LLVM::GEPOp::create(builder, loc, ptr, isa<IntegerType>(type) ? type : Type(ptr), table,
                                  ArrayRef<LLVM::GEPArg>{int32_t(index)}, LLVM::GEPNoWrapFlags::inbounds);
  auto result = LLVM::LoadOp::create(builder, loc, type, address);
  result.setInvariant(true);
  return result;
}

Value Descriptors::dimension(Attribute size) {
  if (auto value = dyn_cast<IntegerAttr>(size))
    return number(value.getInt());
  const Dim dim = *parseDim(cast<StringAttr>(size).getValue());
  const auto found = llvm::find_if(symbols, [&](Attribute symbol) { return cast<StringAttr>(symbol) == dim.symbol; });
  Value value = load(dims, found - symbols.begin(), builder.getI64Type());
  if (const int64_t bias = dim.offset + dim.multiple - 1)
    value = LLVM::AddOp::create(builder, loc, value, number(bias));
  if (dim.multiple > 1) {
    value = LLVM::UDivOp::create(builder, loc, value, number(dim.multiple));
    value = LLVM::MulOp::create(builder, loc, value, number(dim.multiple));
  }
  return value;
}

/// The descriptor is {allocated, aligned, offset, sizes, strides}.
Value Descriptors::memref(Value pointer, MemRefType type, ArrayAttr sizes) {
  auto array = LLVM::LLVMArrayType::get(builder.getI64Type(), type.getRank());
  auto structure = LLVM::LLVMStructType::getLiteral(
      builder.getContext(), {pointer.getType(), pointer.getType(), builder.getI64Type(), array, array});
  Value result = LLVM::PoisonOp::create(builder, loc, structure);
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    result = LLVM::InsertValueOp::create(builder, loc, result, value, position);
  };
  insert(pointer, 0);
  insert(pointer, 1);
  insert(number(0), 2);
  Value stride = number(1);
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    Value size = dimension(sizes[i]);
    insert(size, {3, i});
    insert(stride, {4, i});
    if (i > 0)
      stride = LLVM::MulOp::create(builder, loc, stride, size, LLVM::IntegerOverflowFlags::nsw);
  }
  return UnrealizedConversionCastOp::create(builder, loc, type, result).getResult(0);
}

namespace {
/// What all calls of a function have in common in a memref that they pass.
struct Passed {
  ArrayAttr dims;
  Attribute binding; ///< Null: not the same in all of them.
};
} // namespace

/// What `function` is passed, if all its `users` are calls in steps that agree on the
/// dims of memory; nothing if not.
static std::optional<SmallVector<Passed>> argumentsOf(func::FuncOp function, ArrayRef<Operation *> users) {
  SmallVector<Passed> arguments(function.getNumArguments());
  if (function.isExternal() || !function.isPrivate() || users.empty())
    return std::nullopt;
  for (Operation *user : users) {
    auto call = dyn_cast<func::CallOp>(user);
    auto step = call ? call->getParentOfType<func::FuncOp>() : func::FuncOp();
    if (!step || !isStepFunction(step))
      return std::nullopt;
    for (auto [operand, known] : llvm::zip(call.getOperands(), arguments)) {
      auto type = dyn_cast<MemRefType>(operand.getType());
      if (!type)
        continue;
      auto argument = dyn_cast<BlockArgument>(operand);
      if (!argument || argument.getOwner()->getParentOp() != step || !type.getLayout().isIdentity())
        return std::nullopt;
      auto binding = step.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kBindingAttr);
      auto dims = binding.getAs<ArrayAttr>("dims");
      if ((known.dims && known.dims != dims) || int64_t(dims.size()) != type.getRank())
        return std::nullopt;
      const Attribute entry = bindingEntry(binding, type);
      known.binding = !known.dims || known.binding == entry ? entry : Attribute();
      known.dims = dims;
    }
  }
  return arguments;
}

/// Gives `block` the two tables as its last arguments. Its memrefs become pointers, or
/// are loaded from the table if they are the same in all calls; those arguments, which
/// are returned, go.
static llvm::BitVector takeTables(func::FuncOp block, ArrayRef<Passed> arguments, const DenseMap<Attribute, int64_t> &places,
                                  ArrayAttr symbols) {
  OpBuilder builder = OpBuilder::atBlockBegin(&block.front());
  const unsigned count = block.getNumArguments();
  auto ptr = LLVM::LLVMPointerType::get(block.getContext());
  for (unsigned table : {0, 1})
    (void)block.insertArgument(count + table, ptr, {}, block.getLoc());
  Descriptors descriptors(builder, block.getLoc(), symbols, block.getArgument(count + 1));
  llvm::BitVector found(count + 2);
  for (unsigned i = 0; i < count; ++i) {
    BlockArgument argument = block.getArgument(i);
    auto type = dyn_cast<MemRefType>(argument.getType());
    if (!type)
      continue;
    Value pointer = argument;
    if (arguments[i].binding) {
      found.set(i);
      pointer = descriptors.load(block.getArgument(count), places.at(arguments[i].binding), pointerTo(type));
    } else {
      argument.setType(pointerTo(type));
    }
    Value memref = descriptors.memref(pointer, type, arguments[i].dims);
    argument.replaceUsesWithIf(memref, [](OpOperand &use) { return !isa<LLVM::InsertValueOp>(use.getOwner()); });
  }
  (void)block.eraseArguments(found);
  block.setFunctionType(builder.getFunctionType(block.front().getArgumentTypes(), {}));
  found.resize(count);
  return found;
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
    DenseMap<Attribute, int64_t> places;
    for (auto [place, binding] : llvm::enumerate(bindings))
      places[binding] = place;
    SymbolTableCollection tables;
    SymbolUserMap users(tables, module);
    SmallVector<std::pair<func::FuncOp, SmallVector<Passed>>> found;
    for (auto function : module.getOps<func::FuncOp>())
      if (auto arguments = argumentsOf(function, users.getUsers(function)))
        found.emplace_back(function, std::move(*arguments));
    Blocks blocks;
    for (auto &[block, arguments] : found)
      blocks[block.getSymNameAttr()] = takeTables(block, arguments, places, symbols);
    for (func::FuncOp step : steps)
      if (failed(StepSignature(step, places, symbols, blocks).rewrite()))
        return signalPassFailure();
  }
};
} // namespace
