// Layer -> kernel: one kernel per layer, elementwise work fused into the
// kernels before it, memory planned, threads synchronised, equal blocks shared.
#ifndef GRAPHC_PASSES_KERNEL
#define GRAPHC_PASSES_KERNEL

include "mlir/Pass/PassBase.td"

def LowerLayers : Pass<"kernel-lower-layers", "::mlir::ModuleOp"> {
  let summary = "makes a kernel of each layer, for prefill, for decode and for an encoder";
  let description = [{
    Replaces the module's `layer.graph` by two functions, `@graphc_prefill` and
    `@graphc_decode`, and a graph `@encode` by `@graphc_encoder`, whose arguments carry `kernel.binding` attributes that
    say what the runtime passes: inputs, parameters, rope tables, caches,
    outputs. Values become (rows, width) buffers, sequences packed end to end;
    splitting and merging heads and slices are views; casts of activations are
    elementwise kernels; casts of parameters become conversions at load, or
    nothing where the stored type is widened in registers.

    Precondition: casts are explicit, the cache is fused and pinned; or, in seed
    mode, expanded (`layer-expand-cache`): its tensors become pairs of arguments,
    `before` and `after` the step, and each cast of one a `kernel.seed_move`.
    Postcondition: no layer op is left. A layer without a kernel is an error
    that names it.

    Before: `%y = add "layers.0.residual"(%a, %b) : (tensor<?x?x64xbf16>, tensor<?x?x64xbf16>) -> tensor<?x?x64xbf16>`
    After:
    ```mlir
    %y = kernel.buffer "tokens" : memref<?x64xbf16>
    kernel.elementwise ins(%a : memref<?x64xbf16>) fused(%b : memref<?x64xbf16>) outs(%y : memref<?x64xbf16>)
        attributes {layers = ["layers.0.residual"]} {
    ^bb0(%0: f32, %1: bf16):
      %2 = arith.extf %1 : bf16 to f32
      %3 = arith.addf %0, %2 : f32
      %4 = arith.truncf %3 : f32 to bf16
      kernel.yield %4 : bf16
    }
    ```
    The operands of the logits are gathered to the rows whose logits are
    wanted, so that a prefill computes one logits row, not one for each token.
  }];
  let dependentDialects = ["::graphc::kernel::KernelDialect", "::mlir::func::FuncDialect",
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect"];
}

def FuseEpilogues : Pass<"kernel-fuse-epilogues", "::mlir::func::FuncOp"> {
  let summary = "moves elementwise kernels into the epilogue of the kernel before them";
  let description = [{
    An elementwise kernel joins the latest kernel that produces one of its
    operands, if its other operands exist by then. The producer keeps its own
    destination if others read it. Rounding points stay: they are the
    arith.truncf operations of both regions. Attention has no epilogue and is
    left alone.

    With `report` a remark says how many:
    - `fused`: elementwise kernels fused
    - `not-fused-no-producer`: elementwise kernels whose operands come from no kernel with an epilogue
    - `not-fused-operand-later`: elementwise kernels with another operand that is not there yet
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def ScheduleKernels : Pass<"kernel-schedule", "::mlir::func::FuncOp"> {
  let summary = "orders kernels by the depth of their dependences";
  let description = [{
    Query, key and value products of a block stand together, then the rotary
    embeddings of query and key, and so on: kernels of one level need no barrier
    between them. Buffers and views come first. The order within a level stays.
  }];
}

def PlanMemory : Pass<"kernel-plan-memory", "::mlir::func::FuncOp"> {
  let summary = "places every buffer in a slot of the workspace";
  let description = [{
    Each `kernel.buffer` becomes a function argument with a `slot`. Buffers of
    one row size that are not alive at the same level share a slot, so a kernel
    never writes what a kernel of its level reads. A buffer that another block
    reads (the residual stream) shares only with its like: equal blocks then
    get equal plans and can share code. Arguments are one per (slot, type), so
    their number does not grow with depth.

    With `report` a remark says how many:
    - `buffers`: activation buffers
    - `slots`: slots of the workspace
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def Parallelize : Pass<"kernel-parallelize", "::mlir::func::FuncOp"> {
  let summary = "runs a step in one parallel region";
  let description = [{
    Wraps the body in a single `omp.parallel` and puts an `omp.barrier` before
    each kernel that reads what another wrote since the last barrier, or writes
    what another accessed. Kernels that do not depend on one another (query, key
    and value) run without a barrier between them.

    With `report` a remark says how many:
    - `barriers`: barriers in a step
  }];
  let dependentDialects = ["::mlir::omp::OpenMPDialect"];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def TraceKernels : Pass<"kernel-trace", "::mlir::ModuleOp"> {
  let summary = "calls a hook after each kernel, so that its results can be compared and replaced";
  let description = [{
    Adds a last argument, the hook, to both steps, and a `kernel.trace` between
    barriers after each kernel of the parallel region. The module attribute
    `kernel.traced` lists the kernels. For tests and comparisons only: blocks
    no longer share code.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::omp::OpenMPDialect"];
}

def OutlineBlocks : Pass<"kernel-outline-blocks", "::mlir::ModuleOp"> {
  let summary = "makes one function of all blocks that are the same";
  let description = [{
    The kernels of `layers.N` become a private function `@decoder_block.K`; two
    blocks share it if they are equal up to names, parameters and cache. Types,
    epilogues, windows and rope are part of equality. The call's `layer.path`
    and the relative names in the callee give the full name. Callees are
    `no_inline`, or LLVM would make the code grow with depth again. A barrier in
    front of a block stays with the caller.

    With `report` a remark gives the first difference of each block that shares
    with none before it, and one says how many:
    - `blocks`: blocks outlined
    - `functions`: functions made of them
    - `not-shared`: blocks that share with none before them
  }];
  let dependentDialects = ["::mlir::func::FuncDialect"];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def VerifyCache : Pass<"kernel-verify-cache", "::mlir::ModuleOp"> {
  let summary = "proves the contract of the cache at kernel level";
  let description = [{
    Checks that cache memory is the memory that the runtime binds, and nothing
    else: it enters as an argument of a step function, in the memory space of its
    dtype; calls pass it on; kernels take it as the side (`keys` or `values`) that
    it is bound as, both sides of one slot; no other operation touches it. Each
    slot is bound once, is updated by exactly one kernel of a step that reads it
    (a slot that a step only reads is updated by another step; a cross slot,
    `cross_keys` and so on, by no step that reads it), and is the same
    memory in all steps: the cache that comes out is the one that went in. No
    buffer has the capacity, or the rows of a ring, as a dimension.

    Each violation is an error whose message starts with `contract: ` (the driver's
    exit code 3), with the way of the memory as notes.

    Precondition: blocks are outlined or not; buffers are placed.
    Postcondition: the module is as it was. Modules without a cache pass.

    Before and after:
    ```mlir
    kernel.cached_attention ins(%q, %k, %v : ..) cache(%keys, %values at %starts, %lengths : memref<?x2x?x16xbf16, 18>, ..) ..
    ```

    With `report` a remark says how many:
    - `slots`: sides of slots that are bound, keys and values apart
    - `kernels`: kernels that take cache memory, in all steps
    - `updates`: sides of slots that a kernel updates in place, in all steps
    - `calls`: calls that pass cache memory on, in all steps
    - `buffers`: buffers that do not grow with the capacity
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

#endif // GRAPHC_PASSES_KERNEL
