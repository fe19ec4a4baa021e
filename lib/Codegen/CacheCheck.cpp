// Every instruction that has a pointer to cache memory as operand or result is
// looked at. Types carry the address space, so nothing else can reach the cache
// but through the table of pointers, whose uses TableCheck accounts for.
#include "Codegen/CacheCheck.h"

#include "Codegen/PointerTable.h"
#include "Support/CacheSpace.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace graphc {

/// The dtype of cache memory that a pointer, or a pointer within a vector or a
/// structure, points to.
static std::optional<DType> cacheBehind(const Type *type) {
  if (auto *pointer = dyn_cast<PointerType>(type->getScalarType()))
    return cacheDType(pointer->getAddressSpace());
  for (const Type *part : type->subtypes())
    if (std::optional<DType> dtype = type->isAggregateType() ? cacheBehind(part) : std::nullopt)
      return dtype;
  return std::nullopt;
}

static bool isExactly(const Type *scalar, DType dtype) {
  switch (dtype) {
  case DType::F32: return scalar->isFloatTy();
  case DType::F16: return scalar->isHalfTy();
  case DType::BF16: return scalar->isBFloatTy();
  case DType::F64: return scalar->isDoubleTy();
  default: return scalar->isIntegerTy(8 * byteSize(dtype)); // 8-bit floats are integers to LLVM
  }
}

std::string instructionText(const Instruction &instruction) {
  std::string text;
  raw_string_ostream stream(text);
  instruction.print(stream);
  text = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  return text.size() > 160 ? text.substr(0, 160) + " .." : text;
}

std::string originText(const Value *pointer) {
  std::string text;
  for (int steps = 0; steps < 8; ++steps) {
    auto *instruction = dyn_cast<Instruction>(pointer);
    if (!instruction)
      break;
    text += concat("\n  note: through '", instructionText(*instruction), "'");
    if (instruction->getNumOperands() == 0 || isa<LoadInst, CallBase>(instruction))
      return text;
    pointer = isa<SelectInst>(instruction) ? instruction->getOperand(1) : instruction->getOperand(0);
  }
  if (auto *argument = dyn_cast<Argument>(pointer))
    text += concat("\n  note: from argument ", argument->getArgNo(), " of '", argument->getParent()->getName(), "'");
  return text;
}

namespace {

class CacheCheck {
public:
  CacheCheck(const Module &module, const Program &program, CodeState state)
      : module(module), layout(module.getDataLayout()), program(program), state(state) {}

  absl::Status run(Facts *facts) {
    for (const Function &function : module)
      if (!function.isDeclaration() && !function.hasFnAttribute("no-builtins"))
        return brokenContract("LLVM IR: function '", function.getName(), "' must have the attribute no-builtins: a loop over "
                              "the cache could become a call of memcpy");
    absl::StatusOr<PointerTable> table = readPointerTable(module, program);
    if (!table.ok())
      return table.status();
    loadedFromTable = &table->cacheLoads;
    for (const Function &function : module)
      for (const Instruction &instruction : instructions(function)) {
        ++numInstructions;
        if (absl::Status status = check(instruction); !status.ok())
          return status;
      }
    if (facts)
      *facts = {{"instructions", numInstructions}, {"table-entries", table->cacheLoads.size()}, {"loads", numLoads},
                {"stores", numStores},             {"prefetches", numPrefetches},               {"address-operations", numAddresses},
                {"calls", numCalls}};
    return absl::OkStatus();
  }

private:
  absl::Status check(const Instruction &instruction) {
    const std::optional<DType> made = cacheBehind(instruction.getType());
    const Use *taken = nullptr;
    for (const Use &operand : instruction.operands()) {
      if (!cacheBehind(operand->getType()) || isa<UndefValue, ConstantPointerNull, ConstantAggregateZero>(operand))
        continue;
      if (isa<Constant>(operand))
        return refuse(instruction, operand, "must not make a pointer to cache memory of a constant");
      taken = &operand;
    }
    if (!made && !taken)
      return absl::OkStatus();
    switch (instruction.getOpcode()) {
    case Instruction::GetElementPtr:
    case Instruction::PHI:
    case Instruction::Select:
    case Instruction::ICmp:
    case Instruction::ExtractValue: // of memref descriptors, until they are taken apart
    case Instruction::InsertValue:
      ++numAddresses;
      return absl::OkStatus();
    case Instruction::Load:
      return checkLoad(cast<LoadInst>(instruction));
    case Instruction::Store:
      return checkStore(cast<StoreInst>(instruction));
    case Instruction::Call:
      return checkCall(cast<CallInst>(instruction), taken);
    default:
      return refuse(instruction, taken ? taken->get() : nullptr, "must not touch cache memory");
    }
  }

