// Tiles come from the table; one that is there already stays.
// RUN: graphc-opt %s --cpu-choose-tiles=target=avx512_bf16 | FileCheck %s
// RUN: not graphc-opt %s --cpu-choose-tiles=target=z80 2>&1 | FileCheck %s --check-prefix=TARGET
// TARGET: error: target must be one of 'x86-64' 'x86-64-v3' 'x86-64-v4' 'avx512_bf16' 'amx_bf16', got 'z80'

func.func @f(%x: memref<?x64xbf16>, %w: memref<77x64xbf16>, %y: memref<?x77xf32>) {
  // CHECK: tile = #kernel.tile<rows = [{{[0-9, ]+}}], cols = {{[0-9]+}}, unroll
  kernel.matmul ins(%x, %w : memref<?x64xbf16>, memref<77x64xbf16>) outs(%y : memref<?x77xf32>) attributes {layers = ["a"], phase = #kernel.phase<decode>} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  // CHECK: tile = #kernel.tile<rows = [3, 1], cols = 12, unroll = 2, block = 24, depth = 32, prefetch = 7>
  kernel.matmul ins(%x, %w : memref<?x64xbf16>, memref<77x64xbf16>) outs(%y : memref<?x77xf32>) attributes {layers = ["a"], phase = #kernel.phase<decode>,
      tile = #kernel.tile<rows = [3, 1], cols = 12, unroll = 2, block = 24, depth = 32, prefetch = 7>} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  return
}
