// A small prover for bounds of index arithmetic.
#include "passes/cpu/IndexBounds.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace graphc::cpu {

/// Replacements in one proof; kernels need at most six.
constexpr int kDepth = 9;

Affine Affine::plus(const Affine &other, int64_t times) const {
  Affine sum = *this;
  sum.constant += times * other.constant;
  for (auto [atom, coefficient] : other.terms)
    if ((sum.terms[atom] += times * coefficient) == 0)
      sum.terms.erase(atom);
  return sum;
}

std::string Affine::text() const {
  std::string text = std::to_string(constant);
  for (auto [atom, coefficient] : terms)
    text += "+" + std::to_string(coefficient) + "a" + std::to_string(atom);
  return text;
}

static std::optional<int64_t> constantOf(Value value) {
  APInt constant;
  return matchPattern(value, m_ConstantInt(&constant)) ? std::optional(constant.getSExtValue()) : std::nullopt;
}

//===-- Sums ----------------------------------------------------------------===//

Affine IndexBounds::atom(const std::string &key, Atom atom) {
  auto [entry, fresh] = known.try_emplace(key, atoms.size());
  if (fresh)
    atoms.push_back(std::move(atom));
  return Affine{{{entry->second, 1}}, 0};
}

Affine IndexBounds::inputAt(StringRef name, const Affine &at) {
  return atom(name.str() + "[" + at.text() + "]", {Value(), name, at});
}

Affine IndexBounds::symbol(StringRef name) { return atom("symbol " + name.str(), {Value(), {}, {}, /*isSize=*/true}); }

Affine IndexBounds::dimension(Value memref, int64_t dim) {
  if (auto type = cast<MemRefType>(memref.getType()); !type.isDynamicDim(dim))
    return Affine{{}, type.getDimSize(dim)};
  if (auto [name, offset] = facts.symbolOf(memref, dim); !name.empty())
    return symbol(name).plus(offset);
  return symbol((Twine(reinterpret_cast<uintptr_t>(memref.getAsOpaquePointer())) + "." + Twine(dim)).str());
}

Affine IndexBounds::of(Value value) {
  if (auto found = sums.find(value); found != sums.end())
    return found->second;
  Affine sum;
  if (auto constant = constantOf(value))
    sum.constant = *constant;
  else
    sum = ofOperation(value.getDefiningOp(), value);
  return sums[value] = sum;
}

Affine IndexBounds::ofOperation(Operation *op, Value value) {
  auto itself = [&] {
    return atom(std::to_string(reinterpret_cast<uintptr_t>(value.getAsOpaquePointer())), {value, {}, {}});
  };
  if (!op) // an argument
    return itself();
  return llvm::TypeSwitch<Operation *, Affine>(op)
      .Case([&](arith::AddIOp add) { return of(add.getLhs()).plus(of(add.getRhs())); })
      .Case([&](arith::SubIOp sub) { return of(sub.getLhs()).plus(of(sub.getRhs()), -1); })
      .Case([&](arith::MulIOp mul) {
        if (auto factor = constantOf(mul.getRhs()))
          return Affine().plus(of(mul.getLhs()), *factor);
        if (auto factor = constantOf(mul.getLhs()))
          return Affine().plus(of(mul.getRhs()), *factor);
        return itself();
      })
      .Case([&](arith::ShLIOp shift) {
        auto by = constantOf(shift.getRhs());
        return by && *by >= 0 && *by < 32 ? Affine().plus(of(shift.getLhs()), int64_t(1) << *by) : itself();
      })
      .Case<arith::IndexCastOp, arith::ExtSIOp>([&](auto cast) { return of(cast.getIn()); })
      .Case([&](memref::DimOp dim) {
        auto index = dim.getConstantIndex();
        return index && isa<MemRefType>(dim.getSource().getType()) ? dimension(dim.getSource(), *index) : itself();
      })
      .Case([&](memref::LoadOp load) {
        StringRef name = facts.inputName(load.getMemRef());
        return name.empty() || load.getIndices().size() != 1 ? itself() : inputAt(name, of(load.getIndices()[0]));
      })
      .Default([&](Operation *) { return itself(); });
}

