// One kernel per layer. A step function is built argument by argument as layers
// ask for inputs, parameters, tables, caches and outputs; both phases ask in
// the same order, so they share one list of bindings.
#include "graphc/IR/Kernel.h"
#include "graphc/IR/Layer.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Builders.h"

namespace graphc::kernel {
#define GEN_PASS_DEF_LOWERLAYERS
#include "passes/kernel/Passes.h.inc"
} // namespace graphc::kernel

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

/// A parameter as kernels read it: stored, then rounded to each type in turn.
struct Parameter {
  layer::ParameterOp declaration;
  SmallVector<Type> roundings;

  Type storedElement() { return getElementTypeOrSelf(declaration.getType()); }
  Type element() { return roundings.empty() ? storedElement() : roundings.back(); }
  /// Drops widenings at the end: kernels widen in registers.
  void dropWidenings() {
    while (!roundings.empty()) {
      Type before = roundings.size() > 1 ? roundings[roundings.size() - 2] : storedElement();
      if (!holds(*layer::dtypeOf(roundings.back()), *layer::dtypeOf(before)))
        return;
      roundings.pop_back();
    }
  }
};

using Dims = SmallVector<Attribute>;

class StepBuilder {
public:
  StepBuilder(layer::GraphOp graph, Phase phase, OpBuilder builder)
      : graph(graph), phase(phase), builder(builder), body(builder), symbols(graph->getParentOfType<ModuleOp>()) {}

  FailureOr<func::FuncOp> build();

private:
  // Arguments of the step function, by key.
  Value argument(const Twine &key, MemRefType type, StringRef kind, StringRef name, Dims dims,
                 ArrayRef<NamedAttribute> more = {});
  Value input(StringRef name, StringRef symbol);
  Value parameter(Value value);
  Value ropeTable(layer::RopeAttr rope, StringRef part);
  Value cacheMemory(layer::AttentionCacheType slot, int64_t block, StringRef side, Type element);
  Value destination(Value value);

  // Values.
  Value rows(Value value, StringRef symbol);
  StringRef domainOf(Value value) { return rowsDomain.contains(value) ? "rows" : "tokens"; }
  void findRowsDomain(Value value);
  bool isParameter(Value value);
  int64_t widthOf(Type type);

  // Layers.
  LogicalResult lower(Operation &op);
  void lowerDense(layer::DenseOp op);
  void lowerElementwise(Operation &op, ValueRange operands);
  void lowerMovement(Operation &op);
  void lowerAttention(layer::CachedAttentionOp op);
  template <typename KernelOp>
  void finish(KernelOp kernel, Value result, ArrayRef<Value> fused,
              llvm::function_ref<Value(ValueRange)> epilogue = nullptr);
  ArrayAttr layersOf(Operation *op);
  Value widen(Value scalar);
  Value roundTo(Value scalar, Type type);
  Value constant(double value);
  Value applyElementwise(Operation &op, ArrayRef<Value> operands);

  layer::GraphOp graph;
  Phase phase;
  OpBuilder builder, body;
  SymbolTable symbols;
  func::FuncOp function;
  llvm::StringMap<Value> arguments;
  SmallVector<DictionaryAttr> bindings;
  llvm::DenseMap<Value, Value> buffers;      // layer value -> (rows, width) memref
  llvm::DenseMap<Value, Value> gathered;     // token value -> its wanted rows
  llvm::DenseMap<Value, Parameter> parameters;
  llvm::DenseSet<Value> rowsDomain;
  llvm::DenseMap<Value, std::string> outputNames;
};

} // namespace

//===-- Arguments -------------------------------------------------------------===//

Value StepBuilder::argument(const Twine &key, MemRefType type, StringRef kind, StringRef name, Dims dims,
                            ArrayRef<NamedAttribute> more) {
  Value &value = arguments[key.str()];
  if (value)
    return value;
  SmallVector<NamedAttribute> entries(more);
  entries.push_back(builder.getNamedAttr("kind", builder.getStringAttr(kind)));
  entries.push_back(builder.getNamedAttr("name", builder.getStringAttr(name)));
  entries.push_back(builder.getNamedAttr("dims", builder.getArrayAttr(dims)));
  bindings.push_back(builder.getDictionaryAttr(entries));
  value = function.front().addArgument(type, graph.getLoc());
  return value;
}

