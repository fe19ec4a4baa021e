// Each way to break the contract in vector code, stores to other rows apart.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file --cpu-verify-cache

// A widened copy of the whole cache, hoisted out of attention.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  %capacity = memref.dim %keys, %c2 : !keys
  // expected-error@+2 {{contract: 'memref.alloc' must not allocate memory: only fixed scratch on the stack may be used}}
  // expected-note@+1 {{made by 'memref.alloc'}}
  %wide = memref.alloc(%capacity) : memref<?x4xf32>
  scf.for %row = %c0 to %capacity step %c1 {
    %k = vector.load %keys[%c0, %c0, %row, %c0] : !keys, vector<4xbf16>
    %f = arith.extf %k : vector<4xbf16> to vector<4xf32>
  // expected-error@+1 {{contract: 'vector.store' must write to a buffer, an output, scratch or the cache, got memory of another kind}}
    vector.store %f, %wide[%row, %c0] : memref<?x4xf32>, vector<4xf32>
  }
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// The whole cache in one value.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+2 {{contract: 'arith.extf' widens 524288 bytes of the cache at once, expected at most 262144}}
  %k = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<131072xbf16>
  %f = arith.extf %k : vector<131072xbf16> to vector<131072xf32>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// An extra copy.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+2 {{from argument 1 of 'kernel'}}
// expected-note@+1 {{from argument 5 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>, %copy: memref<?x2x?x4xbf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+2 {{contract: 'memref.copy' must not touch cache memory}}
  // expected-error@+1 {{contract: 'memref.copy' must write to a buffer, an output, scratch or the cache, got memory of another kind}}
  memref.copy %keys, %copy : !keys to memref<?x2x?x4xbf16>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}, %copy: memref<?x2x?x4xbf16>) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out, %copy) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>, memref<?x2x?x4xbf16>) -> ()
  return
}

// -----

// A cache that is allocated again.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+3 {{contract: cache memory must be an argument or a part of one, got a result of 'memref.alloc'}}
  // expected-note@+2 {{made by 'memref.alloc'}}
  // expected-error@+1 {{contract: 'memref.alloc' must not allocate memory: only fixed scratch on the stack may be used}}
  %fresh = memref.alloc(%batch, %batch) : !keys
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Rows of another dtype in the space of bf16.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 5 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>,
    // expected-error@+1 {{contract: cache memory in space 18 must hold bf16, got 'memref<?x2x?x4xf32, 18>'}}
    %f32: memref<?x2x?x4xf32, 18>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  scf.for %s = %c0 to %batch step %c1 {
    %s1 = arith.addi %s, %c1 : index
    %first32 = memref.load %starts[%s] : !ids
    %first = arith.index_cast %first32 : i32 to index
    %end32 = memref.load %starts[%s1] : !ids
    %end = arith.index_cast %end32 : i32 to index
    %length32 = memref.load %lengths[%s] : !ids
    %length = arith.index_cast %length32 : i32 to index
    scf.for %t = %first to %end step %c1 {
      %i = arith.subi %t, %first : index
      %row = arith.addi %length, %i : index
      %wide = arith.extf %new : vector<4xbf16> to vector<4xf32>
      vector.store %wide, %f32[%s, %c0, %row, %c0] : memref<?x2x?x4xf32, 18>, vector<4xf32>
    }
  }
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
    // expected-note@-5 {{from argument 4 of 'graphc_decode': keys of block 1}}
    // expected-error@+1 {{contract: cache memory in space 18 must hold bf16, got 'memref<?x2x?x4xf32, 18>'}}
    %f32: memref<?x2x?x4xf32, 18> {kernel.binding = {block = 1 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out, %f32) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>, memref<?x2x?x4xf32, 18>) -> ()
  return
}

// -----

// Another address space.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+1 {{contract: 'memref.memory_space_cast' must not touch cache memory}}
  %plain = memref.memory_space_cast %keys : !keys to memref<?x2x?x4xbf16>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Into the space from outside.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 5 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>, %other: memref<?x2x?x4xbf16>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+2 {{contract: cache memory must be an argument or a part of one, got a result of 'memref.memory_space_cast'}}
  // expected-note@+1 {{through 'memref.memory_space_cast'}}
  %inside = memref.memory_space_cast %other : memref<?x2x?x4xbf16> to !keys
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}, %other: memref<?x2x?x4xbf16>) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out, %other) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>, memref<?x2x?x4xbf16>) -> ()
  return
}

// -----

