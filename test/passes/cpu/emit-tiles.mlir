// Products of bf16 on a target with tiles: up to two rows by dots; up to 64 by tiles of
// packed rows; more by tiles of packed columns, and packed rows for the rest.
// RUN: graphc-opt %s --cpu-choose-tiles=target=amx_bf16 --cpu-emit-kernels=target=amx_bf16 | FileCheck %s --implicit-check-not=memref.alloc(
// RUN: graphc-opt %s --cpu-choose-tiles=target=avx512_bf16 --cpu-emit-kernels=target=avx512_bf16 | FileCheck %s --check-prefix=DOTS --implicit-check-not=amx.

// CHECK-LABEL: func.func @whole
// CHECK-DAG: %[[PANEL:.*]] = memref.alloca() {alignment = 64 : i64} : memref<512x32xbf16>
// CHECK-DAG: %[[ROWS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<256x32xbf16>
// CHECK: arith.cmpi ule, %{{.*}}, %c2
// CHECK: scf.if
// CHECK: x86vector.avx512.dot
// CHECK-NOT: amx
// CHECK: } else {
// CHECK-NOT: x86vector
// Rows to pairs, then columns if rows are many.
// CHECK: vector.load %[[X:.*]][{{.*}}] : memref<?x128xbf16>, vector<32xbf16>
// CHECK: vector.store {{.*}}, %[[ROWS]]
// CHECK: vector.load %[[W:.*]][{{.*}}] : memref<128x128xbf16>, vector<32xbf16>
// CHECK: vector.store {{.*}}, %[[PANEL]]
// Many: two by two tiles, sums in registers.
// CHECK: scf.for {{.*}} -> (!amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>) {
// CHECK: amx.tile_load %[[X]]
// CHECK: amx.tile_load %[[PANEL]]
// CHECK-COUNT-4: amx.tile_mulf
// Few: the kernel as it stands, with one, two, and four tiles of rows.
// CHECK: amx.tile_load %[[W]]
// CHECK-COUNT-1: amx.tile_mulf
// CHECK: amx.tile_load %[[W]]
// CHECK-COUNT-2: amx.tile_mulf
// CHECK: scf.for {{.*}} -> (!amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>) {
// CHECK: amx.tile_load %[[W]]
// CHECK: amx.tile_load %[[ROWS]]
// CHECK-COUNT-4: amx.tile_mulf
// CHECK-NOT: amx.tile_mulf
// DOTS-LABEL: func.func @whole
func.func @whole(%thread: index, %threads: index, %x: memref<?x128xbf16>, %w: memref<128x128xbf16>, %y: memref<?x128xf32>) {
  kernel.matmul ins(%x, %w : memref<?x128xbf16>, memref<128x128xbf16>) outs(%y : memref<?x128xf32>)
      attributes {layers = ["o"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  return
}

// A depth that is no multiple of 32, few columns, other types: no tiles.
// CHECK-LABEL: func.func @others
// CHECK-NOT: amx
// CHECK: return
func.func @others(%thread: index, %threads: index, %a: memref<?x40xbf16>, %wa: memref<64x40xbf16>, %ya: memref<?x64xf32>,
                  %b: memref<?x64xbf16>, %wb: memref<15x64xbf16>, %yb: memref<?x15xf32>, %c: memref<?x64xf32>,
                  %wc: memref<64x64xbf16>, %yc: memref<?x64xf32>) {
  kernel.matmul ins(%a, %wa : memref<?x40xbf16>, memref<64x40xbf16>) outs(%ya : memref<?x64xf32>)
      attributes {layers = ["a"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  kernel.matmul ins(%b, %wb : memref<?x64xbf16>, memref<15x64xbf16>) outs(%yb : memref<?x15xf32>)
      attributes {layers = ["b"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  kernel.matmul ins(%c, %wc : memref<?x64xf32>, memref<64x64xbf16>) outs(%yc : memref<?x64xf32>)
      attributes {layers = ["c"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  return
}
