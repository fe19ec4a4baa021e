// Facts of the kernels: where each cast ended up, which kernels a step runs, and
// what becomes of each weight.
#include "Compiler/Explainer.h"

#include "Runtime/Code.h"
#include "Support/Message.h"
#include "graphc/IR/Kernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace graphc {

static std::vector<std::string> textsOf(Operation *op, StringRef key) {
  std::vector<std::string> texts;
  if (auto array = op->getAttrOfType<ArrayAttr>(key))
    for (auto text : array.getAsRange<StringAttr>())
      texts.push_back(text.str());
  return texts;
}

static bool isKernel(Operation *op) {
  return isa_and_nonnull<kernel::KernelDialect>(op->getDialect()) && op->hasAttr("layers");
}

/// Elements of a row of `memref`, and whether a step has one for each token.
static std::pair<uint64_t, bool> rowsOf(Value memref) {
  auto type = mlir::cast<MemRefType>(memref.getType());
  StringRef symbol = "tokens";
  if (auto buffer = memref.getDefiningOp<kernel::BufferOp>())
    symbol = buffer.getSymbol();
  else if (auto argument = dyn_cast<BlockArgument>(memref))
    if (auto function = dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp()))
      if (auto binding = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), kernel::kBindingAttr))
        if (auto dims = binding.getAs<ArrayAttr>("dims"); dims && !dims.empty() && isa<StringAttr>(dims[0]))
          symbol = mlir::cast<StringAttr>(dims[0]).getValue();
  uint64_t elements = 1;
  for (int64_t dim : type.getShape().drop_front())
    elements *= dim;
  return {elements, symbol == "tokens"};
}

/// After fusion: a cast is the first layer of its own kernel, or one of the
/// layers of the kernel that makes its value. One on the cache moves all rows.
void Explainer::findFates(func::FuncOp step) {
  for (Operation &op : step.front()) {
    if (!isKernel(&op))
      continue;
    const std::vector<std::string> layers = textsOf(&op, "layers"), values = textsOf(&op, kernel::kValuesAttr);
    auto outs = dyn_cast<kernel::EpilogueKernel>(op);
    for (size_t i = 0; i < layers.size(); ++i) {
      auto known = castOfValue.find(layers[i]);
      if (known == castOfValue.end())
        continue;
      CastFact &fact = facts.casts[known->second];
      fact.kernel = layers.front();
      if (!outs) {
        fact.fate = CastFate::Kernel;
        for (Value operand : op.getOperands())
          if (auto type = dyn_cast<MemRefType>(operand.getType()); type && fact.isOnCache)
            bytesPerRow[known->second] += rowsOf(operand).first * type.getElementTypeBitWidth() / 8;
        continue;
      }
      const auto addBytes = [&](Value memref) {
        auto [elements, everyToken] = rowsOf(memref);
        const uint64_t bytes = elements * getElementTypeOrSelf(memref.getType()).getIntOrFloatBitWidth() / 8;
        fact.bytesPerStep += bytes;
        fact.bytesPerToken += everyToken ? bytes : 0;
      };
      const std::string source = layers[i].substr(0, layers[i].rfind(" as "));
      const bool sourceStays = llvm::is_contained(values, source);
      fact.fate = i == 0 ? CastFate::Kernel : CastFate::Register;
      if (i == 0)
        addBytes(op.getOperand(0));
      for (auto [out, value] : llvm::zip(outs.getOuts(), values))
        if (value == layers[i] && (i == 0 || sourceStays)) {
          addBytes(out);
          fact.fate = i == 0 ? CastFate::Kernel : CastFate::Copy;
        }
    }
  }
}

static int64_t roundingsIn(Operation *op) {
  int64_t count = 0;
  op->walk([&](arith::TruncFOp) { ++count; });
  if (auto attention = dyn_cast<kernel::CachedAttentionOp>(op))
    for (Value out : {attention.getOut(), attention.getWeights()})
      count += out && !getElementTypeOrSelf(out.getType()).isF32();
  return count;
}

void Explainer::gatherKernels(ModuleOp module) {
  module.walk([&](Operation *op) { facts.kernelsInCode += isKernel(op); });
  gatherStep(module, kDecodeSymbol, /*ofEncoder=*/false);
  gatherStep(module, kEncoderSymbol, /*ofEncoder=*/true);
  for (const KernelFact &kernel : facts.kernels)
    (kernel.ofEncoder ? facts.encoderKernelsRun : facts.kernelsRun) += kernel.runs;
}

void Explainer::gatherStep(ModuleOp module, StringRef name, bool ofEncoder) {
  auto step = module.lookupSymbol<func::FuncOp>(name);
  if (!step)
    return;
  std::map<std::string, std::vector<size_t>> known; // callee to its kernels
  const auto add = [&](Operation *op) {
    facts.kernels.push_back({op->getName().stripDialect().str(), textsOf(op, "layers"), roundingsIn(op), {}, 0, ofEncoder});
    return facts.kernels.size() - 1;
  };
  step.walk([&](Operation *op) {
    if (isKernel(op)) {
      facts.kernels[add(op)].runs = 1;
      return;
    }
    auto call = dyn_cast<func::CallOp>(op);
    auto callee = call ? module.lookupSymbol<func::FuncOp>(call.getCallee()) : func::FuncOp();
    if (!callee)
      return;
    auto [entry, fresh] = known.try_emplace(call.getCallee().str());
    if (fresh)
      callee.walk([&](Operation *inner) {
        if (isKernel(inner))
          entry->second.push_back(add(inner));
      });
    auto path = call->getAttrOfType<StringAttr>("layer.path");
    for (size_t index : entry->second) {
      ++facts.kernels[index].runs;
      facts.kernels[index].blocks.push_back(path ? path.str() : "");
    }
  });
}

void Explainer::gatherWeights(const Program &program) {
  for (const Binding &binding : program.bindings) {
    if (binding.kind != Binding::Kind::Parameter)
      continue;
    WeightFact fact;
    fact.name = binding.name;
    fact.source = binding.source;
    fact.stored = info(binding.stored).name;
    fact.used = info(binding.dtype).name;
    fact.residency = binding.isInPlace() ? "in place" : "converted";
    absl::StatusOr<uint64_t> bytes = byteSize(program, binding, symbolValues(program, Extents()));
    fact.bytes = bytes.ok() ? *bytes : 0;
    if (binding.isInPlace()) {
      fact.reason = "kernels read the file's bytes";
      for (const CastFact &cast : facts.casts)
        if (cast.value == fact.name && cast.fate == CastFate::Register)
          fact.reason = concat("kernels read the file's bytes and widen them to ", cast.to, " in registers");
    } else {
      std::vector<std::string> steps;
      for (DType type : binding.roundings)
        steps.push_back(concat("made ", info(type).name));
      if (binding.transpose)
        steps.push_back("transposed");
      fact.reason = join(steps, ", then ");
      for (const CastFact &cast : facts.casts)
        if (cast.value == fact.name && cast.fate == CastFate::Load)
          for (const CastCause &cause : cast.causes)
            fact.reason += concat("; ", cause.setting, " of ", cause.layer);
    }
    facts.weights.push_back(std::move(fact));
  }
}

void Explainer::kernelsDone(ModuleOp module, const Program &program) {
  facts.target = program.targetName;
  PlanRequest request = planRequest(options.session);
  if (absl::StatusOr<Extents> call = largestCall(program, request); call.ok())
    for (auto [index, bytes] : bytesPerRow)
      facts.casts[index].bytesPerStep = bytes * uint64_t(call->capacity);
  gatherKernels(module);
  gatherWeights(program);
}

} // namespace graphc
