// RUN: graphc-opt %s --kernel-outline-blocks 2> %t.silent | FileCheck %s
// RUN: count 0 < %t.silent
// RUN: graphc-opt %s --kernel-outline-blocks=report -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// Blocks 0 and 1 differ in names and operands only, and in what stands before
// them; block 2 in its epsilon. The encoder's blocks are another part.
// CHECK: func.func private @decoder_block.0.decode
// CHECK: layers = ["norm"]
// CHECK: func.func private @decoder_block.1.decode
// CHECK: func.func @graphc_decode
// CHECK: call @decoder_block.0.decode(%arg0, %arg1, %arg3) {layer.path = "layers.0"}
// CHECK: omp.barrier
// CHECK: call @decoder_block.0.decode(%arg3, %arg2, %arg0) {layer.path = "layers.1"}
// CHECK: call @decoder_block.1.decode({{.*}}) {layer.path = "layers.2"}
// CHECK: call @decoder_block.2.decode({{.*}}) {layer.path = "encoder.layers.0"}
// REMARK-NOT: encoder
// REMARK: remark: kernel-outline-blocks layers.2: shares code with no block before it; first difference from the last one: {{.*}}epsilon = 9.9999999999999995E-7
func.func @graphc_decode(%x: memref<?x8xf32>, %s0: memref<8xf32>, %s1: memref<8xf32>, %y: memref<?x8xf32>) attributes {kernel.phase = #kernel.phase<decode>} {
  omp.parallel {
    kernel.rms_norm ins(%x, %s0 : memref<?x8xf32>, memref<8xf32>) outs(%y : memref<?x8xf32>) attributes {kernel.block = "layers.0", layers = ["layers.0.norm"], epsilon = 1.0e-5, shift = 0.0} {
    ^bb0(%v: f32):
      kernel.yield %v : f32
    }
    omp.barrier {kernel.block = "layers.1"}
    kernel.rms_norm ins(%y, %s1 : memref<?x8xf32>, memref<8xf32>) outs(%x : memref<?x8xf32>) attributes {kernel.block = "layers.1", layers = ["layers.1.norm"], epsilon = 1.0e-5, shift = 0.0} {
    ^bb0(%v: f32):
      kernel.yield %v : f32
    }
    kernel.rms_norm ins(%x, %s1 : memref<?x8xf32>, memref<8xf32>) outs(%y : memref<?x8xf32>) attributes {kernel.block = "layers.2", layers = ["layers.2.norm"], epsilon = 1.0e-6, shift = 0.0} {
    ^bb0(%v: f32):
      kernel.yield %v : f32
    }
    kernel.rms_norm ins(%x, %s1 : memref<?x8xf32>, memref<8xf32>) outs(%y : memref<?x8xf32>) attributes {kernel.block = "encoder.layers.0", layers = ["encoder.layers.0.norm"], epsilon = 1.0e-3, shift = 0.0} {
    ^bb0(%v: f32):
      kernel.yield %v : f32
    }
    omp.terminator
  }
  return
}
