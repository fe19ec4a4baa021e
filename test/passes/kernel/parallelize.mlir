// RUN: graphc-opt %s --pass-pipeline='builtin.module(func.func(kernel-parallelize))' | FileCheck %s
// RUN: graphc-opt %s --pass-pipeline='builtin.module(func.func(kernel-parallelize,kernel-parallelize))' | FileCheck %s

// Two kernels that read one buffer run side by side; their reader waits, and so
// does the next writer of what they read (one slot, two types).
// CHECK-LABEL: @waits_for_writers_and_readers
// CHECK: omp.parallel
// CHECK-NOT: omp.barrier
// CHECK: layers = ["left"]
// CHECK-NOT: omp.barrier
// CHECK: layers = ["right"]
// CHECK: omp.barrier
// CHECK: layers = ["sum"]
// CHECK-NOT: omp.barrier
// CHECK: layers = ["elsewhere"]
// CHECK: omp.barrier
// CHECK: layers = ["reuse"]
// CHECK-NOT: omp.barrier
// CHECK: omp.terminator
// CHECK-NOT: omp.parallel
func.func @waits_for_writers_and_readers(%x: memref<?x8xf32>, %a: memref<?x8xf32> {kernel.binding = {slot = 0}}, %b: memref<?x8xf32> {kernel.binding = {slot = 1}},
    %c: memref<?x8xf32> {kernel.binding = {slot = 2}}, %d: memref<?x8xf32> {kernel.binding = {slot = 3}}, %again: memref<?x8xbf16> {kernel.binding = {slot = 0}}) {
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%a : memref<?x8xf32>) attributes {layers = ["left"]} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%b : memref<?x8xf32>) attributes {layers = ["right"]} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%a : memref<?x8xf32>) fused(%b : memref<?x8xf32>) outs(%c : memref<?x8xf32>) attributes {layers = ["sum"]} {
  ^bb0(%v: f32, %w: f32):
    %0 = arith.addf %v, %w : f32
    kernel.yield %0 : f32
  }
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%d : memref<?x8xf32>) attributes {layers = ["elsewhere"]} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%again : memref<?x8xbf16>) attributes {layers = ["reuse"]} {
  ^bb0(%v: f32):
    %0 = arith.truncf %v : f32 to bf16
    kernel.yield %0 : bf16
  }
  return
}
