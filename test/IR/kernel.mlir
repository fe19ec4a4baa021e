// The kernel dialect's text is a fixed point of the printer.
// RUN: graphc-opt %s | graphc-opt | FileCheck %s

// CHECK-LABEL: func.func @matmul
func.func @matmul(%x: memref<?x64xbf16>, %w: memref<128x64xbf16>, %b: memref<128xbf16>, %r: memref<?x128xbf16>, %y: memref<?x128xbf16>) {
  // CHECK: kernel.matmul ins(%{{.*}}, %{{.*}} : memref<?x64xbf16>, memref<128x64xbf16>) fused(%{{.*}}, %{{.*}} : memref<128xbf16>, memref<?x128xbf16>) outs(%{{.*}} : memref<?x128xbf16>) attributes {layers = ["o", "residual"], phase = #kernel.phase<decode>, tile = #kernel.tile<rows = [6, 1], cols = 4, unroll = 1, block = 128, depth = 0, prefetch = 2048>}
  kernel.matmul ins(%x, %w : memref<?x64xbf16>, memref<128x64xbf16>) fused(%b, %r : memref<128xbf16>, memref<?x128xbf16>)
      outs(%y : memref<?x128xbf16>) attributes {layers = ["o", "residual"], phase = #kernel.phase<decode>, tile = #kernel.tile<rows = [6, 1], cols = 4, unroll = 1, block = 128, depth = 0, prefetch = 2048>} {
  ^bb0(%acc: f32, %bias: bf16, %res: bf16):
    %0 = arith.extf %bias : bf16 to f32
    %1 = arith.addf %acc, %0 : f32
    %2 = arith.truncf %1 : f32 to bf16
    %3 = arith.extf %2 : bf16 to f32
    %4 = arith.extf %res : bf16 to f32
    %5 = arith.addf %3, %4 : f32
    %6 = arith.truncf %5 : f32 to bf16
    kernel.yield %6 : bf16
  }
  return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %v: memref<?x32xf16>, %ks: memref<?x2x?x16xbf16, 18>, %vs: memref<?x2x?x16xf16, 17>, %starts: memref<?xi32>, %lengths: memref<?xi32>, %o: memref<?x64xbf16>) {
  // CHECK: kernel.cached_attention
  kernel.cached_attention ins(%q, %k, %v : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xf16>) cache(%ks, %vs at %starts, %lengths : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xf16, 17>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) {scale = 0.25, causal, phase = #kernel.phase<decode>, layers = ["self_attention"]}
  return
}

// CHECK-LABEL: func.func @attention_with_weights
func.func @attention_with_weights(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %starts: memref<?xi32>, %lengths: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xf32>) {
  // CHECK: kernel.cached_attention {{.*}} outs(%{{.*}} : memref<?x64xbf16>) weights(%{{.*}} : memref<?x4x?xf32>) {
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %starts, %lengths : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xf32>) {scale = 0.25, causal, phase = #kernel.phase<decode>, layers = ["self_attention"]}
  return
}

// CHECK-LABEL: func.func @segments
func.func @segments(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %sums: memref<?x2048xf32>, %each: memref<?x64xf32>) {
  // CHECK: kernel.cached_attention {{.*}} scratch(%{{.*}}, %{{.*}}, %{{.*}} : memref<?x2048xf32>, memref<?x64xf32>, memref<?x64xf32>)
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) scratch(%sums, %each, %each : memref<?x2048xf32>, memref<?x64xf32>, memref<?x64xf32>) {scale = 0.25, causal, phase = #kernel.phase<decode>, layers = ["self_attention"]}
  return
}

// CHECK-LABEL: func.func @eight_bits
func.func @eight_bits(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xi8, 22>, %vs: memref<?x2x?x16xf8E4M3FN, 23>, %kscales: memref<?x2x?xf32, 32>, %vscales: memref<?x2x?xf32, 32>, %starts: memref<?xi32>, %lengths: memref<?xi32>, %o: memref<?x64xbf16>) {
  // CHECK: kernel.cached_attention {{.*}} key_scales(%{{.*}} : memref<?x2x?xf32, 32>) value_scales(%{{.*}} : memref<?x2x?xf32, 32>) outs(
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %vs at %starts, %lengths : memref<?x2x?x16xi8, 22>, memref<?x2x?x16xf8E4M3FN, 23>, memref<?xi32>, memref<?xi32>) key_scales(%kscales : memref<?x2x?xf32, 32>) value_scales(%vscales : memref<?x2x?xf32, 32>) outs(%o : memref<?x64xbf16>) {scale = 0.25, causal, phase = #kernel.phase<decode>, layers = ["self_attention"]}
  return
}

// A cross slot is read only, and written by an op of its own; rows need no cache.
// CHECK-LABEL: func.func @other_attentions
func.func @other_attentions(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %v: memref<?x32xf16>, %r: memref<?x64xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %vs: memref<?x2x?x16xf16, 17>, %starts: memref<?xi32>, %lengths: memref<?xi32>, %t: memref<8x4xbf16>, %o: memref<?x64xbf16>) {
  // CHECK: kernel.cache_store ins(%{{.*}}, %{{.*}} : memref<?x32xbf16>, memref<?x32xf16>) cache(%{{.*}}, %{{.*}} at %{{.*}} : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xf16, 17>, memref<?xi32>) {layers = ["cross_attention"]}
  kernel.cache_store ins(%k, %v : memref<?x32xbf16>, memref<?x32xf16>) cache(%ks, %vs at %starts : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xf16, 17>, memref<?xi32>) {layers = ["cross_attention"]}
  // CHECK: kernel.cached_attention ins(%{{.*}} : memref<?x64xbf16>) cache(
  kernel.cached_attention ins(%q : memref<?x64xbf16>) cache(%ks, %vs at %starts, %lengths : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xf16, 17>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["cross_attention"]}
  // CHECK: kernel.attention ins(%{{.*}}, %{{.*}}, %{{.*}} at %{{.*}} : memref<?x64xbf16>, memref<?x64xbf16>, memref<?x64xbf16>, memref<?xi32>) bias(%{{.*}} : memref<8x4xbf16>) outs(
  kernel.attention ins(%q, %r, %r at %starts : memref<?x64xbf16>, memref<?x64xbf16>, memref<?x64xbf16>, memref<?xi32>) bias(%t : memref<8x4xbf16>) outs(%o : memref<?x64xbf16>) {head_dim = 16, scale = 1.0, max_distance = 20, bidirectional, phase = #kernel.phase<prefill>, layers = ["self_attention"]}
  return
}
