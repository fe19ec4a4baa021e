// The kernel of each kind of layer. Rounding points become arith.truncf in
// epilogues, and nothing else does.
#include "IR/LayerNames.h"
#include "passes/kernel/StepBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

Value StepBuilder::widen(Value scalar) {
  return scalar.getType().isF32() ? scalar : arith::ExtFOp::create(body, scalar.getLoc(), body.getF32Type(), scalar);
}

Value StepBuilder::roundTo(Value scalar, Type type) {
  return type.isF32() ? scalar : arith::TruncFOp::create(body, scalar.getLoc(), type, scalar);
}

Value StepBuilder::constant(double value) {
  return arith::ConstantOp::create(body, graph.getLoc(), body.getF32FloatAttr(float(value)));
}

ArrayAttr StepBuilder::layersOf(Operation *op) {
  auto named = dyn_cast<layer::NamedLayer>(op);
  return builder.getStrArrayAttr({named ? named.getLayerName().str() : layer::valueName(op->getResult(0))});
}

/// Adds the epilogue: `epilogue` of the interior value and the fused operands
/// (all widened), or the interior value itself, rounded once to the result.
void StepBuilder::finish(EpilogueKernel kernel, Value result, ArrayRef<Value> fused,
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
  kernel->setAttr(kValuesAttr, builder.getStrArrayAttr({layer::valueName(result)}));
}

void StepBuilder::lower(layer::ParamOp op) {
  parameters[op.getValue()] = {symbols.lookup<layer::ParameterOp>(op.getRef()), {}};
}

void StepBuilder::lower(layer::CastOp op) {
  if (!isParameter(op.getX()))
    return lowerElementwise(*op);
  Parameter parameter = parameters.lookup(op.getX());
  parameter.roundings.push_back(getElementTypeOrSelf(op.getY().getType()));
  parameters[op.getY()] = parameter;
}

void StepBuilder::lower(layer::EmbeddingOp op) {
  const bool ofPositions = op.getIds().getDefiningOp<layer::PositionsOp>();
  auto kernel = EmbeddingOp::create(body, op.getLoc(), input(ofPositions ? "positions" : "ids", "tokens"),
                                    parameter(op.getKernel()), ValueRange{}, destination(op.getY()), op.getOffsetAttr(),
                                    layersOf(op));
  finish(kernel, op.getY(), {});
}

void StepBuilder::lower(layer::RmsNormOp op) {
  auto kernel = RmsNormOp::create(body, op.getLoc(), buffers.lookup(op.getX()), parameter(op.getScale()), ValueRange{},
                                  destination(op.getY()), op.getEpsilonAttr(), op.getShiftAttr(), layersOf(op));
  finish(kernel, op.getY(), {});
}

void StepBuilder::lower(layer::LayerNormOp op) {
  auto kernel = LayerNormOp::create(body, op.getLoc(), buffers.lookup(op.getX()), parameter(op.getScale()),
                                    op.getBias() ? parameter(op.getBias()) : Value{}, ValueRange{},
                                    destination(op.getY()), op.getEpsilonAttr(), layersOf(op));
  finish(kernel, op.getY(), {});
}

void StepBuilder::lower(layer::RotaryEmbeddingOp op) {
  layer::RopeAttr rope = op.getRope();
  const int64_t headDim = cast<RankedTensorType>(op.getX().getType()).getShape()[3];
  auto kernel = RotaryOp::create(body, op.getLoc(), buffers.lookup(op.getX()), input("positions", "tokens"),
                                 ropeTable(rope, "cos"), ropeTable(rope, "sin"), ValueRange{}, destination(op.getY()),
                                 headDim, bool(rope.getInterleaved()), layersOf(op));
  finish(kernel, op.getY(), {});
}

