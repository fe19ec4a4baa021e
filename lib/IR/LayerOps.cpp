// Verifiers of the layers. ODS checks kinds of types; these check shapes, under
// the constraint labels of the op descriptions.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

static ParseResult parseOutputs(OpAsmParser &parser, SmallVectorImpl<OpAsmParser::UnresolvedOperand> &values,
                                SmallVectorImpl<Type> &types, ArrayAttr &names) {
  SmallVector<Attribute> parsed;
  std::string name;
  if (succeeded(parser.parseOptionalKeywordOrString(&name))) // a graph may have no output
    while (true) {
      parsed.push_back(parser.getBuilder().getStringAttr(name));
      if (parser.parseEqual() || parser.parseOperand(values.emplace_back()) ||
          parser.parseColonType(types.emplace_back()))
        return failure();
      if (failed(parser.parseOptionalComma()))
        break;
      if (parser.parseKeywordOrString(&name))
        return failure();
    }
  names = parser.getBuilder().getArrayAttr(parsed);
  return success();
}

static void printOutputs(OpAsmPrinter &printer, Operation *, OperandRange values, TypeRange types, ArrayAttr names) {
  llvm::interleaveComma(llvm::zip(values, types, names), printer, [&](auto row) {
    auto [value, type, name] = row;
    printer.printKeywordOrString(cast<StringAttr>(name).getValue());
    printer << " = " << value << " : " << type;
  });
}

/// `%offset for %ids`, or `%ids` alone.
static ParseResult parseOffsetAndIds(OpAsmParser &parser, std::optional<OpAsmParser::UnresolvedOperand> &offset,
                                     OpAsmParser::UnresolvedOperand &ids) {
  if (parser.parseOperand(ids))
    return failure();
  if (failed(parser.parseOptionalKeyword("for")))
    return success();
  offset = ids;
  return parser.parseOperand(ids);
}

static void printOffsetAndIds(OpAsmPrinter &printer, Operation *, Value offset, Value ids) {
  if (offset)
    printer << offset << " for ";
  printer << ids;
}

#include "graphc/IR/LayerInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "graphc/IR/LayerOps.cpp.inc"

void LayerDialect::registerOperations() {
  addOperations<
#define GET_OP_LIST
#include "graphc/IR/LayerOps.cpp.inc"
      >();
}

static ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

static bool compatible(int64_t a, int64_t b) {
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) || a == b;
}

/// True if both have the same rank and no two known dimensions differ.
static bool compatible(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [](auto pair) {
           return compatible(std::get<0>(pair), std::get<1>(pair));
         });
}

//===-- Structure ------------------------------------------------------------===//

void ParamOp::getAsmResultNames(OpAsmSetValueNameFn set) {
  auto [path, leaf] = getRef().rsplit('.');
  set(getValue(), (path.rsplit('.').second.empty() ? path : path.rsplit('.').second).str() + "." + leaf.str());
}

LogicalResult ParamOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto parameter = symbols.lookupNearestSymbolFrom<ParameterOp>(*this, getRefAttr());
  if (!parameter)
    return emitOpError("reads parameter '") << getRef() << "', which is not declared";
  if (parameter.getType() != getValue().getType()) {
    auto diagnostic = emitOpError("param_c1: type must be the declared ") << parameter.getType() << ", got "
                                                                          << getValue().getType();
    diagnostic.attachNote(parameter.getLoc()) << "declared here";
    return diagnostic;
  }
  return success();
}

LogicalResult OutputOp::verify() {
  if (getNames().size() != getValues().size())
    return emitOpError("output_c1: expected one name per value, got ")
           << getNames().size() << " names for " << getValues().size() << " values";
  llvm::SmallDenseSet<Attribute> seen;
  for (Attribute name : getNames())
    if (!seen.insert(name).second)
      return emitOpError("output_c2: names must differ, got ") << name << " twice";
  return success();
}

Value OutputOp::getNamed(StringRef name) {
  for (auto [value, key] : llvm::zip(getValues(), getNames()))
    if (cast<StringAttr>(key).getValue() == name)
      return value;
  return {};
}

LogicalResult CastOp::verify() {
  if (isCache(getX().getType()) || isCache(getY().getType()))
    return emitOpError("cast_c1: a cache is never cast; its element types are set by --pin-cache");
  if (!isFloatTensor(getX().getType()) || !isFloatTensor(getY().getType()) || shapeOf(getX()) != shapeOf(getY()))
    return emitOpError("cast_c2: expected float tensors of one shape, got ")
           << getX().getType() << " and " << getY().getType();
  return success();
}

LogicalResult ContainerOp::verify() {
  if (getY().getType().getTypes() != getXs().getTypes())
    return emitOpError("container_c1: result types must be the operands'");
  return success();
}

//===-- Layers ----------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  if (shapeOf(getKernel()).size() != 2)
    return emitOpError("embedding_c1: kernel must be (vocab, hidden), got ") << getKernel().getType();
  SmallVector<int64_t> expected(shapeOf(getIds()));
  expected.push_back(shapeOf(getKernel())[1]);
  if (!compatible(expected, shapeOf(getY())))
    return emitOpError("embedding_c1: result must have the ids' shape and the row, got ") << getY().getType();
  if (int64_t(getOffset()) < 0 || !(ShapedType::isDynamic(shapeOf(getKernel())[0]) || int64_t(getOffset()) < shapeOf(getKernel())[0]))
    return emitOpError("embedding_c2: offset must be from 0 to below the table's rows, got ") << getOffset();
  return success();
}

