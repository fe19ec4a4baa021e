// Structure of a layer graph: parameters, graph, casts, optional values.
// The layers themselves are in LayerNN.td, the cache operations in LayerCache.td.
#ifndef GRAPHC_IR_LAYEROPS
#define GRAPHC_IR_LAYEROPS

include "graphc/IR/LayerTypes.td"
include "graphc/IR/LayerInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Layer_Op<string mnemonic, list<Trait> traits = []> : Op<Layer_Dialect, mnemonic, traits>;

def Layer_FloatTensor : TensorOf<[AnyFloat]>;
def Layer_IntTensor : TensorOf<[I32]>;
def Layer_AnyCache : AnyTypeOf<[Layer_CacheType, Layer_BlockCacheType, Layer_AttentionCacheType]>;

/// A layer: a name, a policy, operands and attributes of its own.
class Layer_NamedOp<string mnemonic, dag extra, dag res, list<Trait> traits = []>
    : Layer_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>,
        Layer_NamedLayer], traits)> {
  let arguments = !con((ins StrAttr:$name, OptionalAttr<Layer_PolicyAttr>:$policy), extra);
  let results = res;
  let assemblyFormat = [{
    $name `(` operands `)` attr-dict (`policy` `` $policy^)? `:` functional-type(operands, results)
  }];
  let extraClassDefinition = [{
    void $cppClass::getAsmResultNames(::mlir::OpAsmSetValueNameFn set) {
      ::graphc::layer::nameResults(*this, set);
    }
  }];
}

def Layer_ParameterOp : Layer_Op<"parameter", [Symbol]> {
  let summary = "declares a parameter and the checkpoint tensor behind it";
  let description = [{
    `layer.parameter @embedder.kernel : tensor<256x64xbf16> from "model.embed_tokens.weight"`

    The type is the stored type. Values are never part of the IR.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Layer_FloatTensor>:$type, OptionalAttr<StrAttr>:$source);
  let assemblyFormat = "$sym_name `:` $type (`from` $source^)? attr-dict";
  let extraClassDeclaration = [{
    /// Name of the checkpoint tensor: `source`, or the symbol itself.
    ::llvm::StringRef getTensorName() { return getSource() ? *getSource() : getSymName(); }
  }];
}

def Layer_ParamOp : Layer_Op<"param", [Pure, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "reads a parameter";
  let description = [{
    `%w = param @embedder.kernel : tensor<256x64xbf16>`; param_c1: the type is
    the declared one. `storage`, set by a policy rule that selects the parameter
    and not its layer, goes before the `params` type of the layer's policy.
  }];
  let arguments = (ins FlatSymbolRefAttr:$ref, OptionalAttr<TypeAttrOf<AnyFloat>>:$storage);
  let results = (outs Layer_FloatTensor:$value);
  let assemblyFormat = "$ref attr-dict `:` type($value)";
}

def Layer_GraphOp : Layer_Op<"graph", [IsolatedFromAbove, FunctionOpInterface,
    DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "a graph of layers";
  let description = [{
    Single block, ended by `output`. Attributes: `casts` says whether policies
    are requests (`implicit`) or have become casts (`explicit`; from then on
    types are the whole truth); `input_names` names the arguments;
    `absent_inputs` names those that it had once, and that are never given.

    graph_c1: output types are the signature's. graph_c2: one input name per
    argument. graph_c3: layer names are unique. cache_c1: a cache value is
    consumed at most once. cache_c2: no read of it after that. cache_c3: as
    long as a block or slot is out, no second get of the same path. cache_c4: a
    put returns what came from the get of the same path.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
    StrArrayAttr:$input_names, DefaultValuedAttr<Layer_CastsEnumAttr, "::graphc::layer::Casts::Implicit">:$casts,
    OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs,
    OptionalAttr<StrArrayAttr>:$absent_inputs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    static ::llvm::StringRef getDefaultDialect() { return "layer"; }
    OutputOp getOutput();
    /// The argument called `name`; null if there is none.
    ::mlir::BlockArgument getInput(::llvm::StringRef name);
    /// Makes the signature agree with the block's arguments and the output's operands.
    void updateSignature();
  }];
}

def Layer_OutputOp : Layer_Op<"output", [Terminator, Pure, HasParent<"GraphOp">]> {
  let summary = "names the results of a graph";
  let description = "`output logits = %l : tensor<?x?x256xf32>, cache = %c : !cache`; output_c1: one name per value; output_c2: names differ.";
  let arguments = (ins Variadic<AnyType>:$values, StrArrayAttr:$names);
  let assemblyFormat = "custom<Outputs>($values, type($values), $names) attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The value called `name`; null if there is none.
    ::mlir::Value getNamed(::llvm::StringRef name);
  }];
}

def Layer_CastOp : Layer_Op<"cast", [Pure]> {
  let summary = "rounds or widens a float tensor";
  let description = [{
    Rounds to nearest even. `because` lists the reasons, each as
    `SETTING LAYER by PASSES`: what asked for the cast, the layer that it is for,
    and the passes that made it and moved it since
    (`compute=bf16 layers.0.ffn.gate by materialize-casts+fold-casts`). Casts
    written by hand may leave `by PASSES` out.
    cast_c1: a cache is never cast. cast_c2: float tensors of one shape.
  }];
  let arguments = (ins AnyType:$x, OptionalAttr<StrArrayAttr>:$because);
  let results = (outs AnyType:$y);
  let assemblyFormat = "$x (`because` $because^)? attr-dict `:` type($x) `to` type($y)";
  let hasVerifier = 1;
}

def Layer_NoneOp : Layer_Op<"none", [Pure]> {
  let summary = "an absent value";
  let results = (outs Layer_NoneType:$y);
  let assemblyFormat = "attr-dict `:` type($y)";
}

def Layer_ContainerOp : Layer_NamedOp<"container", (ins Variadic<AnyType>:$xs), (outs Layer_ContainerType:$y)> {
  let summary = "groups values; casts nothing. container_c1: result types are the operands'";
  let hasVerifier = 1;
}

def Layer_OptionalOp : Layer_NamedOp<"optional", (ins AnyType:$x), (outs AnyType:$y), [AllTypesMatch<["x", "y"]>]> {
  let summary = "marks an output that is computed only on request; stops the spread of none";
}

include "graphc/IR/LayerNN.td"
include "graphc/IR/LayerCache.td"
include "graphc/IR/LayerSeed.td"

#endif // GRAPHC_IR_LAYEROPS
