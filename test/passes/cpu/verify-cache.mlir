// Stores are proved from their arithmetic, in the forms that emitters use.
// RUN: graphc-opt %s --cpu-verify-cache=report 2>&1 | FileCheck %s

// CHECK: remark: cpu-verify-cache: 4 functions, 5 loads, 4 stores, 1 prefetches, 3 widenings, 64 widest-bytes, 4416 scratch-bytes, 4 other-writes
!rows = memref<?x8xbf16>
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
module {
  // A prompt: all new rows of a sequence, of heads dealt out to threads. A token block, cut off at the end of the sequence.
  // CHECK-LABEL: func.func private @append
  func.func private @append(%thread: index, %threads: index, %k: !rows, %keys: !keys, %starts: !ids, %lengths: !ids) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c2 = arith.constant 2 : index
    %c4 = arith.constant 4 : index
    %c15 = arith.constant 15 : index
    %c16 = arith.constant 16 : index
    %batch = memref.dim %lengths, %c0 : !ids
    %last = scf.for %s = %c0 to %batch step %c1 iter_args(%item0 = %thread) -> (index) {
      %s1 = arith.addi %s, %c1 : index
      %end32 = memref.load %starts[%s1] : !ids
      %end = arith.index_cast %end32 : i32 to index
      %first32 = memref.load %starts[%s] : !ids
      %first = arith.index_cast %first32 : i32 to index
      %tokens = arith.subi %end, %first : index
      %rounded = arith.addi %tokens, %c15 : index
      %blocks = arith.divui %rounded, %c16 : index
      %items = arith.muli %blocks, %c2 : index
      scf.for %item = %item0 to %items step %threads {
        %head = arith.remui %item, %c2 : index
        %block = arith.divui %item, %c2 : index
        %skip = arith.muli %block, %c16 : index
        %from = arith.addi %first, %skip : index
        %full = arith.addi %from, %c16 : index
        %to = arith.minsi %full, %end : index
        scf.for %t = %from to %to step %c1 {
          %again32 = memref.load %starts[%s] : !ids
          %again = arith.index_cast %again32 : i32 to index
          %i = arith.subi %t, %again : index
          %length32 = memref.load %lengths[%s] : !ids
          %length = arith.index_cast %length32 : i32 to index
          %row = arith.addi %length, %i : index
          %column = arith.muli %head, %c4 : index
          %new = vector.load %k[%t, %column] : !rows, vector<4xbf16>
          vector.store %new, %keys[%s, %head, %row, %c0] : !keys, vector<4xbf16>
        }
      }
      %more = arith.addi %item0, %threads : index
      %rest = arith.remui %more, %threads : index
      scf.yield %rest : index
    }
    return
  }

  // One token of a sequence; a ring; a masked store; a view of the row; an element.
  // CHECK-LABEL: func.func private @ring
  func.func private @ring(%new: vector<4xbf16>, %keys: !keys, %starts: !ids, %lengths: !ids) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %c3 = arith.constant 3 : index
    %c2 = arith.constant 2 : index
    %rows = memref.dim %keys, %c2 : !keys
    %batch = memref.dim %lengths, %c0 : !ids
    scf.for %s = %c0 to %batch step %c1 {
      %s1 = arith.addi %s, %c1 : index
      %first32 = memref.load %starts[%s] : !ids
      %end32 = memref.load %starts[%s1] : !ids
      %tokens32 = arith.subi %end32, %first32 : i32
      %tokens = arith.index_cast %tokens32 : i32 to index
      %any = arith.cmpi sgt, %tokens, %c0 : index
      scf.if %any {
        %length32 = memref.load %lengths[%s] : !ids
        %length = arith.index_cast %length32 : i32 to index
        %row = arith.remui %length, %rows : index
        %mask = vector.constant_mask [3] : vector<4xi1>
        vector.maskedstore %keys[%s, %c0, %row, %c1], %mask, %new : !keys, vector<4xi1>, vector<4xbf16>
        %part = memref.subview %keys[%s, 1, %row, 0] [1, 1, 1, 4] [1, 1, 1, 1] : !keys to memref<4xbf16, strided<[1], offset: ?>, 18>
        vector.store %new, %part[%c0] : memref<4xbf16, strided<[1], offset: ?>, 18>, vector<4xbf16>
        %one = vector.extract %new[0] : bf16 from vector<4xbf16>
        memref.store %one, %keys[%s, %c1, %row, %c3] : !keys
      }
    }
    return
  }

  // Reading: widened in registers, kept in scratch, prefetched.
  // CHECK-LABEL: func.func private @attend
  func.func private @attend(%keys: !keys, %lengths: !ids, %out: memref<?x4xf32>) {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %zero = arith.constant dense<0.0> : vector<16xbf16>
    %score = memref.alloca() : memref<16x64xf32>
    %tile = memref.alloca() : memref<16x10xbf16>
    %narrow = memref.load %keys[%c0, %c0, %c0, %c0] : !keys
    %wide = arith.extf %narrow : bf16 to f32
    memref.store %wide, %score[%c0, %c0] : memref<16x64xf32>
    %mask = vector.constant_mask [4] : vector<16xi1>
    %k = vector.maskedload %keys[%c0, %c1, %c0, %c0], %mask, %zero : !keys, vector<16xi1>, vector<16xbf16> into vector<16xbf16>
    %turned = vector.shuffle %k, %k [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14] : vector<16xbf16>, vector<16xbf16>
    %f = arith.extf %turned : vector<16xbf16> to vector<16xf32>
    vector.store %f, %score[%c0, %c0] : memref<16x64xf32>, vector<16xf32>
    %r = vector.load %keys[%c0, %c1, %c1, %c0] : !keys, vector<4xbf16>
    %bits = vector.bitcast %r : vector<4xbf16> to vector<4xi16>
    %int = arith.extui %bits : vector<4xi16> to vector<4xi32>
    vector.store %r, %tile[%c0, %c0] : memref<16x10xbf16>, vector<4xbf16>
    %v = vector.load %keys[%c0, %c1, %c1, %c0] : !keys, vector<4xbf16>
    %p = vector.transfer_read %keys[%c0, %c1, %c1, %c0], %narrow : !keys, vector<4xbf16>
    memref.prefetch %keys[%c0, %c1, %c1, %c0], read, locality<2>, data : !keys
    %o = vector.load %score[%c0, %c0] : memref<16x64xf32>, vector<4xf32>
    vector.store %o, %out[%c0, %c0] : memref<?x4xf32>, vector<4xf32>
    return
  }

  func.func @graphc_decode(%k: !rows {kernel.binding = {dims = ["tokens", 8], kind = "buffer", name = "slot0", slot = 0 : i64}},
      %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
      %lengths: !ids {kernel.binding = {dims = ["batch"], kind = "input", name = "lengths"}},
      %out: memref<?x4xf32> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
      %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "capacity", 4], kind = "cache", name = "keys"}},
      %values: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "window:8", 4], kind = "cache", name = "values"}}) {
    %new = arith.constant dense<0.0> : vector<4xbf16>
    omp.parallel {
      %thread = kernel.thread_id
      %threads = kernel.num_threads
      func.call @append(%thread, %threads, %k, %keys, %starts, %lengths) : (index, index, !rows, !keys, !ids, !ids) -> ()
      func.call @ring(%new, %values, %starts, %lengths) : (vector<4xbf16>, !keys, !ids, !ids) -> ()
      func.call @attend(%keys, %lengths, %out) : (!keys, !ids, memref<?x4xf32>) -> ()
      func.call @attend(%values, %lengths, %out) : (!keys, !ids, memref<?x4xf32>) -> ()
      omp.terminator
    }
    return
  }
}
