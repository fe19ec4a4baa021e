// Layer -> layer: rules become policies, policies become casts, casts fold where
// that is exact; outputs that no one asked for go; the cache fuses and is pinned.
#ifndef GRAPHC_PASSES_LAYER
#define GRAPHC_PASSES_LAYER

include "mlir/Pass/PassBase.td"

def ResolveOptional : Pass<"layer-resolve-optional", "::mlir::ModuleOp"> {
  let summary = "folds absent inputs and everything that follows from them";
  let description = [{
    `absent` names inputs that will not be given; inputs of type `!layer.none` are
    absent anyway. None spreads: a layer with an absent operand is absent, up to an
    `optional`, whose consumer sees that there is nothing. Where absence has a
    meaning it is put in place: without a mask every token is visible, without a
    cache the cache operations vanish and attention takes the new rows. Absent
    inputs leave the signature for `absent_inputs`, which keeps their names, so that a
    second run knows them; optional outputs and caches that became absent leave the
    outputs. An output that is neither is an error, and so is a name that no graph has
    or had as an input.

    Precondition: none. Postcondition: no value of type `!layer.none` is left.

    Before, with `absent=mask`:
    ```mlir
    %positions = positions %ids mask %mask : (tensor<?x?xi32>, tensor<?x?xi32>) -> tensor<?x?xi32>
    ```
    After:
    ```mlir
    %positions = positions %ids : (tensor<?x?xi32>) -> tensor<?x?xi32>
    ```
    Left alone: `optional` values that are present; PruneOutputs decides on them.

    With `report` a remark says how many:
    - `inputs-absent`: inputs removed
    - `attentions-uncached`: attentions that take the new rows in place of an absent
      cache
    - `cache-ops-gone`: cache operations of an absent cache
    - `outputs-absent`: outputs removed
    - `optionals-present`: optional values that are present and stay
  }];
  let options = [
    ListOption<"absent", "absent", "std::string", "names of inputs that are not given">,
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def ApplyPolicy : Pass<"layer-apply-policy", "::mlir::ModuleOp"> {
  let summary = "sets the precision policy of layers from rules";
  let description = [{
    Each rule (grammar: docs/Policy.md) sets the keys it names in the policies of
    the layers it selects, in order, so later rules win key by key. A `params`
    rule may also select parameters by their own names; it is then recorded on
    their readers. A rule that selects nothing, or names a range of which a part
    selects nothing, is an error; a rule that later ones override entirely is a
    warning.

    Precondition: none. Postcondition: every selected layer carries its policy;
    types are as they were. On a graph whose casts are explicit, a rule that would
    change a policy is an error.

    Before, with `policy=compute=bf16`:
    ```mlir
    %y = silu "ffn.activation"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    ```
    After:
    ```mlir
    %y = silu "ffn.activation"(%x) policy<compute = bf16> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    ```
    Left alone: containers, optional, cache operations and casts, which round
    nothing.

    With `report` a remark says how many:
    - `layers`: layers that carry a policy
    - `layers-without`: layers that no rule selects
    - `parameters`: parameter readers with a storage type of their own
    - `rules-overridden`: rules that later rules override entirely
  }];
  let options = [
    Option<"policy", "policy", "std::string", "", "rules with ';' between them, each [SELECTOR:]KEY=DTYPE,..">,
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def MaterializeCasts : Pass<"layer-materialize-casts", "::graphc::layer::GraphOp"> {
  let summary = "turns policies into casts";
  let description = [{
    Float operands of a layer are cast to `compute`, parameters first to `params`;
    results take the type `output`, or `compute` where it is absent, because a
    layer rounds its f32 interior once, to the type of its result. An attention
    without a compute type reads its query as f32, since its probabilities take
    the query's type. New cache rows
    are cast to the compute type of the attention that reads them, then to the
    slot's type if it is pinned. With `semantics=axon` a result is rounded to
    `compute` and then cast to `output`. Each cast says which key of which layer
    asked for it.

    Precondition: `casts = implicit`. Postcondition: `casts = explicit`; types say
    all, policies are a record. A second run does nothing.

    Before:
    ```mlir
    %y = silu "ffn.activation"(%x) policy<compute = bf16, output = f32> : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    ```
    After:
    ```mlir
    %0 = cast %x because ["compute=bf16 ffn.activation by materialize-casts"] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
    %y = silu "ffn.activation"(%0) policy<compute = bf16, output = f32> : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
    ```
    Left alone: integers, and every value of a cache type, which no cast accepts.

    With `report` a remark says how many:
    - `params-casts`: parameters cast to their storage type
    - `compute-casts`: operands cast to the compute type
    - `output-casts`: results cast to the output type (axon only)
    - `pin-casts`: new rows cast to the pinned type
    - `operands-fitting`: operands that had their type already
    - `operands-free`: float operands of layers without a compute type
  }];
  let options = [
    Option<"semantics", "semantics", "std::string", "\"graphc\"",
           "graphc: one rounding at the result; axon: to compute, then to output">,
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def FoldCasts : Pass<"layer-fold-casts", "::graphc::layer::GraphOp"> {
  let summary = "removes casts and moves roundings where that is exact";
  let description = [{
    The folds of numerics.md section 3 and no others. A cast of an exact cast
    reads the original value (F1, F2, F3); a cast that widens what was rounded
    from a type that the rounding keeps is dropped (F4); if every use of a layer's
    f32 result is a cast to one type, the layer writes that type (F5), also
    through layers that only move data (F6); equal casts of one value are merged
    and their reasons joined. f16 and bf16 never replace one another.

    Precondition: `casts = explicit`. Postcondition: the same values at every
    layer, cache row and output, with fewer casts.

    Before:
    ```mlir
    %h = silu "a"(%x) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
    %0 = cast %h because ["compute=bf16 b"] : tensor<?x?x8xf32> to tensor<?x?x8xbf16>
    %y = relu "b"(%0) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
    ```
    After:
    ```mlir
    %h = silu "a"(%x) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xbf16>
    %y = relu "b"(%h) : (tensor<?x?x8xbf16>) -> tensor<?x?x8xf32>
    ```
    Left alone: a value with uses in several types stays wide, with one cast for
    each; casts of parameters, which become conversions at load.

    With `report` a remark says how many:
    - `folded-same-type`: casts to the type the value has (F1, F2)
    - `folded-through-exact`: casts that read through an exact cast (F2, F3, F4)
    - `merged`: casts merged with an equal one
    - `moved-to-producer`: results that take the type of all their uses (F5)
    - `moved-through-data`: roundings moved before data movement (F6)
    - `dead`: casts without a use
    - `kept-parameter`: casts kept: a parameter is converted
    - `kept-widening`: casts kept: widening, so a layer's interior type says nothing
    - `kept-uses-differ`: casts kept: the value has uses in other types
    - `kept-lossy`: casts kept: the value is rounded already, to a type that is no
      subset
    - `kept-no-producer`: casts kept: the value has no producer that could round it
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def PruneOutputs : Pass<"layer-prune-outputs", "::mlir::ModuleOp"> {
  let summary = "keeps only the requested outputs";
  let description = [{
    `outputs` names the outputs to keep; without it, those that are not marked
    `optional`. Cache outputs always stay. Layers, results and parameters that
    nothing needs any more go too, so that the module equals one of a model that
    never had them. A name that no graph has is an error that lists the known ones;
    in a model with an encoder `hidden_states` and `attentions` are the decoder's.

    Precondition: none. Postcondition: outputs are the requested ones, in the
    graph's order, and none of them is `optional`.

    Before:
    ```mlir
    %y = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %z = relu "b"(%y) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %o = optional "extra"(%z) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    output logits = %y : tensor<?x?x8xf32>, extra = %o : tensor<?x?x8xf32>
    ```
    After:
    ```mlir
    %y = silu "a"(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    output logits = %y : tensor<?x?x8xf32>
    ```
    Left alone: arguments, which are the interface of the graph.

    With `report` a remark says how many:
    - `outputs-pruned`: outputs removed
    - `outputs-kept`: outputs kept
    - `ops-removed`: ops that nothing needed any more
    - `parameters-removed`: parameters that nothing reads any more
  }];
  let options = [
    ListOption<"outputs", "outputs", "std::string", "names of the outputs to keep; empty: those that are not optional">,
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def FuseCache : Pass<"layer-fuse-cache", "::graphc::layer::GraphOp"> {
  let summary = "fuses an attention with the cache operations on its slot";
  let description = [{
    get_block_cache, get_attention_cache, cache_append, attention,
    put_attention_cache and put_block_cache on one path become one
    `cached_attention` that owns the slot and updates it in place. The match is
    structural: it never looks at names, policies or casts. An attention whose
    weights are requested fuses as well. Each attention that reads a slot and does
    not fuse is reported by a remark with the reason.

    Precondition: none. Postcondition: the number of cached attentions is the
    number of eligible ones; name, policy and location are the attention's.

    Before:
    ```mlir
    %block = get_block_cache %cache[0] : !cache -> !block
    %slot = get_attention_cache %block self : !block -> !slot
    %slot1 = cache_append %slot, %k, %v at %positions : !slot, !kv, !kv, !ids
    %a = attention "attend"(%q) over %slot1 at %positions {causal, scale = 1.0} : (!heads, !slot, !ids) -> !heads
    %block1 = put_attention_cache %slot1 into %block self : !slot, !block
    %cache1 = put_block_cache %block1 into %cache[0] : !block, !cache
    ```
    After:
    ```mlir
    %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {causal, scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
    ```
    Left alone: attention over keys and values that are given as tensors.

    With `report` a remark says how many:
    - `fused`: attentions fused with their slot
    - `missed-no-slot`: attentions over tensors: there is no cache to fuse with
    - `missed-cross`: attentions over a cross slot, which they do not own
    - `missed-not-appended`: slots read without an append in front
    - `missed-not-put-back`: slots that are not put back into the cache
    - `missed-shared-slot`: slots that another op reads too
    - `missed-positions`: appends at other positions than the attention's
    - `missed-order`: attentions without a place where all operands exist and no use
      has come
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def PinCache : Pass<"layer-pin-cache", "::mlir::ModuleOp"> {
  let summary = "gives every slot of the cache its element types";
  let description = [{
    The type of each side of each slot is the one written in the IR, which no rule
    may contradict; where that is `auto`, what the last rule that selects the side
    says (grammar: docs/Cache.md); without a rule, the compute type of the attention
    that reads it. The types of all cache values and of the signature follow. If
    casts are explicit, new rows are cast to the pinned types in front of the op
    that stores them, so that attention sees what the cache will hold; otherwise
    MaterializeCasts does that. Rows of 8-bit slots are not cast: the op that
    stores them quantises them from the compute type.

    A slot is called by the attention that reads it. Graphs whose cache inputs have
    one name share the cache, and their slots are pinned alike. A rule that selects
    nothing, or only in part, is an error.

    Precondition: none. Postcondition: every slot is pinned.

    Before, with `pin=k=bf16,v=f16`, `!cache` holding `keys = auto, values = auto`:
    ```mlir
    %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
    ```
    After, `!cache` holding `keys = bf16, values = f16`:
    ```mlir
    %0 = cast %k because ["pin=bf16 attend.keys by pin-cache"] : tensor<?x2x?x16xf32> to tensor<?x2x?x16xbf16>
    %1 = cast %v because ["pin=f16 attend.values by pin-cache"] : tensor<?x2x?x16xf32> to tensor<?x2x?x16xf16>
    %a, %cache1 = cached_attention "attend"(%q, %0, %1, %positions) in %cache[0] {scale = 1.0} : !heads, tensor<?x2x?x16xbf16>, tensor<?x2x?x16xf16>, !ids, !cache -> !heads
    ```
    Left alone: policies; a pin is independent of them.

    With `report` a remark says how many:
    - `sides-by-rule`: sides (keys or values of a slot) pinned by a rule
    - `sides-by-type`: sides whose type the IR had already
    - `sides-by-compute`: sides pinned to the attention's compute type
    - `casts`: new rows cast to the pinned type
  }];
  let options = [
    Option<"pin", "pin", "std::string", "",
           "rules with ';' between them, each [SELECTOR:]DTYPE or [SELECTOR:]k=DTYPE,v=DTYPE">,
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def VerifyCache : Pass<"layer-verify-cache", "::mlir::ModuleOp"> {
  let summary = "proves the contract of the cache at layer level";
  let description = [{
    Checks that every slot is pinned; that new rows have exactly the pinned types
    when they are stored, or a compute type where they are quantised; that no attention reads them past the cache; that only
    cache operations, attention and the output touch a cache; that every update
    reaches the output; and that each cache argument comes back as one output of
    the same type, so that it can be updated in place and the types of a decoding
    loop do not change; and that graphs which share a cache agree in its type. That
    no cast takes a cache is the cast's own verifier.

    Each violation is an error whose message starts with `contract: ` (the driver's
    exit code 3), with the chain of operations as notes.

    Precondition: casts are explicit. Postcondition: the module is as it was.

    Before and after:
    ```mlir
    %a, %cache1 = cached_attention "attend"(%q, %k, %v, %positions) in %cache[0] {scale = 1.0} : !heads, !kv, !kv, !ids, !cache -> !heads
    output a = %a : !heads, cache = %cache1 : !cache
    ```
    Left alone: everything; graphs without a cache pass.

    With `report` a remark says how many:
    - `slots`: slots proved to be pinned
    - `row-operands`: row operands proved to have the pinned type
    - `caches-in-place`: cache arguments proved to come back as one output
    - `bytes-per-row`: bytes of one row of all slots of a sequence, scales included
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def ExpandCache : Pass<"layer-expand-cache", "::mlir::ModuleOp"> {
  let summary = "seed mode: turns the cache into ordinary tensors that policies reach";
  let description = [{
    A cache argument becomes a container of f32 tensors (batch, maxLen, query
    heads, headDim), an offset and a mask; cache operations become the tensor ops
    of LayerSeed.td with the names `cache.N...` and the policy of the attention
    that reads the slot. Key/value heads are repeated before they are written.
    Each node then carries all the leaves that the seed's node carries, so that
    MaterializeCasts makes the casts that the seed makes: the oracle for pinned
    caches, and the measure of what pinning saves.

    Precondition: casts are implicit. Postcondition: no cache type is left, so
    cache types and casts of a cache never meet in one module.

    Before:
    ```mlir
    %block = get_block_cache %cache[0] : !cache -> !block
    ```
    After:
    ```mlir
    %0:4 = unpack %cache : (!layer.container<!leaf, !leaf, tensor<i32>, tensor<?x?xi32>>) -> (!leaf, !leaf, tensor<i32>, tensor<?x?xi32>)
    %get:2 = seed_get "cache.0.get"(%0#0, %0#1) {first = 0 : i64} : (!leaf, !leaf) -> (!leaf, !leaf)
    ```
    Left alone: attention over given keys and values. Refused: attention over a
    cross slot.

    With `report` a remark says how many:
    - `leaves`: cache tensors
    - `carrying-nodes`: nodes that carry cache tensors
    - `repeats`: rows whose heads are repeated before they are written
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

#endif // GRAPHC_PASSES_LAYER