Value StepBuilder::input(StringRef name, StringRef symbol) {
  auto type = MemRefType::get({ShapedType::kDynamic}, builder.getI32Type());
  return argument("input " + name, type, "input", name, {builder.getStringAttr(symbol)});
}

Value StepBuilder::parameter(Value value) {
  Parameter parameter = parameters.lookup(value);
  parameter.dropWidenings();
  auto type = cast<RankedTensorType>(parameter.declaration.getType());
  std::string key = ("parameter " + parameter.declaration.getSymName()).str();
  SmallVector<Attribute> transform;
  for (Type rounding : parameter.roundings) {
    StringRef name = info(*layer::dtypeOf(rounding)).name;
    key += (" " + name).str();
    transform.push_back(builder.getStringAttr(name));
  }
  Dims dims;
  for (int64_t dim : type.getShape())
    dims.push_back(builder.getI64IntegerAttr(dim));
  return argument(key, MemRefType::get(type.getShape(), parameter.element()), "parameter",
                  parameter.declaration.getSymName(), dims,
                  {builder.getNamedAttr("source", builder.getStringAttr(parameter.declaration.getTensorName())),
                   builder.getNamedAttr("stored", builder.getStringAttr(StringRef(info(*layer::dtypeOf(parameter.storedElement())).name))),
                   builder.getNamedAttr("transform", builder.getArrayAttr(transform))});
}

Value StepBuilder::ropeTable(layer::RopeAttr rope, StringRef part) {
  std::string key = "rope ";
  llvm::raw_string_ostream(key) << rope << part;
  auto type = MemRefType::get({ShapedType::kDynamic, rope.getDim() / 2}, builder.getF32Type());
  return argument(key, type, "rope", part, {builder.getStringAttr("capacity"), builder.getI64IntegerAttr(rope.getDim() / 2)},
                  {builder.getNamedAttr("rope", rope)});
}

Value StepBuilder::cacheMemory(layer::AttentionCacheType slot, int64_t block, StringRef side, Type element) {
  auto type = MemRefType::get({ShapedType::kDynamic, slot.getKvHeads(), ShapedType::kDynamic, slot.getHeadDim()}, element,
                              MemRefLayoutAttrInterface{},
                              builder.getI64IntegerAttr(cacheSpace(*layer::dtypeOf(element))));
  std::string length = slot.isRing() ? "window:" + std::to_string(slot.getWindow()) : "capacity";
  return argument("cache " + Twine(block) + side, type, "cache", side,
                  {builder.getStringAttr("batch"), builder.getI64IntegerAttr(slot.getKvHeads()), builder.getStringAttr(length),
                   builder.getI64IntegerAttr(slot.getHeadDim())},
                  {builder.getNamedAttr("block", builder.getI64IntegerAttr(block))});
}

/// Where the kernel of `value` writes: the output of that name, or a buffer.
Value StepBuilder::destination(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  StringRef symbol = domainOf(value);
  auto memref = MemRefType::get({ShapedType::kDynamic, widthOf(type)}, type.getElementType());
  Value &buffer = buffers[value];
  if (auto name = outputNames.find(value); name != outputNames.end())
    buffer = argument("output " + name->second, memref, "output", name->second,
                      {builder.getStringAttr(symbol), builder.getI64IntegerAttr(widthOf(type))});
  else
    buffer = BufferOp::create(body, value.getLoc(), memref, builder.getStringAttr(symbol));
  return buffer;
}

//===-- Values ------------------------------------------------------------------===//

/// (batch, tokens, width) and (batch, heads, tokens, headDim) are rows of
/// `width` and of heads * headDim.
int64_t StepBuilder::widthOf(Type type) {
  ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  return shape.size() == 4 ? shape[1] * shape[3] : shape.back();
}

bool StepBuilder::isParameter(Value value) { return parameters.contains(value); }

