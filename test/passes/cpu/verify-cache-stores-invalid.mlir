// Stores that are not proved to stay in the rows of new tokens.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file --cpu-verify-cache

// A write behind the new rows.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %p = arith.addi %length, %i : index
      %row = arith.addi %p, %c1 : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A write to an old row.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %p = arith.addi %length, %i : index
      %row = arith.subi %p, %c1 : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A write that starts at the first row again.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %row = arith.addi %i, %c0 : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A write that loops over the capacity.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids, %out: memref<?x4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %batch = memref.dim %lengths, %c0 : !ids
  %capacity = memref.dim %keys, %c2 : !keys
  scf.for %s = %c0 to %batch step %c1 {
    scf.for %row = %c0 to %capacity step %c1 {
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// Rows of another sequence's length.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %zero32 = memref.load %lengths[%c0] : !ids
      %zero = arith.index_cast %zero32 : i32 to index
      %row = arith.addi %zero, %i : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A ring that wraps at another number of rows.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %p = arith.addi %length, %i : index
      %row = arith.remui %p, %batch : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be lengths[sequence] + i, i < new tokens}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A sequence outside the batch.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: sequence is not proved to be one of the batch}}
      vector.store %new, %keys[%s1, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
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

// A head outside the cache, which is a row of the next sequence.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: head is not proved to be one of the cache}}
      vector.store %new, %keys[%s, %c2, %row, %c0] : !keys, vector<4xbf16>
    }
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

// Columns of the next row.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: columns are not proved to lie in the row}}
      vector.store %new, %keys[%s, %c0, %row, %c1] : !keys, vector<4xbf16>
    }
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

// A view with gaps.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
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
      %part = memref.subview %keys[%s, 0, %row, 0] [1, 1, 2, 4] [1, 1, 2, 1] : !keys to memref<2x4xbf16, strided<[8, 1], offset: ?>, 18>
  // expected-note@-1 {{through 'memref.subview'}}
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: its indices cannot be followed}}
      vector.store %new, %part[%c1, %c0] : memref<2x4xbf16, strided<[8, 1], offset: ?>, 18>, vector<4xbf16>
    }
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

// A row of a source that is another token's, behind the last one.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %bounds = memref.dim %starts, %c0 : !ids
  %batch = arith.subi %bounds, %c1 : index
  scf.for %s = %c0 to %batch step %c1 {
    %s1 = arith.addi %s, %c1 : index
    %first32 = memref.load %starts[%s] : !ids
    %first = arith.index_cast %first32 : i32 to index
    %end32 = memref.load %starts[%s1] : !ids
    %end = arith.index_cast %end32 : i32 to index
    scf.for %t = %first to %end step %c1 {
      %i = arith.subi %t, %first : index
      %row = arith.addi %i, %c1 : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be i, i < tokens of the source}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
  }
  return
}
func.func @graphc_encoder(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts) : (vector<4xbf16>, !keys, !ids) -> ()
  return
}

// -----

// A source whose rows begin where another one's do.
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// expected-note@+1 {{from argument 1 of 'kernel'}}
func.func private @kernel(%new: vector<4xbf16>, %keys: !keys, %starts: !ids) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %bounds = memref.dim %starts, %c0 : !ids
  %batch = arith.subi %bounds, %c1 : index
  scf.for %s = %c0 to %batch step %c1 {
    %s1 = arith.addi %s, %c1 : index
    %first32 = memref.load %starts[%s] : !ids
    %first = arith.index_cast %first32 : i32 to index
    %end32 = memref.load %starts[%s1] : !ids
    %end = arith.index_cast %end32 : i32 to index
    scf.for %t = %first to %end step %c1 {
      %row = arith.addi %t, %c0 : index
      // expected-error@+1 {{contract: store to the cache must stay in the rows of new tokens: row is not proved to be i, i < tokens of the source}}
      vector.store %new, %keys[%s, %c0, %row, %c0] : !keys, vector<4xbf16>
    }
  }
  return
}
func.func @graphc_encoder(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %new = arith.constant dense<0.0> : vector<4xbf16>
  func.call @kernel(%new, %keys, %starts) : (vector<4xbf16>, !keys, !ids) -> ()
  return
}
