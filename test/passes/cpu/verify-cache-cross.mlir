// Rows of a source begin at 0, whatever the decoder has, and the decoder only reads them.
// RUN: graphc-opt %s --cpu-verify-cache=report 2>&1 | FileCheck %s

// CHECK: remark: cpu-verify-cache: 2 functions, 1 loads, 1 stores, 1 cross-stores, 1 other-writes
!keys = memref<?x2x?x4xbf16, 18>
!ids = memref<?xi32>
// CHECK-LABEL: func.func @graphc_encoder
func.func @graphc_encoder(
    %starts: !ids {kernel.binding = {dims = ["batch+1"], kind = "input", name = "starts"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %new = arith.constant dense<0.0> : vector<4xbf16>
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
func.func @graphc_decode(
    %out: memref<?x4xbf16> {kernel.binding = {dims = ["tokens", 4], kind = "output", name = "out"}},
    %keys: !keys {kernel.binding = {block = 0 : i64, dims = ["batch", 2, "source", 4], kind = "cache", name = "cross_keys"}}) {
  %c0 = arith.constant 0 : index
  %k = vector.load %keys[%c0, %c0, %c0, %c0] : !keys, vector<4xbf16>
  vector.store %k, %out[%c0, %c0] : memref<?x4xbf16>, vector<4xbf16>
  return
}
