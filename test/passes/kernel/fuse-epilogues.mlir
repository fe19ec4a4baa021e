// RUN: graphc-opt %s --pass-pipeline='builtin.module(func.func(kernel-fuse-epilogues))' | FileCheck %s
// RUN: graphc-opt %s --pass-pipeline='builtin.module(func.func(kernel-fuse-epilogues,kernel-fuse-epilogues))' | FileCheck %s

// CHECK-LABEL: @residual_joins_the_product
// CHECK-SAME: %[[X:.*]]: memref<?x8xbf16>, %[[W:.*]]: memref<8x8xbf16>, %[[R:.*]]: memref<?x8xbf16>, %[[Y:.*]]: memref<?x8xbf16>
// CHECK-NOT: kernel.buffer
// CHECK: kernel.matmul ins(%[[X]], %[[W]] : {{.*}}) fused(%[[R]] : memref<?x8xbf16>) outs(%[[Y]] : memref<?x8xbf16>) attributes {layers = ["o", "residual"]
// CHECK-NEXT: ^bb0(%[[ACC:.*]]: f32, %[[RES:.*]]: bf16):
// CHECK-NEXT: %[[A:.*]] = arith.truncf %[[ACC]] : f32 to bf16
// CHECK-NEXT: %[[B:.*]] = arith.extf %[[RES]]
// CHECK-NEXT: %[[C:.*]] = arith.extf %[[A]]
// CHECK-NEXT: %[[D:.*]] = arith.addf %[[B]], %[[C]]
// CHECK-NEXT: %[[E:.*]] = arith.truncf %[[D]]
// CHECK-NEXT: kernel.yield %[[E]] : bf16
// CHECK-NOT: kernel.elementwise
func.func @residual_joins_the_product(%x: memref<?x8xbf16>, %w: memref<8x8xbf16>, %r: memref<?x8xbf16>, %y: memref<?x8xbf16>) {
  %o = kernel.buffer "tokens" : memref<?x8xbf16>
  kernel.matmul ins(%x, %w : memref<?x8xbf16>, memref<8x8xbf16>) outs(%o : memref<?x8xbf16>) attributes {layers = ["o"], phase = #kernel.phase<decode>} {
  ^bb0(%acc: f32):
    %0 = arith.truncf %acc : f32 to bf16
    kernel.yield %0 : bf16
  }
  kernel.elementwise ins(%r : memref<?x8xbf16>) fused(%o : memref<?x8xbf16>) outs(%y : memref<?x8xbf16>) attributes {layers = ["residual"]} {
  ^bb0(%a: f32, %b: bf16):
    %0 = arith.extf %b : bf16 to f32
    %1 = arith.addf %a, %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    kernel.yield %2 : bf16
  }
  return
}

// A producer that others read keeps its destination and writes both.
// CHECK-LABEL: @keeps_what_others_read
// CHECK: %[[N:.*]] = kernel.buffer "tokens" : memref<?x8xf32>
// CHECK: kernel.rms_norm {{.*}} outs(%[[N]], %{{.*}} : memref<?x8xf32>, memref<?x8xbf16>)
// CHECK: kernel.yield %{{.*}}, %{{.*}} : f32, bf16
// CHECK: kernel.elementwise ins(%[[N]]
func.func @keeps_what_others_read(%x: memref<?x8xf32>, %s: memref<8xf32>, %y: memref<?x8xbf16>, %z: memref<?x8xf32>, %q: memref<?x8xf32>, %ks: memref<?x1x?x8xf32, 16>, %st: memref<?xi32>) {
  %n = kernel.buffer "tokens" : memref<?x8xf32>
  kernel.rms_norm ins(%x, %s : memref<?x8xf32>, memref<8xf32>) outs(%n : memref<?x8xf32>) attributes {layers = ["norm"], epsilon = 1.0e-5, shift = 0.0} {
  ^bb0(%v: f32):
    kernel.yield %v : f32
  }
  kernel.elementwise ins(%n : memref<?x8xf32>) outs(%y : memref<?x8xbf16>) attributes {layers = ["cast"]} {
  ^bb0(%a: f32):
    %0 = arith.truncf %a : f32 to bf16
    kernel.yield %0 : bf16
  }
  kernel.cached_attention ins(%q, %q, %q : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) cache(%ks, %ks at %st, %st : memref<?x1x?x8xf32, 16>, memref<?x1x?x8xf32, 16>, memref<?xi32>, memref<?xi32>) outs(%z : memref<?x8xf32>) {layers = ["attention"], phase = #kernel.phase<decode>, scale = 1.0}
  kernel.elementwise ins(%n : memref<?x8xf32>) fused(%z : memref<?x8xf32>) outs(%q : memref<?x8xf32>) attributes {layers = ["add"]} {
  ^bb0(%a: f32, %b: f32):
    %0 = arith.addf %a, %b : f32
    kernel.yield %0 : f32
  }
  return
}

// Attention has no epilogue: the cast behind it stays a kernel.
// CHECK-LABEL: @attention_has_no_epilogue
// CHECK: kernel.cached_attention
// CHECK: kernel.elementwise
func.func @attention_has_no_epilogue(%q: memref<?x8xf32>, %ks: memref<?x1x?x8xf32, 16>, %st: memref<?xi32>, %y: memref<?x8xbf16>) {
  %z = kernel.buffer "tokens" : memref<?x8xf32>
  kernel.cached_attention ins(%q, %q, %q : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>) cache(%ks, %ks at %st, %st : memref<?x1x?x8xf32, 16>, memref<?x1x?x8xf32, 16>, memref<?xi32>, memref<?xi32>) outs(%z : memref<?x8xf32>) {layers = ["attention"], phase = #kernel.phase<decode>, scale = 1.0}
  kernel.elementwise ins(%z : memref<?x8xf32>) outs(%y : memref<?x8xbf16>) attributes {layers = ["cast"]} {
  ^bb0(%a: f32):
    %0 = arith.truncf %a : f32 to bf16
    kernel.yield %0 : bf16
  }
  return
}
