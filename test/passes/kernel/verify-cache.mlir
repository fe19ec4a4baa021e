// Cache memory is followed from the step through calls to the kernels.
// RUN: graphc-opt %s --kernel-verify-cache=report 2>&1 | FileCheck %s

// CHECK: remark: kernel-verify-cache: 4 slots, 4 kernels, 8 updates, 4 calls, 2 buffers
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!values = memref<?x2x?x4xf16, 17>
!rows = memref<?xi32>
module {
  // CHECK-LABEL: func.func private @decoder_block
  func.func private @decoder_block(%x: !x, %v: memref<?x8xf16>, %keys: !keys, %values: !values, %starts: !rows, %lengths: !rows) {
    kernel.cached_attention ins(%x, %x, %v : !x, !x, memref<?x8xf16>)
      cache(%keys, %values at %starts, %lengths : !keys, !values, !rows, !rows) outs(%x : !x)
      {causal, layers = ["self_attention"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
    return
  }
  func.func @graphc_prefill(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "buffer", name = "slot0", slot = 0 : i64}},
      %v: memref<?x8xf16> {kernel.binding = {dims = ["tokens", 8], kind = "buffer", name = "slot1", slot = 1 : i64}},
      %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
      %k0: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
      %v0: !values {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
      %k1: !keys {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "keys"}},
      %v1: !values {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "values"}}) {
    omp.parallel {
      func.call @decoder_block(%x, %v, %k0, %v0, %starts, %lengths) : (!x, memref<?x8xf16>, !keys, !values, !rows, !rows) -> ()
      func.call @decoder_block(%x, %v, %k1, %v1, %starts, %lengths) : (!x, memref<?x8xf16>, !keys, !values, !rows, !rows) -> ()
      omp.terminator
    }
    return
  }
  func.func @graphc_decode(
      %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
      %x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
      %v: memref<?x8xf16> {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "v"}},
      %k1: !keys {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "keys"}},
      %v1: !values {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "values"}},
      %k0: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
      %v0: !values {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
    func.call @decoder_block(%x, %v, %k0, %v0, %starts, %lengths) : (!x, memref<?x8xf16>, !keys, !values, !rows, !rows) -> ()
    func.call @decoder_block(%x, %v, %k1, %v1, %starts, %lengths) : (!x, memref<?x8xf16>, !keys, !values, !rows, !rows) -> ()
    return
  }
}