// Other bytes of the same memory.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+3 {{contract: 'memref.reinterpret_cast' must not touch cache memory}}
  // expected-error@+2 {{contract: cache memory must be an argument or a part of one, got a result of 'memref.reinterpret_cast'}}
  // expected-note@+1 {{through 'memref.reinterpret_cast'}}
  %flat = memref.reinterpret_cast %keys to offset: [0], sizes: [64], strides: [1] : !keys to memref<64xbf16, 18>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// A pointer through an integer.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+1 {{contract: 'memref.extract_aligned_pointer_as_index' must not touch cache memory}}
  %address = memref.extract_aligned_pointer_as_index %keys : !keys -> index
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Scratch of the capacity's size.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  %capacity = memref.dim %keys, %c2 : !keys
  // expected-error@+1 {{contract: scratch must have a fixed size, got 'memref<?x4xf32>'}}
  %scratch = memref.alloca(%capacity) : memref<?x4xf32>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// More scratch than a cache may have beside it.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-error@+1 {{contract: function 'kernel' reads a cache and has 266240 bytes of scratch, expected at most 262144}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  %scratch = memref.alloca() : memref<1024x65xf32>
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Scratch in a loop.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  scf.for %row = %c0 to %batch step %c1 {
  // expected-error@+1 {{contract: scratch must be allocated once, at the start of its function}}
    %scratch = memref.alloca() : memref<4xf32>
  }
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Code that nobody has seen.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @unseen(!keys)
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  // expected-error@+1 {{contract: call of 'unseen', whose code is not here, takes cache memory}}
  func.call @unseen(%keys) : (!keys) -> ()
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// Lengths that a step changes.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 3 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  %zero = arith.constant 0 : i32
  // expected-error@+1 {{contract: 'memref.store' must write to a buffer, an output, scratch or the cache, got input "lengths"}}
  memref.store %zero, %lengths[%c0] : !ids
  return
}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}

// -----

// A kernel that no step calls: nothing says what it gets.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-error@+1 {{contract: function 'alone' takes cache memory, but no step calls it}}
func.func @alone(%keys: !keys) {
  return
}

// -----

// A step that reads a slot without storing its new rows, where another stores them.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  scf.for %s = %c0 to %batch step %c1 {
    %s1 = arith.addi %s, %c1 : index
    %first32 = memref.load %starts[%s] : !ids
    %first = arith.index_cast %first32 : i32 to index
    %end32 = memref.load %starts[%s1] : !ids
    %end = arith.index_cast %end32 : i32 to index
    %length32 = memref.load %lengths[%s] : !ids
    %length = arith.index_cast %length32 : i32 to index
    scf.for %t = %first to %end step %c1 {
      %i = arith.subi %t, %first : index
      %row = arith.addi %length, %i : index
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
  }
  %k = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<4xbf16>
  return
}
func.func private @reader(%keys: !keys) {
  %c0 = arith.constant 0 : index
  %k = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<4xbf16>
  return
}
func.func @graphc_prefill(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts, %lengths, %out) : (vector<4xbf16>, !keys, !ids, !ids, memref<?x4xf32>) -> ()
  return
}
// expected-error@+1 {{contract: keys of block 0 are read in 'graphc_decode', but its new rows are not stored}}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
    %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @reader(%keys) : (!keys) -> ()
  return
}

// -----

// A cross slot that no step stores.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-error@+1 {{contract: cross_keys of block 0 are read in 'graphc_decode', but no step stores a source's rows}}
func.func @graphc_decode(
    %out: memref<?x4xbf16> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %c0 = arith.constant 0 : index
  %k = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<4xbf16>
  vector.store %k, %out[%c0, %c0] : memref<?x4xbf16>, vector<4xbf16>
  return
}

// -----

// A step that stores the cross slot it reads.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-error@+1 {{contract: cross_keys of block 0 are stored in 'graphc_decode', which reads them: a source's rows must not change while a decoder reads them}}
func.func @graphc_decode(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %out: memref<?x4xbf16> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %new = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<4xbf16>
  vector.store %new, %out[%c0, %c0] : memref<?x4xbf16>, vector<4xbf16>
  %bounds = memref.dim %starts, %c0 : !ids
  %batch = arith.subi %bounds, %c1 : index
  scf.for %s = %c0 to %batch step %c1 {
    %s1 = arith.addi %s, %c1 : index
    %first32 = memref.load %starts[%s] : !ids
    %first = arith.index_cast %first32 : i32 to index
    %end32 = memref.load %starts[%s1] : !ids
    %end = arith.index_cast %end32 : i32 to index
    scf.for %t = %first to %end step %c1 {
      %row = arith.subi %t, %first : index
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
  }
  return
}