/// The rows of `value` in the domain of `symbol`: gathered if it has all tokens.
Value StepBuilder::rows(Value value, StringRef symbol) {
  Value buffer = buffers.lookup(value);
  if (symbol == domainOf(value))
    return buffer;
  Value &result = gathered[value];
  if (!result) {
    auto type = MemRefType::get(cast<MemRefType>(buffer.getType()).getShape(), getElementTypeOrSelf(buffer.getType()));
    Value ids = input("row_ids", "rows");
    result = BufferOp::create(body, value.getLoc(), type, builder.getStringAttr("rows"));
    GatherRowsOp::create(body, value.getLoc(), buffer, ids, result, builder.getStrArrayAttr({"wanted_rows"}));
  }
  return result;
}

/// Marks `value` and the elementwise chain up to its matrix product as computed
/// for the wanted rows only; it must have no other use.
void StepBuilder::findRowsDomain(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op || !value.hasOneUse() || !layer::isFloatTensor(value.getType()))
    return;
  if (isa<layer::DenseOp>(op)) {
    rowsDomain.insert(value);
    return;
  }
  if (!isa<layer::CastOp>(op) && !op->hasTrait<layer::IsElementwise>())
    return;
  rowsDomain.insert(value);
  for (Value operand : op->getOperands())
    findRowsDomain(operand);
}

Value StepBuilder::widen(Value scalar) {
  return scalar.getType().isF32() ? scalar : arith::ExtFOp::create(body, scalar.getLoc(), body.getF32Type(), scalar);
}

Value StepBuilder::roundTo(Value scalar, Type type) {
  return type.isF32() ? scalar : arith::TruncFOp::create(body, scalar.getLoc(), type, scalar);
}

Value StepBuilder::constant(double value) {
  return arith::ConstantOp::create(body, graph.getLoc(), body.getF32FloatAttr(float(value)));
}

//===-- Kernels -----------------------------------------------------------------===//

ArrayAttr StepBuilder::layersOf(Operation *op) {
  auto named = dyn_cast<layer::NamedLayer>(op);
  return builder.getStrArrayAttr({named ? named.getLayerName() : StringRef("cast")});
}

/// What a value is called in traces: its layer, and the types it was cast to.
static std::string valueName(Value value) {
  if (auto castOp = value.getDefiningOp<layer::CastOp>()) {
    std::string name = valueName(castOp.getX());
    llvm::raw_string_ostream(name) << " as " << getElementTypeOrSelf(value.getType());
    return name;
  }
  auto named = dyn_cast_or_null<layer::NamedLayer>(value.getDefiningOp());
  return named ? named.getLayerName().str() : "";
}

/// Adds the epilogue: `epilogue` of the interior value and the fused operands
/// (all widened), or the interior value itself, rounded once to the result.
template <typename KernelOp>
void StepBuilder::finish(KernelOp kernel, Value result, ArrayRef<Value> fused,
                         llvm::function_ref<Value(ValueRange)> epilogue) {
  OpBuilder::InsertionGuard guard(body);
  Block *block = body.createBlock(&kernel.getEpilogue());
  SmallVector<Value> scalars{block->addArgument(body.getF32Type(), result.getLoc())};
  for (Value operand : fused)
    scalars.push_back(block->addArgument(getElementTypeOrSelf(operand.getType()), result.getLoc()));
  for (Value &scalar : scalars)
    scalar = widen(scalar);
  Value value = epilogue ? epilogue(scalars) : scalars.front();
  YieldOp::create(body, result.getLoc(), roundTo(value, getElementTypeOrSelf(result.getType())));
  kernel->setAttr(kValuesAttr, builder.getStrArrayAttr({valueName(result)}));
}

void StepBuilder::lowerDense(layer::DenseOp op) {
  StringRef symbol = domainOf(op.getY());
  Value x = rows(op.getX(), symbol), kernel = parameter(op.getKernel());
  SmallVector<Value> fused;
  if (op.getBias())
    fused.push_back(parameter(op.getBias()));
  auto matmul = MatmulOp::create(body, op.getLoc(), x, kernel, fused, destination(op.getY()), op.getInputMajor(), phase,
                                 TileAttr{}, layersOf(op));
  finish(matmul, op.getY(), fused, [&](ValueRange scalars) -> Value {
    return fused.empty() ? scalars[0] : arith::AddFOp::create(body, op.getLoc(), scalars[0], scalars[1]);
  });
}

