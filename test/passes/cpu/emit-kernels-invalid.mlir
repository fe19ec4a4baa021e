// RUN: graphc-opt %s --cpu-emit-kernels=target=x86-64-v3 --verify-diagnostics --split-input-file

func.func @not_outlined(%x: memref<?x8xf32>) {
  // expected-error @+1 {{must be in a function that takes a thread and a number of threads: run cpu-outline-kernels}}
  kernel.elementwise ins(%x : memref<?x8xf32>) outs(%x : memref<?x8xf32>) attributes {layers = ["s"]} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  return
}

// -----

func.func @dynamic_width(%thread: index, %threads: index, %x: memref<?x?xf32>) {
  // expected-error @+1 {{needs static widths, got 'memref<?x?xf32>'}}
  kernel.elementwise ins(%x : memref<?x?xf32>) outs(%x : memref<?x?xf32>) attributes {layers = ["s"]} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  return
}

// -----

func.func @no_tile(%thread: index, %threads: index, %x: memref<?x8xf32>, %w: memref<4x8xf32>, %y: memref<?x4xf32>) {
  // expected-error @+1 {{needs a tile: run cpu-choose-tiles}}
  kernel.matmul ins(%x, %w : memref<?x8xf32>, memref<4x8xf32>) outs(%y : memref<?x4xf32>) attributes {layers = ["s"], phase = #kernel.phase<decode>} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  return
}
