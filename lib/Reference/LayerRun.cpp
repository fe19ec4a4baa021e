// Layers of a graph: operands read and results rounded as the layer rule says
// at the graph's stage, shapes checked, then the op's function.
#include "Reference/Run.h"

#include "Support/Safetensors.h"

using namespace mlir;

namespace graphc::reference {

/// Parameters stay loaded while they have at most this many elements together
/// (1 GiB as doubles); larger models read theirs anew in each run.
constexpr int64_t kLoadedElements = int64_t(1) << 27;

/// The policy's compute type; f32 without one.
static DType policyCompute(Operation *op) {
  auto policied = dyn_cast<layer::PolicyLayer>(op);
  layer::PolicyAttr policy = policied ? policied.getLayerPolicy() : layer::PolicyAttr();
  return policy && policy.getCompute() ? layer::dtypeOf(policy.getCompute()).value_or(DType::F32) : DType::F32;
}

DType Run::computeType(Operation *op) const {
  if (!castsAreExplicit())
    return policyCompute(op);
  for (Value operand : op->getOperands())
    if (layer::isFloatTensor(operand.getType()))
      return layer::dtypeOf(getElementTypeOrSelf(operand.getType())).value_or(DType::F32);
  return DType::F32;
}

Rounding Run::rounding(Operation *op, unsigned result) const {
  Type element = getElementTypeOrSelf(op->getResult(result).getType());
  if (auto policied = dyn_cast<layer::PolicyLayer>(op); policied && !castsAreExplicit())
    if (layer::PolicyAttr policy = policied.getLayerPolicy(); policy && policied.followsOutput(result))
      element = policy.getOutput() ? policy.getOutput() : policy.getCompute() ? policy.getCompute() : element;
  // Axon's interior steps have no casts to show them: the policy tells at every stage.
  const DType interior = state.options.semantics == Semantics::Axon ? policyCompute(op) : DType::F32;
  return {interior, layer::dtypeOf(element).value_or(DType::F32)};
}

TensorPtr Run::operand(Operation *op, Value value) const {
  TensorPtr x = tensor(value);
  auto policied = dyn_cast<layer::PolicyLayer>(op);
  layer::PolicyAttr policy = policied ? policied.getLayerPolicy() : layer::PolicyAttr();
  if (castsAreExplicit() || !policy || arithmetic.isF64() || !isFloat(x->dtype))
    return x;
  const auto readAs = [&](Type type) {
    const std::optional<DType> dtype = type ? layer::dtypeOf(type) : std::nullopt;
    if (dtype && !holds(*dtype, x->dtype))
      x = std::make_shared<const Tensor>(read(arithmetic, *dtype, *x));
  };
  if (auto parameter = value.getDefiningOp<layer::ParamOp>())
    readAs(parameter.getStorage() ? Type(*parameter.getStorage()) : policy.getParams());
  readAs(policy.getCompute());
  return x;
}

absl::Status Run::visit(layer::ParamOp op) {
  auto declaration = SymbolTable::lookupNearestSymbolFrom<layer::ParameterOp>(op, op.getRefAttr());
  TensorPtr &loaded = state.loaded[declaration];
  if (loaded)
    return defineShared(op->getResult(0), loaded);
  const std::string name = declaration.getTensorName().str();
  absl::StatusOr<Tensor> value = state.parameters->load(name);
  if (!value.ok())
    return value.status();
  auto type = cast<RankedTensorType>(declaration.getType());
  if (!hasShape(value->shape, type.getShape()) || layer::dtypeOf(type.getElementType()) != value->dtype)
    return invalidArgument("tensor '", name, "' must be ", spell(type), ", got ", describe(*value));
  value->shape.assign(type.getShape().begin(), type.getShape().end());
  const int64_t elements = value->size();
  if (arithmetic.isF64())
    value->dtype = DType::F64;
  TensorPtr shared = std::make_shared<const Tensor>(*std::move(value));
  if (state.loadedElements + elements <= kLoadedElements) {
    state.loadedElements += elements;
    loaded = shared;
  }
  return defineShared(op->getResult(0), std::move(shared));
}

absl::Status Run::visit(layer::CastOp op) {
  const DType type = layer::dtypeOf(getElementTypeOrSelf(op.getY().getType())).value_or(DType::F32);
  return define(op->getResult(0), cast(arithmetic, *tensor(op.getX()), {DType::F32, type}));
}

absl::Status Run::visit(layer::ContainerOp op) {
  Item group{Item::Kind::Group, nullptr};
  for (Value x : op.getXs())
    group.group.push_back(item(x));
  items[op.getY()] = std::move(group);
  return absl::OkStatus();
}

absl::Status Run::visit(layer::UnpackOp op) {
  const std::vector<Item> group = item(op.getX()).group;
  for (auto [result, member] : llvm::zip(op.getYs(), group))
    items[result] = member;
  return absl::OkStatus();
}

absl::Status Run::visit(layer::EmbeddingOp op) {
  const TensorPtr indices = tensor(op.getIds()), kernel = operand(op, op.getKernel());
  if (kernel->shape.size() != 2)
    return layerError(op, "kernel must be (vocab, hidden), got ", describe(*kernel));
  for (double id : indices->data)
    if (id + double(op.getOffset()) >= double(kernel->dim(0)))
      return layerError(op, "id ", int64_t(id), " is beyond the table of ", kernel->dim(0), " rows");
  return define(op->getResult(0), embedding(arithmetic, *indices, *kernel, int64_t(op.getOffset()), rounding(op, 0)));
}

absl::Status Run::visit(layer::DenseOp op) {
  const TensorPtr x = operand(op, op.getX()), kernel = operand(op, op.getKernel());
  const TensorPtr bias = op.getBias() ? operand(op, op.getBias()) : nullptr;
  const bool inputMajor = op.getInputMajor();
  if (x->shape.empty() || kernel->shape.size() != 2 || x->columns() != kernel->dim(inputMajor ? 0 : 1) ||
      (bias && bias->size() != kernel->dim(inputMajor ? 1 : 0)))
    return layerError(op, "operands do not fit: ", describe(*x), " times ", describe(*kernel));
  return define(op->getResult(0), dense(arithmetic, *x, *kernel, bias.get(), inputMajor, rounding(op, 0)));
}

/// Vectors of a norm have as many elements as a row.
static absl::Status checkNorm(Operation *op, const Tensor &x, const Tensor &scale, const Tensor *bias) {
  if (x.shape.empty() || scale.size() != x.columns() || (bias && bias->size() != x.columns()))
    return layerError(op, "scale of ", describe(scale), " does not fit rows of ", describe(x));
  return absl::OkStatus();
}

absl::Status Run::visit(layer::RmsNormOp op) {
  const TensorPtr x = operand(op, op.getX()), scale = operand(op, op.getScale());
  if (absl::Status status = checkNorm(op, *x, *scale, nullptr); !status.ok())
    return status;
  return define(op->getResult(0), rmsNorm(arithmetic, *x, *scale, op.getEpsilon().convertToDouble(),
                                          op.getShift().convertToDouble(), rounding(op, 0)));
}

absl::Status Run::visit(layer::LayerNormOp op) {
  const TensorPtr x = operand(op, op.getX()), scale = operand(op, op.getScale());
  const TensorPtr bias = op.getBias() ? operand(op, op.getBias()) : nullptr;
  if (absl::Status status = checkNorm(op, *x, *scale, bias.get()); !status.ok())
    return status;
  return define(op->getResult(0), layerNorm(arithmetic, *x, *scale, bias.get(), op.getEpsilon().convertToDouble(),
                                            rounding(op, 0)));
}

absl::Status Run::visit(layer::SplitHeadsOp op) {
  const TensorPtr x = operand(op, op.getX());
  const int64_t heads = int64_t(op.getHeads());
  if (x->shape.size() != 3 || x->dim(2) % heads)
    return layerError(op, "cannot split ", describe(*x), " into ", heads, " heads");
  return define(op->getResult(0), splitHeads(arithmetic, *x, heads, rounding(op, 0)));
}

absl::Status Run::visit(layer::MergeHeadsOp op) {
  const TensorPtr x = operand(op, op.getX());
  return define(op->getResult(0), mergeHeads(arithmetic, *x, rounding(op, 0)));
}

absl::Status Run::visit(layer::RepeatHeadsOp op) {
  const TensorPtr x = operand(op, op.getX());
  return define(op->getResult(0), repeatHeads(arithmetic, *x, int64_t(op.getTimes()), rounding(op, 0)));
}

absl::Status Run::visit(layer::SliceOp op) {
  const TensorPtr x = operand(op, op.getX());
  return define(op->getResult(0), slice(arithmetic, *x, int64_t(op.getOffset()), int64_t(op.getSize()), rounding(op, 0)));
}

int64_t Run::sessionLength() const {
  if (state.options.sessionLength > 0)
    return state.options.sessionLength;
  return cache ? cache->capacity : ids.dim(1);
}

absl::Status Run::visit(layer::RotaryEmbeddingOp op) {
  const TensorPtr x = operand(op, op.getX()), positions = tensor(op.getPositions());
  if (x->shape.size() != 4 || positions->shape != std::vector<int64_t>{x->dim(0), x->dim(2)})
    return layerError(op, "positions of ", describe(*positions), " do not fit ", describe(*x));
  double last = 0;
  for (double position : positions->data)
    last = std::max(last, position);
  RopeTables &tables = state.ropes[{op.getRope().getAsOpaquePointer(), sessionLength()}];
  if (tables.rows <= int64_t(last)) {
    const RopeSpec spec = layer::ropeSpec(op.getRope());
    tables = {std::max(int64_t(last) + 1, 2 * tables.rows), spec.dim, spec.interleaved, {}, {}};
    const int64_t elements = elementCount({tables.rows, spec.dim / 2});
    if (elements < 0 || elements > kLoadedElements)
      return layerError(op, "tables of ", tables.rows, " positions are too large");
    tables.cos.resize(elements);
    tables.sin.resize(elements);
    fillRopeTables(spec, sessionLength(), tables.rows, tables.cos, tables.sin);
  }
  return define(op->getResult(0), rotaryEmbedding(arithmetic, *x, *positions, tables, rounding(op, 0)));
}

absl::Status Run::visitPair(Operation *op,
                            Tensor (*function)(const Arithmetic &, const Tensor &, const Tensor &, Rounding)) {
  const TensorPtr a = operand(op, op->getOperand(0)), b = operand(op, op->getOperand(1));
  if (a->shape != b->shape)
    return layerError(op, "expected one shape, got ", describe(*a), " and ", describe(*b));
  return define(op->getResult(0), function(arithmetic, *a, *b, rounding(op, 0)));
}

absl::Status Run::visit(layer::ScaleOp op) {
  const TensorPtr x = operand(op, op.getX());
  return define(op->getResult(0), scale(arithmetic, *x, op.getFactor().convertToDouble(), rounding(op, 0)));
}

absl::Status Run::visitActivation(Operation *op, Activation activation) {
  return define(op->getResult(0), activate(arithmetic, activation, *operand(op, op->getOperand(0)), rounding(op, 0)));
}

} // namespace graphc::reference
