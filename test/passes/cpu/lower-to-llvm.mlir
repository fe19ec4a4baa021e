// RUN: graphc-opt %s --cpu-lower-to-llvm | FileCheck %s

// CHECK-DAG: llvm.func @omp_get_thread_num() -> i32
// CHECK-DAG: llvm.func @omp_get_num_threads() -> i32

// Private functions are internal, and no_inline survives.
// CHECK: llvm.func internal @block(
// CHECK-SAME: passthrough = ["noinline"]
func.func private @block(%x: memref<?x32xf32>, %y: memref<?x32xf32>) attributes {no_inline} {
  %c0 = arith.constant 0 : index
  %c16 = arith.constant 16 : index
  %c32 = arith.constant 32 : index
  %rows = memref.dim %x, %c0 : memref<?x32xf32>
  // CHECK: llvm.call @omp_get_thread_num() : () -> i32
  %id = kernel.thread_id
  // CHECK: llvm.call @omp_get_num_threads() : () -> i32
  %step = kernel.num_threads
  scf.for %row = %id to %rows step %step {
    scf.for %column = %c0 to %c32 step %c16 {
      %v = vector.load %x[%row, %column] : memref<?x32xf32>, vector<16xf32>
      %w = arith.addf %v, %v : vector<16xf32>
      // CHECK: llvm.fadd %{{.*}} : vector<16xf32>
      vector.store %w, %y[%row, %column] : memref<?x32xf32>, vector<16xf32>
    }
  }
  omp.barrier
  return
}

// CHECK: llvm.func @graphc_decode(%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr)
// CHECK-NOT: unrealized_conversion_cast
func.func @graphc_decode(%x: memref<?x32xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens", 32]}},
                         %y: memref<?x32xf32> {kernel.binding = {kind = "output", name = "logits", dims = ["tokens", 32]}}) {
  omp.parallel {
    func.call @block(%x, %y) : (memref<?x32xf32>, memref<?x32xf32>) -> ()
    omp.terminator
  }
  return
}
