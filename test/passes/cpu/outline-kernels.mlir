// Kernels become calls that are passed the thread, and equal ones share code.
// RUN: graphc-opt %s --cpu-outline-kernels --split-input-file | FileCheck %s

!x = memref<?x8xf32>

// CHECK-LABEL: func.func private @block
// CHECK-SAME: (%[[ID:.*]]: index, %[[N:.*]]: index, %[[X:.*]]: memref<?x8xf32>, %[[Y:.*]]: memref<?x8xf32>)
func.func private @block(%x: !x, %y: !x) attributes {no_inline} {
  // CHECK: call @ffn.scale(%[[ID]], %[[N]], %[[X]], %[[Y]]) {kernel.layers = ["ffn.scale"]}
  kernel.elementwise ins(%x : !x) outs(%y : !x) attributes {layers = ["ffn.scale"]} {
  ^bb0(%0: f32):
    %two = arith.constant 2.0 : f32
    %1 = arith.mulf %0, %two : f32
    kernel.yield %1 : f32
  }
  return
}

// CHECK-LABEL: func.func @step
// CHECK-SAME: (%[[X:.*]]: memref<?x8xf32>, %[[Y:.*]]: memref<?x8xf32>)
func.func @step(%x: !x, %y: !x) {
  // CHECK: omp.parallel {
  // CHECK-NEXT: %[[ID:.*]] = kernel.thread_id
  // CHECK-NEXT: %[[N:.*]] = kernel.num_threads
  omp.parallel {
    // CHECK-NEXT: call @block(%[[ID]], %[[N]], %[[X]], %[[Y]])
    func.call @block(%x, %y) : (!x, !x) -> ()
    omp.barrier
    // The same kernel under another name.
    // CHECK: call @ffn.scale(%[[ID]], %[[N]], %[[Y]], %[[X]]) {kernel.layers = ["scale"]}
    kernel.elementwise ins(%y : !x) outs(%x : !x) attributes {layers = ["scale"]} {
    ^bb0(%0: f32):
      %two = arith.constant 2.0 : f32
      %1 = arith.mulf %0, %two : f32
      kernel.yield %1 : f32
    }
    omp.barrier
    // Another constant, from outside of the epilogue: another kernel.
    // CHECK: call @scale(%[[ID]], %[[N]], %[[X]], %[[X]])
    %three = arith.constant 3.0 : f32
    kernel.elementwise ins(%x : !x) outs(%x : !x) attributes {layers = ["scale"]} {
    ^bb0(%0: f32):
      %1 = arith.mulf %0, %three : f32
      kernel.yield %1 : f32
    }
    omp.terminator
  }
  return
}
// CHECK-LABEL: func.func private @ffn.scale
// CHECK-SAME: (%{{.*}}: index, %{{.*}}: index, %[[X:.*]]: memref<?x8xf32>, %[[Y:.*]]: memref<?x8xf32>) attributes {no_inline}
// CHECK-NEXT: kernel.elementwise ins(%[[X]] : {{.*}}) outs(%[[Y]] : {{.*}}) attributes {layers = ["ffn.scale"]}
// CHECK-LABEL: func.func private @scale
// CHECK: arith.constant 3.0

// -----

// A function that nobody calls keeps its signature.
// CHECK-LABEL: func.func private @not_called
// CHECK-SAME: (%[[X:.*]]: memref<?x8xf32>)
// CHECK-NEXT: %[[ID:.*]] = kernel.thread_id
// CHECK-NEXT: %[[N:.*]] = kernel.num_threads
// CHECK-NEXT: call @s(%[[ID]], %[[N]], %[[X]], %[[X]])
func.func private @not_called(%x: memref<?x8xf32>) {
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%x : memref<?x8xf32>) attributes {layers = ["s"]} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  return
}

// -----

// Without kernels nothing changes.
// CHECK-LABEL: func.func @leaves_other_functions_alone(%{{[^,]*}}: index)
// CHECK-NEXT: return
func.func @leaves_other_functions_alone(%i: index) {
  return
}
