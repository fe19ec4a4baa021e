// The encoder stores a cross slot; the decoder's steps read it.
// RUN: graphc-opt %s --kernel-verify-cache=report 2>&1 | FileCheck %s

// CHECK: remark: kernel-verify-cache: 2 slots, 3 kernels, 2 updates, 1 buffers
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!values = memref<?x2x?x4xf16, 17>
!rows = memref<?xi32>
module {
  // CHECK-LABEL: func.func @graphc_encoder
  func.func @graphc_encoder(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "buffer", name = "slot0", slot = 0 : i64}},
      %v: memref<?x8xf16> {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "v"}},
      %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}},
      %values: !values {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_values"}}) {
    kernel.cache_store ins(%x, %v : !x, memref<?x8xf16>) cache(%keys, %values at %starts : !keys, !values, !rows) {layers = ["a"]}
    return
  }
  func.func @graphc_prefill(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
      %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "source_lengths"}},
      %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}},
      %values: !values {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_values"}}) {
    kernel.cached_attention ins(%x : !x) cache(%keys, %values at %starts, %lengths : !keys, !values, !rows, !rows)
      outs(%x : !x) {layers = ["a"], phase = #kernel.phase<prefill>, scale = 0.5 : f64}
    return
  }
  func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
      %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "source_lengths"}},
      %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}},
      %values: !values {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_values"}}) {
    kernel.cached_attention ins(%x : !x) cache(%keys, %values at %starts, %lengths : !keys, !values, !rows, !rows)
      outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
    return
  }
}
