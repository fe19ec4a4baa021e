// Kernel -> vector/scf/memref -> LLVM: emitters for each kernel family, C entry
// points, and what the stock lowerings leave to us.
#ifndef GRAPHC_PASSES_CPU
#define GRAPHC_PASSES_CPU

include "mlir/Pass/PassBase.td"

class TargetOption : Option<"target", "target", "std::string", /*default=*/"\"\"",
  "instruction set to emit for, by its name in the table of targets">;

def OutlineKernels : Pass<"cpu-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "makes one function of all kernels that are the same";
  let description = [{
    Each kernel becomes a call of a private `no_inline` function
    `(%thread, %threads, operands...)` that holds that kernel alone; kernels
    that are equal up to layer names share it. A block function gains the two
    leading arguments as well; in a step function they are read once, at the top
    of its `omp.parallel`, by `kernel.thread_id` and `kernel.num_threads`.

    Precondition: none. Postcondition: a function with a kernel has nothing else.

    Before: `kernel.elementwise ins(%x : ..) outs(%y : ..) attributes {layers = ["ffn.activation"]} {..}`
    After: `call @ffn.activation(%thread, %threads, %x, %y) {kernel.layers = ["ffn.activation"]} : ..`

    With `report` a remark says how many:
    - `kernels`: kernels outlined
    - `functions`: functions made of them
  }];
  let dependentDialects = ["::mlir::func::FuncDialect", "::graphc::kernel::KernelDialect"];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def ChooseTiles : Pass<"cpu-choose-tiles", "::mlir::ModuleOp"> {
  let summary = "sets the tile of each matrix product from the tile table";
  let description = [{
    A tile that is there already stays: that is how a tile is tried by hand.
    The table is passes/cpu/TileTable.cpp. Products whose code is that of any
    number of rows lose their phase, so that both phases share one function:
    this runs before kernels are outlined.
  }];
  let options = [TargetOption<>];
}

def EmitKernels : Pass<"cpu-emit-kernels", "::mlir::ModuleOp"> {
  let summary = "replaces kernels by vector loops";
  let description = [{
    Precondition: each kernel is alone in a function whose first two arguments
    are the thread and the number of threads; tiles are chosen.
    Postcondition: no kernel op is left but thread_id and num_threads; loops are
    scf, accesses are vector and memref, and nothing is allocated on the heap.
    No access leaves its buffer: the last elements of a row are masked. The order
    of each sum depends on its length and on the target, never on the thread count
    or on the phase; on the number of rows only where a target multiplies bf16 both
    by dots and by tiles (one and two rows are dots), never beyond that.
  }];
  let options = [TargetOption<>];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::omp::OpenMPDialect", "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect",
    "::mlir::x86vector::X86VectorDialect", "::mlir::amx::AMXDialect", "::mlir::LLVM::LLVMDialect"];
}

def ExpandConversions : Pass<"cpu-expand-conversions", "::mlir::ModuleOp"> {
  let summary = "converts 8- and 16-bit floats by integer arithmetic where the target has no instruction";
  let description = [{
    f32 to bf16 without avx512_bf16, both ways of f16 without f16c, both ways of
    f8E4M3FN and f8E5M2 everywhere (widening through f16 where that has an
    instruction, 32 or 64 of f8E4M3FN to bf16 by tables of bytes where the target
    looks those up); to nearest even, overflow to infinity (f8E4M3FN, which has
    none: NaN), NaN to a quiet NaN, subnormals of the 8- and 16-bit types kept. Masked
    accesses to 16-bit elements become elements where there are no masks for
    them. What the target has is left alone.
  }];
  let options = [TargetOption<>];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect", "::mlir::vector::VectorDialect"];
}