int64_t DenseOp::getInputSize() { return shapeOf(getKernel())[getInputMajor() ? 0 : 1]; }
int64_t DenseOp::getOutputSize() { return shapeOf(getKernel())[getInputMajor() ? 1 : 0]; }

LogicalResult DenseOp::verify() {
  if (shapeOf(getKernel()).size() != 2)
    return emitOpError("dense_c1: kernel must have two dimensions, got ") << getKernel().getType();
  ArrayRef<int64_t> x = shapeOf(getX());
  if (x.empty() || !compatible(x.back(), getInputSize()))
    return emitOpError("dense_c1: last dimension of the input must be the kernel's ")
           << getInputSize() << ", got " << getX().getType();
  if (Value bias = getBias(); bias && !compatible(shapeOf(bias), {getOutputSize()}))
    return emitOpError("dense_c2: bias must have ") << getOutputSize() << " elements, got " << bias.getType();
  SmallVector<int64_t> expected(x);
  expected.back() = getOutputSize();
  if (!compatible(expected, shapeOf(getY())))
    return emitOpError("dense_c3: result must have the input's leading dimensions and ")
           << getOutputSize() << ", got " << getY().getType();
  return success();
}

template <typename NormOp>
static LogicalResult verifyNorm(NormOp op, Value vector) {
  ArrayRef<int64_t> x = shapeOf(op.getX());
  if (x.empty())
    return op.emitOpError("norm_c1: input must have a last dimension");
  if (!compatible(shapeOf(vector), {x.back()}))
    return op.emitOpError("norm_c1: scale and bias must be vectors of ") << x.back() << ", got " << vector.getType();
  if (!compatible(x, shapeOf(op.getY())))
    return op.emitOpError("norm_c2: result must have the input's shape, got ") << op.getY().getType();
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, getScale()); }

LogicalResult LayerNormOp::verify() {
  if (Value bias = getBias(); bias && failed(verifyNorm(*this, bias)))
    return failure();
  return verifyNorm(*this, getScale());
}

LogicalResult SplitHeadsOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX()), y = shapeOf(getY());
  const int64_t heads = getHeads();
  if (x.size() != 3 || heads < 1 || ShapedType::isDynamic(x[2]) || x[2] % heads)
    return emitOpError("split_heads_c1: input must be (batch, tokens, a multiple of ")
           << heads << "), got " << getX().getType();
  if (!compatible({x[0], heads, x[1], x[2] / heads}, y))
    return emitOpError("split_heads_c1: result must be (batch, ")
           << heads << ", tokens, " << x[2] / heads << "), got " << getY().getType();
  return success();
}

LogicalResult MergeHeadsOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  if (x.size() != 4 || ShapedType::isDynamic(x[1]) || ShapedType::isDynamic(x[3]) ||
      !compatible({x[0], x[2], x[1] * x[3]}, shapeOf(getY())))
    return emitOpError("merge_heads_c1: expected (batch, heads, tokens, headDim) to (batch, tokens, heads * headDim), got ")
           << getX().getType() << " to " << getY().getType();
  return success();
}

LogicalResult SliceOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  const int64_t offset = getOffset(), size = getSize();
  if (x.empty() || ShapedType::isDynamic(x.back()) || offset < 0 || size < 1 || offset > x.back() - size)
    return emitOpError("slice_c1: columns ") << offset << " to " << offset << " + " << size
                                             << " are not within " << getX().getType();
  SmallVector<int64_t> expected(x);
  expected.back() = size;
  if (!compatible(expected, shapeOf(getY())))
    return emitOpError("slice_c2: result must have ") << size << " columns, got " << getY().getType();
  return success();
}

LogicalResult RotaryEmbeddingOp::verify() {
  ArrayRef<int64_t> x = shapeOf(getX());
  if (x.size() != 4 || ShapedType::isDynamic(x[3]) || getRope().getDim() > x[3])
    return emitOpError("rotary_c1: rope dim ") << getRope().getDim() << " must be at most the head size of "
                                               << getX().getType();
  if (!compatible(x, shapeOf(getY())))
    return emitOpError("rotary_c2: result must have the input's shape, got ") << getY().getType();
  return success();
}

template <typename ElementwiseOp>
static LogicalResult verifyElementwise(ElementwiseOp op) {
  for (Value operand : op->getOperands())
    if (!compatible(shapeOf(operand), shapeOf(op.getY())))
      return op.emitOpError("elementwise_c1: expected one shape, got ") << operand.getType() << " and "
                                                                        << op.getY().getType();
  return success();
}

LogicalResult AddOp::verify() { return verifyElementwise(*this); }
LogicalResult ScaleOp::verify() { return verifyElementwise(*this); }
LogicalResult MultiplyOp::verify() { return verifyElementwise(*this); }
LogicalResult SiluOp::verify() { return verifyElementwise(*this); }
LogicalResult GeluOp::verify() { return verifyElementwise(*this); }
LogicalResult GeluTanhOp::verify() { return verifyElementwise(*this); }
LogicalResult ReluOp::verify() { return verifyElementwise(*this); }
