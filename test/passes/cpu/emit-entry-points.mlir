// RUN: graphc-opt %s --cpu-emit-entry-points | FileCheck %s

// One list of bindings for both phases; a binding of both is listed once.
// CHECK: module attributes {kernel.bindings = [
// CHECK-SAME: {dims = ["tokens"], kind = "input", name = "ids", type = memref<?xi32>}
// CHECK-SAME: {dims = ["batch", 2, "window:48", 16], kind = "cache", name = "keys", type = memref<?x2x?x16xbf16, 18>}
// CHECK-SAME: {dims = ["tokens align 32", 8], kind = "buffer", name = "slot0", type = memref<?x8xf32>}
// CHECK-SAME: {dims = [8], kind = "parameter", name = "w", type = memref<8xbf16>}
// CHECK-SAME: kernel.symbols = ["threads", "tokens", "batch", "rows", "capacity", "window:48"]
func.func private @block(%x: memref<?x8xf32>, %keys: memref<?x2x?x16xbf16, 18>)

// CHECK-LABEL: func.func @graphc_prefill(
// CHECK-SAME: %[[POINTERS:.*]]: !llvm.ptr, %[[DIMS:.*]]: !llvm.ptr) {
func.func @graphc_prefill(%ids: memref<?xi32> {kernel.binding = {kind = "input", name = "ids", dims = ["tokens"]}},
                          %keys: memref<?x2x?x16xbf16, 18> {kernel.binding = {kind = "cache", name = "keys", dims = ["batch", 2, "window:48", 16]}},
                          %x: memref<?x8xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens align 32", 8]}}) {
  // CHECK: %[[THREADS:.*]] = llvm.load %[[DIMS]] invariant : !llvm.ptr -> i64
  // CHECK: omp.parallel num_threads(%[[THREADS]] : i64)
  omp.parallel {
    // A plain use: loaded at the start of the region.
    // CHECK: %[[TOKENS:.*]] = llvm.load {{.*}} invariant : !llvm.ptr -> i64
    // CHECK: builtin.unrealized_conversion_cast {{.*}} to memref<?xi32>
    // CHECK: memref.load
    %c0 = arith.constant 0 : index
    %id = memref.load %ids[%c0] : memref<?xi32>
    memref.store %id, %ids[%c0] : memref<?xi32>
    // Arguments of a call are loaded before it.
    // The cache's pointer comes out of the table in its own address space.
    // CHECK: %[[SLOT:.*]] = llvm.getelementptr inbounds %[[POINTERS]][1] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
    // CHECK: %[[KEYS:.*]] = llvm.load %[[SLOT]] invariant : !llvm.ptr -> !llvm.ptr<18>
    // CHECK: llvm.insertvalue %[[KEYS]]
    // The window's ring is symbol 5.
    // CHECK: llvm.getelementptr inbounds %[[DIMS]][5] : (!llvm.ptr) -> !llvm.ptr, i64
    // CHECK: builtin.unrealized_conversion_cast {{.*}} to memref<?x2x?x16xbf16, 18>
    // The size rounds tokens up to 32.
    // CHECK: %[[C31:.*]] = llvm.mlir.constant(31 : i64) : i64
    // CHECK: %[[SUM:.*]] = llvm.add %{{.*}}, %[[C31]] : i64
    // CHECK: %[[QUOTIENT:.*]] = llvm.udiv %[[SUM]], %{{.*}} : i64
    // CHECK: llvm.mul %[[QUOTIENT]]
    // CHECK: builtin.unrealized_conversion_cast {{.*}} to memref<?x8xf32>
    // CHECK: call @block
    func.call @block(%x, %keys) : (memref<?x8xf32>, memref<?x2x?x16xbf16, 18>) -> ()
    omp.terminator
  }
  return
}

// CHECK-LABEL: func.func @graphc_decode(
// CHECK: llvm.getelementptr inbounds %{{.*}}[3] : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
func.func @graphc_decode(%w: memref<8xbf16> {kernel.binding = {kind = "parameter", name = "w", dims = [8]}},
                         %ids: memref<?xi32> {kernel.binding = {kind = "input", name = "ids", dims = ["tokens"]}}) {
  %c0 = arith.constant 0 : index
  %v = memref.load %w[%c0] : memref<8xbf16>
  memref.store %v, %w[%c0] : memref<8xbf16>
  return
}

// CHECK-LABEL: func.func @leaves_other_functions_alone(
// CHECK-SAME: memref<?xf32>
func.func @leaves_other_functions_alone(%x: memref<?xf32>) {
  return
}