  absl::Status refuse(const Instruction &instruction, const Value *pointer, std::string_view why) const {
    return brokenContract("LLVM IR: '", std::string_view(instruction.getOpcodeName()), "' in '",
                          instruction.getFunction()->getName(), "' ", why, "\n  note: ", instructionText(instruction),
                          pointer ? originText(pointer) : "");
  }

  absl::Status checkLoad(const LoadInst &load) {
    const std::optional<DType> dtype = cacheDType(load.getPointerAddressSpace());
    if (!dtype) // a pointer to the cache, out of other memory
      return loadedFromTable->contains(&load)
                 ? absl::OkStatus()
                 : refuse(load, load.getPointerOperand(), "must not take a pointer to cache memory out of memory other than the "
                                                          "table of an entry point");
    ++numLoads;
    return load.isSimple() ? checkType(load, load.getPointerOperand(), load.getType(), *dtype)
                           : refuse(load, load.getPointerOperand(), "must not be atomic or volatile on cache memory");
  }

  absl::Status checkStore(const StoreInst &store) {
    if (cacheBehind(store.getValueOperand()->getType()))
      return refuse(store, store.getValueOperand(), "must not store a pointer to cache memory");
    ++numStores;
    return store.isSimple() ? checkType(store, store.getPointerOperand(), store.getValueOperand()->getType(),
                                        *cacheDType(store.getPointerAddressSpace()))
                            : refuse(store, store.getPointerOperand(), "must not be atomic or volatile on cache memory");
  }

  absl::Status checkCall(const CallInst &call, const Use *taken) {
    const Value *pointer = taken ? taken->get() : nullptr;
    const Function *callee = call.getCalledFunction();
    if (!callee)
      return refuse(call, pointer, call.isInlineAsm() ? "must not hand cache memory to inline assembly"
                                                      : "must not hand cache memory to an unknown function");
    switch (callee->getIntrinsicID()) {
    case Intrinsic::not_intrinsic:
      if (callee->isDeclaration())
        return refuse(call, pointer, concat("must not hand cache memory to '", callee->getName(), "', whose code is not here"));
      if (cacheBehind(call.getType()))
        return refuse(call, pointer, "must not return a pointer to cache memory");
      ++numCalls;
      return absl::OkStatus();
    case Intrinsic::masked_load:
      ++numLoads;
      return checkType(call, pointer, call.getType(), *cacheBehind(pointer->getType()));
    case Intrinsic::masked_store:
      ++numStores;
      return checkType(call, pointer, call.getArgOperand(0)->getType(), *cacheBehind(pointer->getType()));
    case Intrinsic::prefetch:
      ++numPrefetches;
      return absl::OkStatus();
    case Intrinsic::assume: // what is known of a pointer, no access
      return absl::OkStatus();
    default:
      return refuse(call, pointer, concat("must not apply '", callee->getName(), "' to cache memory"));
    }
  }

  /// The pinned type; after optimisation also integers of a whole number of
  /// elements, since loads are widened and their values taken apart.
  absl::Status checkType(const Instruction &access, const Value *pointer, const Type *type, DType dtype) {
    const Type *scalar = type->getScalarType();
    if (isExactly(scalar, dtype))
      return absl::OkStatus();
    const uint64_t bits = layout.getTypeSizeInBits(const_cast<Type *>(scalar)).getKnownMinValue();
    if (state == CodeState::Optimized && scalar->isIntegerTy() && bits % (8 * byteSize(dtype)) == 0)
      return absl::OkStatus();
    std::string got;
    raw_string_ostream stream(got);
    type->print(stream);
    return refuse(access, pointer, concat("must access cache memory as ", info(dtype).name, ", got ", got));
  }

  const Module &module;
  const DataLayout &layout;
  const Program &program;
  const CodeState state;
  const DenseSet<const LoadInst *> *loadedFromTable = nullptr;
  uint64_t numInstructions = 0, numLoads = 0, numStores = 0, numPrefetches = 0, numAddresses = 0, numCalls = 0;
};

} // namespace

absl::Status checkCacheAccess(const Module &module, const Program &program, CodeState state, Facts *facts) {
  return CacheCheck(module, program, state).run(facts);
}

} // namespace graphc