std::optional<Affine> IndexBounds::asRemainder(const Affine &sum, const Affine &divisor) {
  if (sum.terms.size() != 1 || sum.constant != 0 || sum.terms.begin()->second != 1)
    return std::nullopt;
  const Atom &atom = atoms[sum.terms.begin()->first];
  auto remainder = atom.value ? atom.value.getDefiningOp<arith::RemUIOp>() : arith::RemUIOp();
  if (!remainder || of(remainder.getRhs()) != divisor)
    return std::nullopt;
  return of(remainder.getLhs());
}

//===-- Proofs --------------------------------------------------------------===//

bool IndexBounds::isNonNegative(const Affine &sum, Operation *at) {
  collectConditions(at);
  failed.clear();
  return prove(sum, kDepth);
}

bool IndexBounds::prove(const Affine &sum, int depth) {
  if (sum.terms.empty())
    return sum.constant >= 0;
  if (depth == 0)
    return false;
  const std::string key = sum.text() + " " + std::to_string(depth) + " " + std::to_string(assumed.size());
  if (failed.contains(key))
    return false;
  for (auto [atom, coefficient] : sum.terms)
    if (proveByOrder(sum, atom, coefficient, depth - 1) || proveByDivision(sum, atom, coefficient, depth - 1) ||
        proveByBounds(sum, atom, coefficient, depth - 1))
      return true;
  for (const Affine &condition : conditions)
    if (llvm::any_of(condition.terms, [&](auto &term) { return sum.terms.contains(term.first); }) &&
        prove(sum.plus(condition, -1), std::min(depth - 1, 3)))
      return true;
  failed.insert(key);
  return false;
}

/// starts[j] >= starts[i] for j >= i.
bool IndexBounds::proveByOrder(const Affine &sum, unsigned atom, int64_t coefficient, int depth) {
  if (coefficient < 0 || atoms[atom].input != "starts")
    return false;
  for (auto [other, negative] : sum.terms) {
    if (negative >= 0 || atoms[other].input != "starts")
      continue;
    const Affine apart = atoms[atom].index.plus(atoms[other].index, -1);
    if (apart.terms.empty() && apart.constant >= 0 &&
        prove(sum.plus(Affine{{{atom, 1}}, 0}, -coefficient).plus(Affine{{{other, 1}}, 0}, coefficient), depth))
      return true;
  }
  return false;
}

/// m * (x / m) lies between x - m + 1 and x, for x >= 0.
bool IndexBounds::proveByDivision(const Affine &sum, unsigned atom, int64_t coefficient, int depth) {
  Operation *op = atoms[atom].value ? atoms[atom].value.getDefiningOp() : nullptr;
  if (!isa_and_nonnull<arith::DivUIOp, arith::DivSIOp, arith::CeilDivUIOp, arith::CeilDivSIOp>(op))
    return false;
  auto divisor = constantOf(op->getOperand(1));
  if (!divisor || *divisor < 1 || coefficient % *divisor)
    return false;
  const Affine x = of(op->getOperand(0));
  if (!prove(x, std::min(depth, 5)))
    return false;
  const bool up = isa<arith::CeilDivUIOp, arith::CeilDivSIOp>(op);
  const int64_t slack = up == (coefficient > 0) ? 0 : up ? *divisor - 1 : 1 - *divisor;
  return prove(sum.plus(Affine{{{atom, 1}}, 0}, -coefficient).plus(x.plus(slack), coefficient / *divisor), depth);
}

bool IndexBounds::proveByBounds(const Affine &sum, unsigned atom, int64_t coefficient, int depth) {
  const Affine rest = sum.plus(Affine{{{atom, 1}}, 0}, -coefficient);
  const Atom bounded = atoms[atom]; // `atoms` may grow below
  return llvm::any_of(bounds(bounded, /*lower=*/coefficient > 0, depth), [&](const Alternative &alternative) {
    return llvm::all_of(alternative, [&](const Affine &bound) { return prove(rest.plus(bound, coefficient), depth); });
  });
}

