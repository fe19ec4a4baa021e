// Following the table of pointers: uses of a pointer with a constant offset,
// through the structure in which a fork hands it to its threads.
#include "Codegen/PointerTable.h"

#include "Support/CacheSpace.h"
#include "Support/Contract.h"

#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Operator.h"

#include <set>
#include <tuple>
#include <vector>

using namespace llvm;

namespace graphc {
namespace {

/// The address space of what is bound.
int64_t spaceOf(const Binding &binding) {
  if (binding.kind != Binding::Kind::Cache)
    return 0;
  return binding.isScales() ? kScaleSpace : cacheSpace(binding.dtype);
}

class TableCheck {
public:
  TableCheck(const Module &module, const Program &program) : layout(module.getDataLayout()), program(program) {}

  absl::Status follow(const Function &entry);
  PointerTable table;

private:
  /// A pointer into the table, or into a structure that holds the table at `held`.
  struct Place {
    const Value *pointer;
    int64_t offset;
    int64_t held = -1;
    bool operator<(const Place &other) const {
      return std::tie(pointer, offset, held) < std::tie(other.pointer, other.offset, other.held);
    }
  };
  bool isTable(const Place &place) const { return place.held < 0; }

  void add(Place place) {
    if (seen.insert(place).second)
      places.push_back(place);
  }
  absl::Status checkUse(const Place &place, const Use &use);
  absl::Status checkLoad(const Place &place, const LoadInst &load);
  absl::Status checkStore(const Place &place, const StoreInst &store);
  absl::Status checkCall(const Place &place, const CallInst &call, unsigned operand);
  absl::Status refuse(const User &user, std::string_view why) const;

  const DataLayout &layout;
  const Program &program;
  std::vector<Place> places;
  std::set<Place> seen;
};

absl::Status TableCheck::refuse(const User &user, std::string_view why) const {
  auto *instruction = dyn_cast<Instruction>(&user);
  return brokenContract("LLVM IR: the table of pointers of an entry point ", why,
                        instruction ? concat("\n  note: '", instructionText(*instruction), "' in '",
                                             instruction->getFunction()->getName(), "'")
                                    : "");
}

absl::Status TableCheck::follow(const Function &entry) {
  if (entry.arg_empty())
    return absl::OkStatus();
  add({entry.getArg(0), 0});
  while (!places.empty()) {
    const Place place = places.back();
    places.pop_back();
    for (const Use &use : place.pointer->uses())
      if (absl::Status status = checkUse(place, use); !status.ok())
        return status;
  }
  return absl::OkStatus();
}

absl::Status TableCheck::checkUse(const Place &place, const Use &use) {
  const User *user = use.getUser();
  if (auto *address = dyn_cast<GEPOperator>(user)) {
    APInt offset(64, 0);
    if (use.getOperandNo() != 0 || !address->accumulateConstantOffset(layout, offset))
      return refuse(*user, "must be read at constant places");
    add({address, place.offset + offset.getSExtValue(), place.held});
    return absl::OkStatus();
  }
  if (auto *load = dyn_cast<LoadInst>(user))
    return checkLoad(place, *load);
  if (auto *store = dyn_cast<StoreInst>(user))
    return checkStore(place, *store);
  if (auto *call = dyn_cast<CallInst>(user); call && call->isArgOperand(&use))
    return checkCall(place, *call, call->getArgOperandNo(&use));
  return refuse(*user, "must not go where it cannot be followed");
}

absl::Status TableCheck::checkLoad(const Place &place, const LoadInst &load) {
  if (!isTable(place)) {
    if (place.offset == place.held) {
      if (!load.getType()->isPointerTy())
        return refuse(load, "must be taken out of a capture as a pointer");
      add({&load, 0});
    }
    return absl::OkStatus(); // another captured value
  }
  const int64_t index = place.offset / 8;
  if (place.offset % 8 || index < 0 || index >= int64_t(program.bindings.size()))
    return refuse(load, concat("must be read at one of its ", program.bindings.size(), " pointers, got byte ", place.offset));
  const Binding &binding = program.bindings[size_t(index)];
  const int64_t space = spaceOf(binding);
  auto *type = dyn_cast<PointerType>(load.getType());
  if (!type || int64_t(type->getAddressSpace()) != space)
    return refuse(load, concat("must give '", binding.name, "' as a pointer in address space ", space));
  if (space)
    table.cacheLoads.insert(&load);
  return absl::OkStatus();
}

absl::Status TableCheck::checkStore(const Place &place, const StoreInst &store) {
  if (store.getPointerOperand() == place.pointer && store.getValueOperand() != place.pointer)
    return isTable(place) ? refuse(store, "must not be written") : absl::OkStatus(); // of another captured value
  if (!isTable(place) || place.offset != 0)
    return refuse(store, "must not be stored but as a whole, for a fork");
  APInt offset(64, 0);
  const Value *structure =
      store.getPointerOperand()->stripAndAccumulateConstantOffsets(layout, offset, /*AllowNonInbounds=*/true);
  if (!isa<AllocaInst>(structure))
    return refuse(store, "must be stored for a fork only, on the stack");
  add({structure, 0, offset.getSExtValue()});
  return absl::OkStatus();
}

absl::Status TableCheck::checkCall(const Place &place, const CallInst &call, unsigned operand) {
  const Function *callee = call.getCalledFunction();
  if (callee && callee->isIntrinsic() && cast<IntrinsicInst>(call).isLifetimeStartOrEnd())
    return absl::OkStatus();
  unsigned argument = operand;
  if (callee && callee->getName() == "__kmpc_fork_call" && operand >= 3) { // (place, count, function, captures..)
    callee = dyn_cast<Function>(call.getArgOperand(2)->stripPointerCasts());
    argument = operand - 1; // behind the numbers of the thread
  }
  if (!callee || callee->isDeclaration() || argument >= callee->arg_size())
    return refuse(call, "must not be passed to code that is not here");
  add({callee->getArg(argument), place.offset, place.held});
  return absl::OkStatus();
}

} // namespace

absl::StatusOr<PointerTable> readPointerTable(const Module &module, const Program &program) {
  TableCheck check(module, program);
  for (const Function &function : module)
    if (!function.isDeclaration() && !function.hasLocalLinkage())
      if (absl::Status status = check.follow(function); !status.ok())
        return status;
  return check.table;
}

} // namespace graphc
