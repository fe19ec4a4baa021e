// RUN: graphc-opt %s --pass-pipeline='builtin.module(func.func(kernel-plan-memory))' | FileCheck %s

// A chain of three buffers needs two slots of one size; %c reuses %a's. The
// rows of another symbol and of another size have slots of their own.
// CHECK-LABEL: @chain
// CHECK-SAME: %[[X:[^:]*]]: memref<?x8xf32>, %{{[^:]*}}: memref<?xi32>, %[[A:[^:]*]]: memref<?x8xf32> {kernel.binding = {dims = ["tokens", 8], kind = "buffer", name = "slot0", slot = 0 : i64}}
// CHECK-SAME: %[[B:[^:]*]]: memref<?x8xf32> {kernel.binding = {{.*}}slot = 1 : i64}}
// CHECK-SAME: %[[H:[^:]*]]: memref<?x8xf16> {kernel.binding = {{.*}}slot = 2 : i64}}
// CHECK-SAME: %[[R:[^:]*]]: memref<?x8xf32> {kernel.binding = {dims = ["rows", 8]{{.*}}slot = 3 : i64}}
// CHECK-NOT: kernel.buffer
// CHECK: kernel.elementwise ins(%[[X]] {{.*}}outs(%[[A]]
// CHECK: kernel.elementwise ins(%[[A]] {{.*}}outs(%[[B]]
// CHECK: kernel.elementwise ins(%[[B]] {{.*}}outs(%[[A]], %[[H]]
// CHECK: kernel.gather_rows ins(%[[A]], {{.*}}outs(%[[R]]
func.func @chain(%x: memref<?x8xf32>, %ids: memref<?xi32>) {
  %a = kernel.buffer "tokens" : memref<?x8xf32>
  %b = kernel.buffer "tokens" : memref<?x8xf32>
  %c = kernel.buffer "tokens" : memref<?x8xf32>
  %h = kernel.buffer "tokens" : memref<?x8xf16>
  %r = kernel.buffer "rows" : memref<?x8xf32>
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%a : memref<?x8xf32>) attributes {layers = ["a"]} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%a : memref<?x8xf32>) outs(%b : memref<?x8xf32>) attributes {layers = ["b"]} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%b : memref<?x8xf32>) outs(%c, %h : memref<?x8xf32>, memref<?x8xf16>) attributes {layers = ["c"]} {
  ^bb0(%v: f32):
    %0 = arith.truncf %v : f32 to f16
    kernel.yield %v, %0 : f32, f16
  }
  kernel.gather_rows ins(%c, %ids : memref<?x8xf32>, memref<?xi32>) outs(%r : memref<?x8xf32>) {layers = ["wanted_rows"]}
  return
}