def ExpandFunctions : Pass<"cpu-expand-functions", "::mlir::ModuleOp"> {
  let summary = "computes exp, tanh and erf by polynomials";
  let description = [{
    No function of the C library is called from a kernel: it would be slow, and
    its result would differ from host to host. So fused multiply-adds and floor
    are expanded too where the target has no instruction for them.
  }];
  let options = [TargetOption<>];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def VerifyCache : Pass<"cpu-verify-cache", "::mlir::ModuleOp"> {
  let summary = "proves the contract of the cache at vector level";
  let description = [{
    Checks, for all memory in the space of a dtype:
    - it holds that dtype, and is an argument of a step or a part of one;
    - it is read, written and prefetched by vector.load, maskedload, transfer_read
      and their like on memref, and by nothing else: no copy, no cast, no call out
      of the module, no other view of its bytes;
    - each store lies at [sequence, head, lengths[sequence] + i, columns], i < new
      tokens of the sequence, modulo the rows of a ring. That is proved from the
      arithmetic of its indices (passes/cpu/IndexBounds.h), with these facts of the
      runtime: lengths and starts are not negative, starts do not decrease, and
      neither is written by a step, which is checked here; in a cross slot the
      row is i alone;
    - what is read is widened a vector at a time;
    - a slot that steps update is updated by every step that reads it; a cross
      slot that is read is stored by a step, and by none that reads it.
    And for all memory: nothing is allocated but scratch of a fixed size, at most
    256 KiB in a function that takes a cache; writes go to buffers, outputs,
    scratch and the cache only.

    Each violation is an error whose message starts with `contract: ` (the driver's
    exit code 3), with the way of the memory as notes.

    Precondition: kernels are emitted; step functions have their bindings still.
    Postcondition: the module is as it was. Modules without a cache pass.

    Before and after:
    ```mlir
    %row = arith.addi %length, %i : index
    vector.store %new, %keys[%sequence, %head, %row, %c0] : memref<?x2x?x16xbf16, 18>, vector<16xbf16>
    ```

    With `report` a remark says how many:
    - `functions`: functions that take cache memory
    - `loads`, `stores`, `prefetches`: accesses in code to cache memory
    - `cross-stores`: stores to cross slots among them
    - `widenings`: operations in code that widen what was read
    - `widest-bytes`: bytes of the largest value that is made by one of them
    - `scratch-bytes`: most bytes of scratch in one of the functions
    - `other-writes`: writes in code to other memory
  }];
  let options = [
    Option<"report", "report", "bool", "false", "says in a remark what was counted">,
  ];
}

def EmitEntryPoints : Pass<"cpu-emit-entry-points", "::mlir::ModuleOp"> {
  let summary = "gives step functions their C signature";
  let description = [{
    A step function is one whose arguments have `kernel.binding` attributes. It
    becomes `void step(void *const *pointers, const int64_t *dims)`: pointers[i]
    is the memory of binding i of the module's `kernel.bindings`, which is the
    union of all step functions' bindings in order of appearance; dims[j] is
    the value of symbol j of `kernel.symbols` (derived from the bindings when
    the module has none). Memory is dense and row-major.

    Pointers are loaded inside the parallel region, at the start or, for the
    arguments of a call, before the call, so that the region captures the two
    tables only and few values are alive at once. A cache's pointer is loaded
    from the table in the cache's address space: there is no cast to follow.
    The region runs with dims["threads"] threads.

    A private function that is called by steps only, with memory of the same
    dims in each call, takes both tables as its last arguments and pointers
    instead of memrefs; memory that is the same in all calls it loads itself.
    So each layer adds the pointers to its weights and caches to the code, and
    nothing else. Other functions stay as they are.

    Before:
    ```mlir
    func.func @graphc_decode(%x: memref<?x8xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens", 8]}},
                             %w0: memref<8xf32> {..}, %w1: memref<8xf32> {..}) {
      omp.parallel {
        func.call @block(%x, %w0) : (memref<?x8xf32>, memref<8xf32>) -> ()
        func.call @block(%x, %w1) : (memref<?x8xf32>, memref<8xf32>) -> ()
    ```
    After:
    ```mlir
    func.func @graphc_decode(%pointers: !llvm.ptr, %dims: !llvm.ptr) {
      %threads = llvm.load %dims : !llvm.ptr -> i64
      omp.parallel num_threads(%threads : i64) {
        %1 = llvm.getelementptr %pointers[1] : !llvm.ptr
        %w0 = llvm.load %1 : !llvm.ptr -> !llvm.ptr
        func.call @block(%w0, %pointers, %dims) : (!llvm.ptr, !llvm.ptr, !llvm.ptr) -> ()
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def LowerTraces : Pass<"cpu-lower-traces", "::mlir::ModuleOp"> {
  let summary = "turns kernel.trace into a call of the hook from thread 0";
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect", "::mlir::arith::ArithDialect",
    "::graphc::kernel::KernelDialect"];
}

def LowerTiles : Pass<"cpu-lower-tiles", "::mlir::ModuleOp"> {
  let summary = "lowers amx and the control flow around it to LLVM";
  let description = [{
    Precondition: no scf. Postcondition: tiles have LLVM's type in operations and
    in block arguments alike; functions without tiles are untouched.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def LowerThreadQueries : Pass<"cpu-lower-thread-queries", "::mlir::ModuleOp"> {
  let summary = "turns kernel.thread_id and kernel.num_threads into calls of the OpenMP runtime";
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::LLVM::LLVMDialect"];
}

def MarkFunctions : Pass<"cpu-mark-functions", "::mlir::ModuleOp"> {
  let summary = "writes visibility and `no_inline` in the form that survives the lowering to LLVM";
  let description = [{
    convert-func-to-llvm drops both. Private functions become internal, so that
    LLVM may drop their unused arguments; `no_inline` becomes `noinline`, without
    which code would grow with depth again.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def VerifyLowered : Pass<"cpu-verify-lowered", "::mlir::ModuleOp"> {
  let summary = "demands that the LLVM and OpenMP dialects alone are left";
  let description = [{
    Stock conversions are partial: what they do not know stays behind a cast and
    the module still verifies. This pass names the first such op.
  }];
}

#endif // GRAPHC_PASSES_CPU