void StepBuilder::lower(layer::DenseOp op) {
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
  if (auto scale = dyn_cast<layer::ScaleOp>(op))
    return multiply(x, constant(scale.getFactor().convertToDouble()));
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

void StepBuilder::lowerElementwise(Operation &op) {
  Value result = op.getResult(0);
  StringRef symbol = domainOf(result);
  Value x = rows(op.getOperand(0), symbol);
  SmallVector<Value> fused;
  for (Value operand : op.getOperands().drop_front())
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

static IntegerAttr maxDistance(layer::RelativeBiasAttr relative) {
  return relative ? Builder(relative.getContext()).getI64IntegerAttr(relative.getMaxDistance()) : IntegerAttr();
}

static UnitAttr bidirectional(layer::RelativeBiasAttr relative) {
  return relative ? relative.getBidirectional() : UnitAttr();
}

void StepBuilder::nameAttention(Operation *kernel, Value y, Value weights) {
  const std::string name = layer::valueName(y), ofWeights = name + " weights";
  kernel->setAttr(kValuesAttr, weights ? builder.getStrArrayAttr({name, ofWeights}) : builder.getStrArrayAttr({name}));
}

/// Buffers for partial sums, if sequences have one token: attention_k9.
SmallVector<Value> StepBuilder::partialSums(Location loc, layer::AttentionCacheType slot, Value query) {
  if (phase != Phase::Decode)
    return {};
  const int64_t heads = cast<MemRefType>(query.getType()).getShape()[1] / slot.getHeadDim();
  const int64_t rows = heads * segmentsOf(slot.getKvHeads());
  SmallVector<Value> scratch;
  for (int64_t width : {rows * sumsWidth(slot.getHeadDim()), rows, rows})
    scratch.push_back(BufferOp::create(body, loc, MemRefType::get({ShapedType::kDynamic, width}, builder.getF32Type()), "batch"));
  return scratch;
}

LogicalResult StepBuilder::lower(layer::CachedAttentionOp op) {
  FailureOr<Value> weights = weightsDestination(op, op.getWeights(), "capacity");
  if (failed(weights))
    return failure();
  layer::AttentionCacheType slot = op.getCache().getType().getSlot(op.getBlock(), /*cross=*/false);
  const SlotMemory memory = cacheMemory(slot, op.getBlock());
  Value bias = op.getBias() ? parameter(op.getBias()) : Value();
  layer::RelativeBiasAttr relative = op.getRelativeAttr();
  auto kernel = CachedAttentionOp::create(
      body, op.getLoc(), buffers.lookup(op.getQuery()), buffers.lookup(op.getKey()), buffers.lookup(op.getValue()),
      memory.keys, memory.values, memory.keyScales, memory.valueScales, input("starts", "batch+1"), input("lengths", "batch"), bias, destination(op.getY()), *weights,
      partialSums(op.getLoc(), slot, buffers.lookup(op.getQuery())), op.getScaleAttr(), op.getCausalAttr(), op.getWindowAttr(),
      slot.isRing() ? builder.getUnitAttr() : UnitAttr(), maxDistance(relative), bidirectional(relative),
      PhaseAttr::get(builder.getContext(), phase), TileAttr{}, layersOf(op));
  nameAttention(kernel, op.getY(), *weights);
  return success();
}

/// Over a cross slot, or over the rows of this call, which are a source's.
LogicalResult StepBuilder::lower(layer::AttentionOp op) {
  FailureOr<Value> weights = weightsDestination(op, op.getWeights(), "source");
  if (failed(weights))
    return failure();
  Operation *kernel;
  Value query = buffers.lookup(op.getQuery()), starts = input("starts", "batch+1"), out = destination(op.getY());
  auto phaseAttr = PhaseAttr::get(builder.getContext(), phase);
  if (op.getCache()) {
    auto slot = cast<layer::AttentionCacheType>(op.getCache().getType());
    const SlotMemory memory = cacheMemory(slot, layer::pathOf(op.getCache()).block);
    kernel = CachedAttentionOp::create(body, op.getLoc(), query, /*key=*/Value(), /*value=*/Value(), memory.keys,
                                       memory.values, memory.keyScales, memory.valueScales, starts,
                                       input("source_lengths", "batch"), /*bias=*/Value(), out, *weights,
                                       partialSums(op.getLoc(), slot, query), op.getScaleAttr(), /*causal=*/UnitAttr(),
                                       /*window=*/IntegerAttr(), /*ring=*/UnitAttr(), /*max_distance=*/IntegerAttr(),
                                       /*bidirectional=*/UnitAttr(), phaseAttr, TileAttr{}, layersOf(op));
  } else {
    const int64_t headDim = cast<RankedTensorType>(op.getKey().getType()).getShape()[3];
    Value bias = op.getBias() ? parameter(op.getBias()) : Value();
    layer::RelativeBiasAttr relative = op.getRelativeAttr();
    kernel = AttentionOp::create(body, op.getLoc(), query, buffers.lookup(op.getKey()), buffers.lookup(op.getValue()),
                                 starts, bias, out, *weights, builder.getI64IntegerAttr(headDim), op.getScaleAttr(),
                                 op.getCausalAttr(), maxDistance(relative), bidirectional(relative), phaseAttr,
                                 layersOf(op));
  }
  nameAttention(kernel, op.getY(), *weights);
  return success();
}

void StepBuilder::lower(layer::CacheStoreOp op) {
  auto slot = cast<layer::AttentionCacheType>(op.getCache().getType());
  const SlotMemory memory = cacheMemory(slot, layer::pathOf(op.getCache()).block);
  CacheStoreOp::create(body, op.getLoc(), buffers.lookup(op.getKey()), buffers.lookup(op.getValue()), memory.keys,
                       memory.values, memory.keyScales, memory.valueScales, input("starts", "batch+1"), layersOf(op));
}