std::vector<IndexBounds::Alternative> IndexBounds::bounds(const Atom &atom, bool lower, int depth) {
  const Affine zero;
  if (!atom.value) // sizes and inputs are not negative
    return lower ? std::vector<Alternative>{{zero}} : std::vector<Alternative>{};
  if (lower && (facts.isNotNegative(atom.value) || llvm::is_contained(assumed, atom.value)))
    return {{zero}};
  if (auto argument = dyn_cast<BlockArgument>(atom.value)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (!loop || loop.getUnsignedCmp())
      return {};
    if (argument == loop.getInductionVar()) {
      if (!prove(of(loop.getStep()).plus(-1), std::min(depth, 3)) && !facts.isNotNegative(loop.getStep()))
        return {};
      return {{lower ? of(loop.getLowerBound()) : of(loop.getUpperBound()).plus(-1)}};
    }
    const unsigned index = argument.getArgNumber() - 1;
    if (lower && isCarriedNonNegative(loop.getInitArgs()[index], argument, loop.getYieldedValues()[index], depth))
      return {{zero}};
    return {};
  }
  Operation *op = atom.value.getDefiningOp();
  auto operand = [&](unsigned index) { return of(op->getOperand(index)); };
  auto divisor = [&] { return constantOf(op->getOperand(1)); };
  if (isa<arith::MinSIOp, arith::MaxSIOp>(op)) {
    if (isa<arith::MinSIOp>(op) == lower)
      return {{operand(0), operand(1)}};
    return {{operand(0)}, {operand(1)}};
  }
  if (isa<arith::SelectOp>(op))
    return {{operand(1), operand(2)}};
  if (isa<arith::RemUIOp>(op) && prove(operand(1), std::min(depth, 3)))
    return lower ? std::vector<Alternative>{{zero}} : std::vector<Alternative>{{operand(1).plus(-1)}};
  if (isa<arith::DivUIOp>(op) && lower && divisor().value_or(0) >= 2)
    return {{zero}};
  if (isa<arith::DivUIOp, arith::DivSIOp, arith::CeilDivUIOp, arith::CeilDivSIOp>(op) && prove(operand(0), std::min(depth, 5)))
    return {{lower ? zero : operand(0)}};
  if (isa<arith::MulIOp>(op) && lower && prove(operand(0), std::min(depth, 5)) && prove(operand(1), std::min(depth, 5)))
    return {{zero}};
  if (auto loop = dyn_cast<scf::ForOp>(op); loop && lower) {
    const unsigned index = cast<OpResult>(atom.value).getResultNumber();
    if (isCarriedNonNegative(loop.getInitArgs()[index], loop.getRegionIterArgs()[index], loop.getYieldedValues()[index], depth))
      return {{zero}};
  }
  return {};
}

bool IndexBounds::isCarriedNonNegative(Value initial, Value carried, Value yielded, int depth) {
  if (llvm::is_contained(assumed, carried))
    return true;
  if (!prove(of(initial), std::min(depth, 5)))
    return false;
  assumed.push_back(carried);
  const bool holds = prove(of(yielded), std::min(depth, 5));
  assumed.pop_back();
  return holds;
}

//===-- Conditions ----------------------------------------------------------===//

void IndexBounds::collectConditions(Operation *at) {
  conditions.clear();
  for (Operation *op = at; op->getParentOp(); op = op->getParentOp())
    if (auto branch = dyn_cast<scf::IfOp>(op->getParentOp()))
      addCondition(branch.getCondition(), op->getParentRegion() == &branch.getThenRegion());
}

void IndexBounds::addCondition(Value condition, bool holds) {
  Operation *op = condition.getDefiningOp();
  if (auto both = dyn_cast_or_null<arith::AndIOp>(op); both && holds) {
    addCondition(both.getLhs(), true);
    addCondition(both.getRhs(), true);
  }
  auto compare = dyn_cast_or_null<arith::CmpIOp>(op);
  if (!compare)
    return;
  using Predicate = arith::CmpIPredicate;
  Predicate predicate = holds ? compare.getPredicate() : arith::invertPredicate(compare.getPredicate());
  const Affine above = of(compare.getLhs()).plus(of(compare.getRhs()), -1); // lhs - rhs
  if (predicate == Predicate::sgt || predicate == Predicate::sge || predicate == Predicate::eq)
    conditions.push_back(above.plus(predicate == Predicate::sgt ? -1 : 0));
  if (predicate == Predicate::slt || predicate == Predicate::sle || predicate == Predicate::eq)
    conditions.push_back(Affine().plus(above, -1).plus(predicate == Predicate::slt ? -1 : 0));
}

} // namespace graphc::cpu