/// The scalar formula of an elementwise layer, f32.
Value StepBuilder::applyElementwise(Operation &op, ArrayRef<Value> operands) {
  Location loc = op.getLoc();
  Value x = operands[0];
  auto multiply = [&](Value a, Value b) -> Value { return arith::MulFOp::create(body, loc, a, b); };
  auto add = [&](Value a, Value b) -> Value { return arith::AddFOp::create(body, loc, a, b); };
  if (isa<layer::AddOp>(op))
    return add(x, operands[1]);
  if (isa<layer::MultiplyOp>(op))
    return multiply(x, operands[1]);
  if (isa<layer::SiluOp>(op)) {
    Value exponential = math::ExpOp::create(body, loc, arith::NegFOp::create(body, loc, x));
    return arith::DivFOp::create(body, loc, x, add(exponential, constant(1)));
  }
  if (isa<layer::GeluOp>(op)) {
    Value erf = math::ErfOp::create(body, loc, multiply(x, constant(0.70710678118654752)));
    return multiply(multiply(x, constant(0.5)), add(erf, constant(1)));
  }
  if (isa<layer::GeluTanhOp>(op)) {
    Value cube = multiply(multiply(multiply(x, x), x), constant(0.044715));
    Value tanh = math::TanhOp::create(body, loc, multiply(add(x, cube), constant(0.79788456080286536)));
    return multiply(multiply(x, constant(0.5)), add(tanh, constant(1)));
  }
  if (isa<layer::ReluOp>(op))
    return arith::MaximumFOp::create(body, loc, x, constant(0));
  return x; // a cast, or a rounding at a layer that only moves values
}

void StepBuilder::lowerElementwise(Operation &op, ValueRange operands) {
  Value result = op.getResult(0);
  StringRef symbol = domainOf(result);
  Value x = rows(operands[0], symbol);
  SmallVector<Value> fused;
  for (Value operand : operands.drop_front())
    fused.push_back(rows(operand, symbol));
  auto kernel = ElementwiseOp::create(body, op.getLoc(), x, fused, destination(result), layersOf(&op));
  finish(kernel, result, fused, [&](ValueRange scalars) { return applyElementwise(op, SmallVector<Value>(scalars)); });
}

/// Heads are columns already and a slice is a view: nothing moves, unless the
/// layer also rounds or is itself an output.
void StepBuilder::lowerMovement(Operation &op) {
  Value source = buffers.lookup(op.getOperand(0)), result = op.getResult(0);
  if (auto slice = dyn_cast<layer::SliceOp>(op)) {
    Value count = memref::DimOp::create(body, op.getLoc(), source, 0);
    source = memref::SubViewOp::create(
        body, op.getLoc(), source, ArrayRef<OpFoldResult>{body.getIndexAttr(0), body.getIndexAttr(slice.getOffset())},
        ArrayRef<OpFoldResult>{count, body.getIndexAttr(slice.getSize())},
        ArrayRef<OpFoldResult>{body.getIndexAttr(1), body.getIndexAttr(1)});
  }
  if (getElementTypeOrSelf(source.getType()) == getElementTypeOrSelf(result.getType()) && !outputNames.contains(result)) {
    buffers[result] = source;
    return;
  }
  auto kernel = ElementwiseOp::create(body, op.getLoc(), source, ValueRange{}, destination(result), layersOf(&op));
  finish(kernel, result, {});
}

void StepBuilder::lowerAttention(layer::CachedAttentionOp op) {
  layer::AttentionCacheType slot = op.getCache().getType().getSlot(op.getBlock(), /*cross=*/false);
  Value keys = cacheMemory(slot, op.getBlock(), "keys", slot.getKeys());
  Value values = cacheMemory(slot, op.getBlock(), "values", slot.getValues());
  auto kernel = CachedAttentionOp::create(body, op.getLoc(), buffers.lookup(op.getQuery()), buffers.lookup(op.getKey()),
                            buffers.lookup(op.getValue()), keys, values, input("starts", "batch+1"),
                            input("lengths", "batch"), destination(op.getY()), /*scratch=*/ValueRange{},
                            op.getScale(), op.getCausal(), op.getWindowAttr(), slot.isRing(), phase, TileAttr{},
                            layersOf(op));
  kernel->setAttr(kValuesAttr, builder.getStrArrayAttr({valueName(op.getY())}));
}

