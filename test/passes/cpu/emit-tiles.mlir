// Products of bf16 on a target with tiles: up to two rows by dots; up to 64 by tiles of
// packed rows; more by tiles of packed columns, and packed rows for the rest.
// RUN: graphc-opt %s --cpu-choose-tiles=target=amx_bf16 --cpu-emit-kernels=target=amx_bf16 | FileCheck %s --implicit-check-not=memref.alloc(
// RUN: graphc-opt %s --cpu-choose-tiles=target=avx512_bf16 --cpu-emit-kernels=target=avx512_bf16 | FileCheck %s --check-prefix=DOTS --implicit-check-not=amx.

// CHECK-LABEL: func.func @whole
// CHECK-DAG: %[[PANEL:.*]] = memref.alloca() {alignment = 64 : i64} : memref<1024x32xbf16>
// CHECK-DAG: %[[ROWS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<256x32xbf16>
// CHECK-DAG: %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<64x32xf32>
// CHECK: arith.cmpi ule, %{{.*}}, %c2
// CHECK: scf.if
// CHECK: x86vector.avx512.dot
// CHECK-NOT: amx
// CHECK: } else {
// CHECK-NOT: x86vector
// Rows to pairs, then the first block of columns if rows are many.
// CHECK: vector.load %[[X:.*]][{{.*}}] : memref<?x128xbf16>, vector<32xbf16>
// CHECK: vector.store {{.*}}, %[[ROWS]]
// CHECK: vector.load %[[W:.*]][{{.*}}] : memref<128x128xbf16>, vector<32xbf16>
// CHECK: vector.store {{.*}}, %[[PANEL]]
// Many: two by two tiles, sums in registers; each step stores a part of the sums before, fetches
// where these will go, and packs a part of the block to come. Rows fit L1: columns pass beside it.
// CHECK: scf.for {{.*}} -> (!amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>) {
// CHECK: vector.load %[[SUMS]]
// CHECK: vector.store {{.*}}, %[[Y:.*]][{{.*}}] : memref<?x128xf32>
// CHECK: memref.prefetch %[[Y]][{{.*}}], write
// CHECK: vector.load %[[W]]
// CHECK: vector.store {{.*}}, %[[PANEL]]
// CHECK: amx.tile_load %[[X]]
// CHECK: amx.tile_load %[[PANEL]]{{.*}} {kernel.streams}
// CHECK-COUNT-4: amx.tile_mulf
// CHECK-COUNT-4: amx.tile_store %[[SUMS]]
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

// Deeper than two blocks have room for: a block is packed before its products, and nothing stays in L1.
// CHECK-LABEL: func.func @deep
// CHECK: memref.alloca() {alignment = 64 : i64} : memref<16384x32xbf16>
// CHECK: scf.for {{.*}} -> (!amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>, !amx.tile<16x16xf32>) {
// CHECK-NOT: vector.load %{{.*}} : memref<512x2048xbf16>
// CHECK-NOT: kernel.streams
// CHECK: amx.tile_store
func.func @deep(%thread: index, %threads: index, %x: memref<?x2048xbf16>, %w: memref<512x2048xbf16>, %y: memref<?x512xf32>) {
  kernel.matmul ins(%x, %w : memref<?x2048xbf16>, memref<512x2048xbf16>) outs(%y : memref<?x512xf32>)
      attributes {layers = ["o"], phase = #kernel.phase<prefill>} {
  ^bb0(%acc: f32):
    kernel.yield %acc : f32
  }
  return
}
