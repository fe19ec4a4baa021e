// What passes ask of an op instead of listing op names.
#ifndef GRAPHC_IR_LAYERINTERFACES
#define GRAPHC_IR_LAYERINTERFACES

include "mlir/IR/OpBase.td"

def Layer_NamedLayer : OpInterface<"NamedLayer"> {
  let cppNamespace = "::graphc::layer";
  let description = "An op with a name path, unique in its graph.";
  let methods = [
    InterfaceMethod<"The name path, such as `layers.0.ffn.gate`.", "::llvm::StringRef", "getLayerName", (ins), [{}],
      [{ return $_op->template getAttrOfType<::mlir::StringAttr>("name").getValue(); }]>,
    InterfaceMethod<"Renames the layer.", "void", "setLayerName", (ins "::llvm::StringRef":$name), [{}],
      [{ $_op->setAttr("name", ::mlir::StringAttr::get($_op->getContext(), name)); }]>,
  ];
}

def Layer_PolicyLayer : OpInterface<"PolicyLayer", [Layer_NamedLayer]> {
  let cppNamespace = "::graphc::layer";
  let description = [{
    A layer that a precision policy applies to. It says which of its operands
    and results are cast; numerics.md's layer rule says how.
  }];
  let methods = [
    InterfaceMethod<"The op kind by which rules select the layer.", "::llvm::StringRef", "getSelectedKind", (ins), [{}],
      [{ return $_op->getName().stripDialect(); }]>,
    InterfaceMethod<"The policy; null if none was set.", "::graphc::layer::PolicyAttr", "getLayerPolicy", (ins), [{}],
      [{ return $_op->template getAttrOfType<::graphc::layer::PolicyAttr>("policy"); }]>,
    InterfaceMethod<"Sets the policy.", "void", "setLayerPolicy", (ins "::graphc::layer::PolicyAttr":$policy), [{}],
      [{ if (policy) $_op->setAttr("policy", policy); else $_op->removeAttr("policy"); }]>,
    InterfaceMethod<"True if the operand is read in the compute type: float tensors, never integers or caches.",
      "bool", "followsCompute", (ins "unsigned":$operand), [{}],
      [{ return ::graphc::layer::isFloatTensor($_op->getOperand(operand).getType()); }]>,
    InterfaceMethod<"True if the result is rounded to the output type.",
      "bool", "followsOutput", (ins "unsigned":$result), [{}],
      [{ return ::graphc::layer::isFloatTensor($_op->getResult(result).getType()); }]>,
    InterfaceMethod<"True if the op only moves values (numerics.md F6): any rounding commutes with it.",
      "bool", "movesDataOnly", (ins), [{}], [{ return false; }]>,
    InterfaceMethod<"True for norms, softmax and rotary embeddings: at least f32 inside under every policy.",
      "bool", "isPrecisionCritical", (ins), [{}], [{ return false; }]>,
    InterfaceMethod<"Type in which sums are accumulated.", "::mlir::Type", "getAccumulationType", (ins), [{}],
      [{ return ::mlir::Float32Type::get($_op->getContext()); }]>,
  ];
}

def Layer_CacheOp : OpInterface<"CacheOp"> {
  let cppNamespace = "::graphc::layer";
  let description = [{
    An op on a cache value. `consumes` an operand: the value is updated in
    place and may not be read afterwards. A result that is a part of an operand
    (get) is `out` until it is put back.
  }];
  let methods = [
    InterfaceMethod<"True if the operand's cache value is consumed (updated in place).",
      "bool", "consumesCache", (ins "unsigned":$operand), [{}], [{ return false; }]>,
    InterfaceMethod<"The cache, block or slot that the op works on.",
      "::mlir::Value", "getWholeCache", (ins), [{}], [{ return $_op.getCache(); }]>,
    InterfaceMethod<[{The slot's element type for an operand that holds new rows, a type, `none` while the slot is
      not pinned, null for every other operand. Rows of 8-bit elements (isScaled) come in a compute type.}],
      "::mlir::Type", "getRowElement", (ins "unsigned":$operand), [{}], [{ return {}; }]>,
    InterfaceMethod<"Gives the results that are caches the types that follow from the operands'.",
      "void", "inferCacheTypes", (ins), [{}], [{
        for (::mlir::Value result : $_op->getResults())
          if (::graphc::layer::isCache(result.getType()))
            result.setType($_op.getCache().getType());
      }]>,
  ];
}

#endif // GRAPHC_IR_LAYERINTERFACES