/// The block a layer belongs to: its name up to `layers.N`; empty outside.
static StringRef blockOf(StringRef name) {
  for (size_t at = name.find("layers."); at != StringRef::npos; at = name.find("layers.", at + 1)) {
    StringRef rest = name.drop_front(at + 7);
    size_t digits = rest.find_first_not_of("0123456789");
    if ((at == 0 || name[at - 1] == '.') && digits != 0 && digits != StringRef::npos && rest[digits] == '.')
      return name.take_front(at + 7 + digits);
  }
  return "";
}

LogicalResult StepBuilder::lower(Operation &op) {
  if (auto param = dyn_cast<layer::ParamOp>(op)) {
    parameters[param.getValue()] = {symbols.lookup<layer::ParameterOp>(param.getRef()), {}};
    return success();
  }
  if (auto castOp = dyn_cast<layer::CastOp>(op)) {
    if (isParameter(castOp.getX())) {
      Parameter parameter = parameters.lookup(castOp.getX());
      parameter.roundings.push_back(getElementTypeOrSelf(castOp.getY().getType()));
      parameters[castOp.getY()] = parameter;
    } else {
      lowerElementwise(op, op.getOperands());
    }
    return success();
  }
  if (isa<layer::CacheOffsetOp, layer::PositionsOp, layer::CacheAdvanceOp, layer::ContainerOp, layer::OptionalOp,
          layer::OutputOp>(op))
    return success(); // inputs of the step, and bookkeeping of the session
  if (auto embedding = dyn_cast<layer::EmbeddingOp>(op)) {
    const bool ofPositions = embedding.getIds().getDefiningOp<layer::PositionsOp>();
    auto kernel = EmbeddingOp::create(body, op.getLoc(), input(ofPositions ? "positions" : "ids", "tokens"),
                                      parameter(embedding.getKernel()), ValueRange{}, destination(embedding.getY()),
                                      layersOf(&op));
    finish(kernel, embedding.getY(), {});
    return success();
  }
  if (auto dense = dyn_cast<layer::DenseOp>(op)) {
    lowerDense(dense);
    return success();
  }
  if (auto norm = dyn_cast<layer::RmsNormOp>(op)) {
    auto kernel = RmsNormOp::create(body, op.getLoc(), buffers.lookup(norm.getX()), parameter(norm.getScale()),
                                    ValueRange{}, destination(norm.getY()), norm.getEpsilonAttr(), norm.getShiftAttr(),
                                    layersOf(&op));
    finish(kernel, norm.getY(), {});
    return success();
  }
  if (auto norm = dyn_cast<layer::LayerNormOp>(op)) {
    auto kernel = LayerNormOp::create(body, op.getLoc(), buffers.lookup(norm.getX()), parameter(norm.getScale()),
                                      norm.getBias() ? parameter(norm.getBias()) : Value{}, ValueRange{},
                                      destination(norm.getY()), norm.getEpsilonAttr(), layersOf(&op));
    finish(kernel, norm.getY(), {});
    return success();
  }
  if (auto rotary = dyn_cast<layer::RotaryEmbeddingOp>(op)) {
    layer::RopeAttr rope = rotary.getRope();
    const int64_t headDim = cast<RankedTensorType>(rotary.getX().getType()).getShape()[3];
    auto kernel = RotaryOp::create(body, op.getLoc(), buffers.lookup(rotary.getX()), input("positions", "tokens"),
                                   ropeTable(rope, "cos"), ropeTable(rope, "sin"), ValueRange{},
                                   destination(rotary.getY()), headDim, bool(rope.getInterleaved()), layersOf(&op));
    finish(kernel, rotary.getY(), {});
    return success();
  }
  if (isa<layer::SplitHeadsOp, layer::MergeHeadsOp, layer::SliceOp>(op)) {
    lowerMovement(op);
    return success();
  }
  if (auto attention = dyn_cast<layer::CachedAttentionOp>(op); attention && !attention.getWeights()) {
    lowerAttention(attention);
    return success();
  }
  if (op.hasTrait<layer::IsElementwise>()) {
    lowerElementwise(op, op.getOperands());
    return success();
  }
  auto diagnostic = op.emitError("layer '");
  auto named = dyn_cast<layer::NamedLayer>(op);
  return diagnostic << (named ? named.getLayerName() : op.getName().getStringRef()) << "' (" << op.getName()
                    << ") has no kernel for these operands";
}

