// The layer dialect's C++ classes and the few questions that everyone asks of
// its types.
#pragma once

#include "Support/DType.h"
#include "Support/RelativeBias.h"
#include "Support/Rope.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace graphc::layer {

/// True for a ranked tensor of floats.
bool isFloatTensor(mlir::Type type);
/// True for a whole cache, a block or a slot.
bool isCache(mlir::Type type);
/// True for the cache elements that have a scale a row: i8, f8E4M3FN, f8E5M2.
bool isScaled(mlir::Type element);
/// The dtype of an MLIR element type, or nothing.
std::optional<DType> dtypeOf(mlir::Type element);
mlir::Type typeOf(mlir::MLIRContext *context, DType dtype);
/// `tensor` with another element type.
mlir::Type withElement(mlir::Type tensor, mlir::Type element);
/// Names an op's first result after the last component of its layer's name.
void nameResults(mlir::Operation *op, mlir::OpAsmSetValueNameFn set);

/// One result element for each operand element, computed in f32.
template <typename ConcreteOp>
class IsElementwise : public mlir::OpTrait::TraitBase<ConcreteOp, IsElementwise> {};

class OutputOp;

} // namespace graphc::layer

#include "graphc/IR/LayerDialect.h.inc"
#include "graphc/IR/LayerEnums.h.inc"
#define GET_TYPEDEF_CLASSES
#include "graphc/IR/LayerTypes.h.inc"
#define GET_ATTRDEF_CLASSES
#include "graphc/IR/LayerAttrs.h.inc"
#include "graphc/IR/LayerInterfaces.h.inc"
#define GET_OP_CLASSES
#include "graphc/IR/LayerOps.h.inc"

namespace graphc::layer {

/// A path into a cache. `block` and `cross` are -1 for a whole cache, `cross`
/// for a block.
struct CachePath {
  mlir::Value root; ///< The argument that holds the whole cache, or what no cache op made.
  int64_t block = -1;
  int cross = -1;
};

/// Follows the cache operations back from `value`.
CachePath pathOf(mlir::Value value);

/// Names of the graphs of a model: a decoder alone may have any name.
inline constexpr llvm::StringLiteral kMainGraph = "main";     ///< The decoder.
inline constexpr llvm::StringLiteral kEncodeGraph = "encode"; ///< Reads a source, stores the cross slots.

/// The spec of a rope attribute, and the attribute of a valid spec. An attribute
/// is verified when it is made, so its spec is valid.
RopeSpec ropeSpec(RopeAttr rope);
RopeAttr ropeAttr(mlir::MLIRContext *context, const RopeSpec &spec);

/// The buckets of `bias`, a table (buckets, heads).
RelativeBuckets relativeBuckets(RelativeBiasAttr relative, mlir::Value bias);

} // namespace graphc::layer
