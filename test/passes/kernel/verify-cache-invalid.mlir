// Each way to break the contract on kernels.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file --kernel-verify-cache

// A widened copy of the whole cache, hoisted out of attention.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+1 {{from argument 3 of 'graphc_decode': keys of block 0}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %wide: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "wide"}}) {
  // expected-error@+1 {{contract: 'kernel.elementwise' must not touch cache memory}}
  kernel.elementwise ins(%keys : !keys) outs(%wide : memref<?x4xf32>) attributes {layers = ["widen"]} {
  ^bb0(%0: f32):
    kernel.yield %0 : f32
  }
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// An extra copy.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+1 {{from argument 3 of 'graphc_decode': keys of block 0}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %copy: memref<?x2x?x4xbf16> {kernel.binding = {dims = ["tokens", 2, "rows", 4], kind = "output", name = "copy"}}) {
  // expected-error@+1 {{contract: 'memref.copy' must not touch cache memory}}
  memref.copy %keys, %copy : !keys to memref<?x2x?x4xbf16>
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A cache that is allocated again.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %n: index) {
  // expected-note@+3 {{made by 'memref.alloc'}}
  // expected-error@+2 {{contract: 'memref.alloc' must not allocate memory: only buffers of the memory plan may be used}}
  // expected-error@+1 {{contract: cache memory must be an argument of the step, got a result of 'memref.alloc'}}
  %fresh = memref.alloc(%n, %n) : !keys
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%fresh, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A space that holds another dtype than its own.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    // expected-note@-5 {{from argument 5 of 'graphc_decode': keys of block 1}}
    // expected-error@+1 {{contract: cache memory in space 18 must hold bf16, got 'memref<?x2x?x4xf32, 18>'}}
    %wide: memref<?x2x?x4xf32, 18> {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : memref<?x2x?x4xbf16, 18>, memref<?x2x?x4xbf16, 18>, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Cache memory outside its space, where nothing could follow it.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    // expected-error@+1 {{contract: argument 5 of 'graphc_decode' must be bound as cache if and only if it is in the memory space of a dtype, got 'memref<?x2x?x4xbf16>'}}
    %hidden: memref<?x2x?x4xbf16> {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// One memory bound as two slots.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    // expected-error@+1 {{contract: arguments 3 and 5 of 'graphc_decode' are the same memory: keys of block 0}}
    %again: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// One memory updated as two slots.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  // expected-note@+1 {{also updated by 'kernel.cached_attention'}}
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  // expected-error@+2 {{contract: keys of block 0 are updated more than once in 'graphc_decode': two slots are one memory}}
  // expected-error@+1 {{contract: values of block 0 are updated more than once in 'graphc_decode': two slots are one memory}}
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Keys of one slot beside values of another.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+2 {{from argument 4 of 'graphc_decode': values of block 0}}
// expected-note@+1 {{from argument 5 of 'graphc_decode': values of block 1}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %other: !keys {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %more: !keys {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  // expected-error@+1 {{contract: kernel 'kernel.cached_attention' takes values of block 1 as values beside keys of block 0}}
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %other at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  // expected-error@+1 {{contract: kernel 'kernel.cached_attention' takes values of block 0 as values beside keys of block 1}}
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%more, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Keys taken as values.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+2 {{from argument 4 of 'graphc_decode': values of block 0}}
// expected-note@+1 {{from argument 3 of 'graphc_decode': keys of block 0}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  // expected-error@+2 {{contract: kernel 'kernel.cached_attention' takes values of block 0 as keys}}
  // expected-error@+1 {{contract: kernel 'kernel.cached_attention' takes keys of block 0 as values beside values of block 0}}
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%values, %keys at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A slot that a step loses: its new rows are stored nowhere.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-error@+2 {{contract: keys of block 0 are bound in 'graphc_decode', but no kernel updates or reads them}}
// expected-error@+1 {{contract: values of block 0 are bound in 'graphc_decode', but no kernel updates or reads them}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  return
}

// -----

// Memory that is another one after the prefill.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+1 {{'memref<?x2x?x4xbf16, 18>' with ["batch", 2, "capacity", 4] in 'graphc_prefill'}}
func.func @graphc_prefill(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    
    // expected-error@+1 {{contract: keys of block 0 must be the same memory in all steps, got 'memref<?x2x?x4xbf16, 18>' with ["batch", 2, "window:8", 4] in 'graphc_decode'}}
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Scratch of the capacity's size.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-error@+1 {{contract: buffer "slot0" must not grow with the capacity, got dims ["threads", "capacity", 4]}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}},
    %scratch: memref<?x?x4xf32> {kernel.binding = {dims = ["threads", "capacity", 4], kind = "buffer", name = "slot0", slot = 0 : i64}}) {
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Scratch of a ring's size, before the memory plan.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  // expected-error@+1 {{contract: buffer must not grow with the capacity, got "window:8"}}
  %s = kernel.buffer "window:8" : memref<?x4xf32>
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// Code that nobody has seen.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func private @unseen(!keys)
// expected-note@+1 {{from argument 3 of 'graphc_decode': keys of block 0}}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  // expected-error@+1 {{contract: call of 'unseen', whose code is not here, takes cache memory}}
  func.call @unseen(%keys) : (!keys) -> ()
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A block without an end.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func private @block(%x: !x, %starts: !rows, %lengths: !rows, %keys: !keys, %values: !keys) {
  // expected-error@+1 {{contract: recursive call of 'block' takes cache memory}}
  func.call @block(%x, %starts, %lengths, %keys, %values) : (!x, !rows, !rows, !keys, !keys) -> ()
  kernel.cached_attention ins(%x, %x, %x : !x, !x, !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  func.call @block(%x, %starts, %lengths, %keys, %values) : (!x, !rows, !rows, !keys, !keys) -> ()
  return
}

// -----

// A cross slot that no step stores.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "source_lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_values"}}) {
  // expected-error@+1 {{contract: cross_keys of block 0 are read but never updated: new rows are lost}}
  kernel.cached_attention ins(%x : !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A step that stores the cross slot it reads.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
func.func @graphc_decode(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !rows {kernel.binding = {dims = ["batch"], kind = "input", name = "source_lengths"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_values"}}) {
  kernel.cache_store ins(%x, %x : !x, !x) cache(%keys, %values at %starts : !keys, !keys, !rows) {layers = ["a"]}
  // expected-error@+2 {{contract: cross_keys of block 0 are stored in 'graphc_decode', which reads them: a source's rows must not change while a decoder reads them}}
  // expected-error@+1 {{contract: cross_values of block 0 are stored in 'graphc_decode', which reads them}}
  kernel.cached_attention ins(%x : !x) cache(%keys, %values at %starts, %lengths : !keys, !keys, !rows, !rows)
    outs(%x : !x) {layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

// A store of a source's rows into the slot of the decoder's own.
!x = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!rows = memref<?xi32>
// expected-note@+2 {{from argument 2 of 'graphc_encoder': keys of block 0}}
// expected-note@+1 {{from argument 3 of 'graphc_encoder': values of block 0}}
func.func @graphc_encoder(%x: !x {kernel.binding = {dims = ["tokens", 8], kind = "output", name = "x"}},
    %starts: !rows {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "values"}}) {
  // expected-error@+2 {{contract: kernel 'kernel.cache_store' takes keys of block 0 as cross_keys}}
  // expected-error@+1 {{contract: kernel 'kernel.cache_store' takes values of block 0 as cross_values beside keys of block 0}}
  kernel.cache_store ins(%x, %x : !x, !x) cache(%keys, %values at %starts : !keys, !keys, !rows) {layers = ["a"]}
  return
}
