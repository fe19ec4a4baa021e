// Tiles become LLVM's, also where blocks pass them on; functions without stay as they are.
// RUN: graphc-opt %s --cpu-lower-tiles | FileCheck %s --implicit-check-not='!amx'

// CHECK-LABEL: func.func @loop
// CHECK: llvm.call_intrinsic "llvm.x86.tilezero.internal"
// CHECK: llvm.br ^[[HEAD:.*]](%{{.*}} : i64, !llvm.x86_amx)
// CHECK: ^[[HEAD]](%{{.*}}: i64, %[[SUM:.*]]: !llvm.x86_amx):
// CHECK: llvm.cond_br
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64.internal"
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbf16ps.internal"(%{{.*}}, %{{.*}}, %{{.*}}, %[[SUM]],
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64.internal"
func.func @loop(%x: memref<?x64xbf16>, %y: memref<?x16xf32>, %from: index, %to: index) {
  %zero = amx.tile_zero : !amx.tile<16x16xf32>
  cf.br ^head(%from, %zero : index, !amx.tile<16x16xf32>)
^head(%i: index, %sum: !amx.tile<16x16xf32>):
  %more = arith.cmpi slt, %i, %to : index
  cf.cond_br %more, ^body, ^done
^body:
  %a = amx.tile_load %x[%i, %i] : memref<?x64xbf16> into !amx.tile<16x32xbf16>
  %next = amx.tile_mulf %a, %a, %sum : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
  %one = arith.constant 1 : index
  %j = arith.addi %i, %one : index
  cf.br ^head(%j, %next : index, !amx.tile<16x16xf32>)
^done:
  amx.tile_store %y[%from, %from], %sum : memref<?x16xf32>, !amx.tile<16x16xf32>
  return
}

// An operand that streams leaves those that return in L1.
// CHECK-LABEL: func.func @streams
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64.internal"({{.*}}) : (
// CHECK: llvm.call_intrinsic "llvm.x86.tileloaddt164.internal"({{.*}}) : (
func.func @streams(%x: memref<16x32xbf16>, %y: memref<16x32xbf16>, %z: memref<16x16xf32>) {
  %c0 = arith.constant 0 : index
  %zero = amx.tile_zero : !amx.tile<16x16xf32>
  %a = amx.tile_load %x[%c0, %c0] : memref<16x32xbf16> into !amx.tile<16x32xbf16>
  %b = amx.tile_load %y[%c0, %c0] {kernel.streams} : memref<16x32xbf16> into !amx.tile<16x32xbf16>
  %sum = amx.tile_mulf %a, %b, %zero : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
  amx.tile_store %z[%c0, %c0], %sum : memref<16x16xf32>, !amx.tile<16x16xf32>
  return
}

// CHECK-LABEL: func.func @without
// CHECK: cf.br
func.func @without(%a: i1) -> i1 {
  cf.br ^done(%a : i1)
^done(%b: i1):
  return %b : i1
}