FailureOr<func::FuncOp> StepBuilder::build() {
  StringRef name = phase == Phase::Prefill ? "graphc_prefill" : "graphc_decode";
  function = func::FuncOp::create(builder, graph.getLoc(), name, builder.getFunctionType({}, {}));
  function->setAttr("kernel.phase", PhaseAttr::get(builder.getContext(), phase));
  body.setInsertionPointToStart(function.addEntryBlock());
  for (auto [key, symbol] : {std::pair("ids", "tokens"), std::pair("positions", "tokens"), std::pair("starts", "batch+1"),
                             std::pair("lengths", "batch"), std::pair("row_ids", "rows")})
    input(key, symbol);
  layer::OutputOp output = graph.getOutput();
  for (auto [value, key] : llvm::zip(output.getValues(), output.getNames())) {
    StringRef outputName = cast<StringAttr>(key).getValue();
    Value source = value;
    while (auto optional = source.getDefiningOp<layer::OptionalOp>())
      source = optional.getX();
    if (auto container = source.getDefiningOp<layer::ContainerOp>()) {
      for (auto [index, leaf] : llvm::enumerate(container.getXs()))
        if (!outputNames.try_emplace(leaf, (outputName + "." + Twine(index)).str()).second)
          return graph.emitError("output '") << outputName << "." << index << "' is also output '"
                                             << outputNames[leaf] << "': a value has one destination";
    } else if (layer::isFloatTensor(source.getType())) {
      if (!outputNames.try_emplace(source, outputName.str()).second)
        return graph.emitError("output '") << outputName << "' is also output '" << outputNames[source]
                                           << "': a value has one destination";
      if (outputName == "logits")
        findRowsDomain(source);
    }
  }
  for (Operation &op : graph.getBody().front()) {
    Operation *last = function.front().empty() ? nullptr : &function.front().back();
    if (failed(lower(op)))
      return failure();
    // Tag what was made with its block, for outlining.
    auto named = dyn_cast<layer::NamedLayer>(op);
    StringRef block = named ? blockOf(named.getLayerName()) : "";
    if (block.empty() && isa<layer::CastOp>(op) && last)
      if (auto tag = last->getAttrOfType<StringAttr>(kBlockAttr))
        block = tag.getValue();
    for (Operation *made = last ? last->getNextNode() : (function.front().empty() ? nullptr : &function.front().front());
         made && !block.empty(); made = made->getNextNode())
      made->setAttr(kBlockAttr, builder.getStringAttr(block));
  }
  func::ReturnOp::create(body, graph.getLoc());
  function.setFunctionType(builder.getFunctionType(function.front().getArgumentTypes(), {}));
  for (auto [index, binding] : llvm::enumerate(bindings))
    function.setArgAttr(index, kBindingAttr, binding);
  return function;
}

namespace {
struct LowerLayers : graphc::kernel::impl::LowerLayersBase<LowerLayers> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto graphs = llvm::to_vector(module.getOps<layer::GraphOp>());
    if (graphs.empty())
      return;
    if (graphs.size() > 1) {
      graphs[1].emitError("expected one layer.graph in the module, got ") << graphs.size();
      return signalPassFailure();
    }
    if (graphs[0].getCasts() != layer::Casts::Explicit) {
      graphs[0].emitError("casts must be explicit before layers become kernels: run layer-materialize-casts");
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    for (Phase phase : {Phase::Prefill, Phase::Decode})
      if (failed(StepBuilder(graphs[0], phase, builder).build()))
        return signalPassFailure();
    graphs[0].erase();
    for (auto parameter : llvm::make_early_inc_range(module.getOps<layer::ParameterOp>()))
      parameter.erase();
  }
};
} // namespace
