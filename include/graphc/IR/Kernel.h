// The kernel dialect's C++ classes.
#pragma once

#include "Support/CacheSpace.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace graphc::kernel {

/// The dtype that the space of `type` stands for; nothing if it is no memory of a
/// cache.
std::optional<DType> cacheDTypeOf(mlir::Type type);

/// A side of a slot as a kernel takes it.
struct CacheSide {
  llvm::StringRef name;    ///< "keys", "values": the name of the binding it must get.
  mlir::OpOperand *memory; ///< (batch, kvHeads, rows, headDim)
  bool updated;            ///< New rows are stored; else it is read only.
};

/// Checks an epilogue against its kernel: one argument for the interior value
/// and each fused operand, one yielded value for each destination.
mlir::LogicalResult verifyEpilogue(mlir::Operation *op);

/// Attribute of a step function's arguments: what the runtime binds to it.
/// A dictionary: kind, name, dims (numbers or symbol names) and the kind's own
/// keys, as lib/Support/Program.h describes them.
inline constexpr llvm::StringLiteral kBindingAttr = "kernel.binding";
/// Attributes of the module: the union of all bindings, each with its `type`,
/// and the symbols of their dimensions.
inline constexpr llvm::StringLiteral kBindingsAttr = "kernel.bindings";
inline constexpr llvm::StringLiteral kSymbolsAttr = "kernel.symbols";

/// True for a function whose arguments the runtime binds.
bool isStepFunction(mlir::FunctionOpInterface function);

/// Sets kernel.bindings and kernel.symbols from the step functions. A binding
/// of several functions is listed once, equal dictionary and type. Symbols are
/// threads, tokens, batch, rows, capacity, then those that only some models
/// have. Fails with a diagnostic if an argument has no binding or a dimension
/// does not parse.
mlir::LogicalResult collectBindings(mlir::ModuleOp module);
/// The entry of kernel.bindings for a binding of that type.
mlir::DictionaryAttr bindingEntry(mlir::DictionaryAttr binding, mlir::Type type);

/// Attribute of a step function: the graph that it is a phase of.
inline constexpr llvm::StringLiteral kGraphAttr = "kernel.graph";
/// Attribute of a kernel while a step is flat: what traces call the value of
/// each destination, such as "layers.0.ffn.down" or "embedder as f32".
inline constexpr llvm::StringLiteral kValuesAttr = "kernel.values";
/// Attribute of a kernel while a step is flat: the block it belongs to.
inline constexpr llvm::StringLiteral kBlockAttr = "kernel.block";
/// Attribute of a traced module: for each traced kernel its layers, and the
/// binding and name of each value it writes.
inline constexpr llvm::StringLiteral kTracedAttr = "kernel.traced";

/// Most segments that a token's keys are cut into, whose sums are added in order: as
/// many as give work to 16 threads with one sequence, whatever the heads.
constexpr int64_t segmentsOf(int64_t kvHeads) { return kvHeads < 3 ? 16 : kvHeads < 24 ? (47 + kvHeads) / kvHeads : 2; }
/// Elements of one head's sums in memory: whole vectors of every target.
constexpr int64_t sumsWidth(int64_t headDim) { return (headDim + 31) / 32 * 32; }

} // namespace graphc::kernel

#include "graphc/IR/KernelDialect.h.inc"
#include "graphc/IR/KernelEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "graphc/IR/KernelAttrs.h.inc"
#include "graphc/IR/KernelInterfaces.h.inc"
#define GET_OP_CLASSES
#include "graphc/IR/KernelOps.h.inc"
