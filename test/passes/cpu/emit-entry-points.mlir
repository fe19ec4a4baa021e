// RUN: graphc-opt %s --cpu-emit-entry-points --split-input-file | FileCheck %s

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

// -----

// A function that only steps call takes the tables, and pointers to what differs from
// call to call; the rest it loads where it is. Sizes are in terms of dims.
// CHECK-LABEL: func.func private @layer(
// CHECK-SAME: %[[THREAD:[^:]*]]: index, %[[W:[^:]*]]: !llvm.ptr, %[[KEYS:[^:]*]]: !llvm.ptr<18>, %[[TABLE:[^:]*]]: !llvm.ptr, %[[SIZES:[^:]*]]: !llvm.ptr) {
func.func private @layer(%thread: index, %x: memref<?x8xf32>, %w: memref<8xf32>, %keys: memref<?x8xbf16, 18>) {
  // CHECK: %[[X:.*]] = llvm.load %[[TABLE]] invariant : !llvm.ptr -> !llvm.ptr
  // CHECK: llvm.insertvalue %[[X]]
  // CHECK: llvm.getelementptr inbounds %[[SIZES]][1]
  // CHECK: %[[ROWS:.*]] = builtin.unrealized_conversion_cast {{.*}} to memref<?x8xf32>
  // CHECK: llvm.insertvalue %[[W]]
  // CHECK: llvm.insertvalue %[[KEYS]]
  // CHECK: memref.load %[[ROWS]]
  %c0 = arith.constant 0 : index
  %a = memref.load %x[%c0, %c0] : memref<?x8xf32>
  memref.store %a, %w[%c0] : memref<8xf32>
  %k = memref.load %keys[%c0, %c0] : memref<?x8xbf16, 18>
  memref.store %k, %keys[%thread, %c0] : memref<?x8xbf16, 18>
  return
}

// Not so what another function calls too.
// CHECK-LABEL: func.func private @shared(
// CHECK-SAME: memref<?x8xf32>)
func.func private @shared(%x: memref<?x8xf32>) {
  return
}
func.func @caller(%x: memref<?x8xf32>) {
  func.call @shared(%x) : (memref<?x8xf32>) -> ()
  return
}

// CHECK-LABEL: func.func @graphc_decode(
// CHECK-SAME: %[[POINTERS:.*]]: !llvm.ptr, %[[DIMS:.*]]: !llvm.ptr)
func.func @graphc_decode(%x: memref<?x8xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens", 8]}},
                         %w0: memref<8xf32> {kernel.binding = {kind = "parameter", name = "w0", dims = [8]}},
                         %w1: memref<8xf32> {kernel.binding = {kind = "parameter", name = "w1", dims = [8]}},
                         %k0: memref<?x8xbf16, 18> {kernel.binding = {kind = "cache", name = "k0", dims = ["capacity", 8]}},
                         %k1: memref<?x8xbf16, 18> {kernel.binding = {kind = "cache", name = "k1", dims = ["capacity", 8]}}) {
  // CHECK: %[[C3:.*]] = arith.constant 3 : index
  %c3 = arith.constant 3 : index
  // CHECK: %[[W0:.*]] = llvm.load
  // CHECK: %[[K0:.*]] = llvm.load {{.*}} -> !llvm.ptr<18>
  // CHECK: call @layer(%[[C3]], %[[W0]], %[[K0]], %[[POINTERS]], %[[DIMS]])
  func.call @layer(%c3, %x, %w0, %k0) : (index, memref<?x8xf32>, memref<8xf32>, memref<?x8xbf16, 18>) -> ()
  // CHECK: llvm.getelementptr inbounds %[[POINTERS]][2]
  // CHECK: %[[W1:.*]] = llvm.load
  // CHECK: call @layer(%[[C3]], %[[W1]], %{{.*}}, %[[POINTERS]], %[[DIMS]])
  func.call @layer(%c3, %x, %w1, %k1) : (index, memref<?x8xf32>, memref<8xf32>, memref<?x8xbf16, 18>) -> ()
  // CHECK: builtin.unrealized_conversion_cast
  // CHECK: call @shared(%{{[^ ]*}}) : (memref<?x8xf32>) -> ()
  func.call @shared(%x) : (memref<?x8xf32>) -> ()
  return
}
