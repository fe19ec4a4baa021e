// Kernels become vector loops of the target; nothing is allocated.
// RUN: graphc-opt %s --cpu-choose-tiles=target=avx512_bf16 --cpu-emit-kernels=target=avx512_bf16 | FileCheck %s --check-prefixes=CHECK,DOT --implicit-check-not=memref.alloc( --implicit-check-not='kernel.{{[a-z]}}'
// RUN: graphc-opt %s --cpu-choose-tiles=target=x86-64-v3 --cpu-emit-kernels=target=x86-64-v3 | FileCheck %s --check-prefixes=CHECK,FMA --implicit-check-not=memref.alloc( --implicit-check-not=avx512
// RUN: graphc-opt %s --cpu-choose-tiles=target=x86-64 --cpu-emit-kernels=target=x86-64 | FileCheck %s --check-prefixes=CHECK,PLAIN --implicit-check-not=memref.alloc( --implicit-check-not=fma

// CHECK-LABEL: func.func @dot
// One accumulator for each element, and K in order.
// DOT: scf.for {{.*}} iter_args
// DOT: vector.load %{{.*}} : memref<128x64xbf16>, vector<32xbf16>
// DOT: x86vector.avx512.dot
// FMA: arith.extf %{{.*}} : vector<8xbf16> to vector<8xf32>
// FMA: math.fma %{{.*}} : vector<8xf32>
// PLAIN: arith.mulf %{{.*}} : vector<4xf32>
// PLAIN: arith.addf %{{.*}} : vector<4xf32>
// CHECK-NOT: maskedload
// CHECK: return
func.func @dot(%thread: index, %threads: index, %x: memref<?x64xbf16>, %w: memref<128x64xbf16>, %y: memref<?x128xbf16>) {
  kernel.matmul ins(%x, %w : memref<?x64xbf16>, memref<128x64xbf16>) outs(%y : memref<?x128xbf16>)
      attributes {layers = ["o"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    %0 = arith.truncf %acc : f32 to bf16
    kernel.yield %0 : bf16
  }
  return
}

// What is left of K and of N is masked, in loads and in stores.
// CHECK-LABEL: func.func @tails
// DOT: vector.constant_mask [20] : vector<32xi1>
// DOT: vector.maskedload %{{.*}} : memref<77x20xbf16>, vector<32xi1>, vector<32xbf16> into vector<32xbf16>
// FMA: vector.constant_mask [4] : vector<8xi1>
// CHECK: vector.maskedload %{{.*}} : memref<77xbf16>
// CHECK: vector.maskedstore %{{.*}} : memref<?x77xbf16>
func.func @tails(%thread: index, %threads: index, %x: memref<?x20xbf16>, %w: memref<77x20xbf16>, %b: memref<77xbf16>, %y: memref<?x77xbf16>) {
  kernel.matmul ins(%x, %w : memref<?x20xbf16>, memref<77x20xbf16>) fused(%b : memref<77xbf16>) outs(%y : memref<?x77xbf16>)
      attributes {layers = ["o"], phase = #kernel.phase<decode>} {
  ^bb0(%acc: f32, %bias: bf16):
    %0 = arith.extf %bias : bf16 to f32
    %1 = arith.addf %acc, %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    kernel.yield %2 : bf16
  }
  return
}

// The epilogue's ops stand on vectors; constants become splats.
// CHECK-LABEL: func.func @silu
// CHECK: arith.constant dense<1.000000e+00> : vector<[[LANES:.*]]xf32>
// CHECK: math.exp %{{.*}} : vector<[[LANES]]xf32>
// CHECK: arith.divf %{{.*}} : vector<[[LANES]]xf32>
func.func @silu(%thread: index, %threads: index, %x: memref<?x4096xf32>, %y: memref<?x4096xf32>) {
  kernel.elementwise ins(%x : memref<?x4096xf32>) outs(%y : memref<?x4096xf32>) attributes {layers = ["a"]} {
  ^bb0(%0: f32):
    %one = arith.constant 1.0 : f32
    %1 = arith.negf %0 : f32
    %2 = math.exp %1 : f32
    %3 = arith.addf %one, %2 : f32
    %4 = arith.divf %0, %3 : f32
    kernel.yield %4 : f32
  }
  return
}

// New rows are moved by vectors of a power of two elements: LLVM cannot store 9 of
// bf16 where it has vectors of them.
// CHECK-LABEL: func.func @odd_rows
// DOT: %[[ROW:.*]] = vector.load %{{.*}} : memref<?x9xbf16>, vector<8xbf16>
// DOT: vector.store %[[ROW]], %{{.*}} : memref<?x1x?x9xbf16, 18>, vector<8xbf16>
// CHECK: %[[LAST:.*]] = vector.load %{{.*}} : memref<?x9xbf16>, vector<1xbf16>
// CHECK: vector.store %[[LAST]], %{{.*}} : memref<?x1x?x9xbf16, 18>, vector<1xbf16>
// CHECK-NOT: vector<9xbf16>
func.func @odd_rows(%thread: index, %threads: index, %q: memref<?x9xf16>, %k: memref<?x9xbf16>, %keys: memref<?x1x?x9xbf16, 18>, %values: memref<?x1x?x9xbf16, 18>, %rows: memref<?xi32>, %y: memref<?x9xf16>) {
  kernel.cached_attention ins(%q, %k, %k : memref<?x9xf16>, memref<?x9xbf16>, memref<?x9xbf16>)
    cache(%keys, %values at %rows, %rows : memref<?x1x?x9xbf16, 18>, memref<?x1x?x9xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%y : memref<?x9xf16>)
    {causal, layers = ["self_attention"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// With scratch threads share out segments of keys and meet before they join them. While
// scores are formed values are fetched, then keys; bf16 is widened in pairs.
// CHECK-LABEL: func.func @segments
// CHECK-SAME: %[[KEYS:arg[0-9]+]]: memref<?x2x?x16xbf16, 18>, %[[VALUES:arg[0-9]+]]: memref<?x2x?x16xbf16, 18>, %{{.*}}: memref<?xi32>, %[[SUMS:arg[0-9]+]]: memref<?x2048xf32>
// CHECK: memref.prefetch %[[VALUES]]
// CHECK: %[[K:.*]] = vector.{{load|maskedload}} %[[KEYS]]
// CHECK: vector.bitcast %[[K]] : vector<{{.*}}xbf16> to vector<{{.*}}xi32>
// CHECK: memref.prefetch %[[KEYS]]
// CHECK: vector.{{load|maskedload}} %[[VALUES]]
// CHECK: vector.store %{{.*}}, %[[SUMS]]
// CHECK: omp.barrier
// CHECK: vector.load %[[SUMS]]
// CHECK-NOT: omp.barrier
// CHECK: return
func.func @segments(%thread: index, %threads: index, %q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %keys: memref<?x2x?x16xbf16, 18>, %values: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %sums: memref<?x2048xf32>, %each: memref<?x64xf32>, %o: memref<?x64xbf16>) {
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%keys, %values at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) scratch(%sums, %each, %each : memref<?x2048xf32>, memref<?x64xf32>, memref<?x64xf32>) {scale = 0.25, causal, phase = #kernel.phase<decode>, layers = ["self_attention"]}
  return
}
