// Attention of many tokens on a target with tiles: keys and values to pairs on the
// stack, scores and sums by tiles, a row's softmax between them.
// RUN: graphc-opt %s --cpu-emit-kernels=target=amx_bf16 | FileCheck %s --implicit-check-not=memref.alloc(
// RUN: graphc-opt %s --cpu-emit-kernels=target=avx512_bf16 | FileCheck %s --check-prefix=DOTS --implicit-check-not=amx.

// CHECK-LABEL: func.func @prefill
// CHECK-DAG: %[[Q:.*]] = memref.alloca() {alignment = 64 : i64} : memref<272x64xbf16>
// CHECK-DAG: %[[SUMS:.*]] = memref.alloca() {alignment = 64 : i64} : memref<272x64xf32>
// CHECK-DAG: %[[SCORE:.*]] = memref.alloca() {alignment = 64 : i64} : memref<32x64xf32>
// CHECK-DAG: %[[P:.*]] = memref.alloca() {alignment = 64 : i64} : memref<32x64xbf16>
// New rows first, and all threads' of them.
// CHECK: vector.store %{{.*}}, %[[KEYS:arg[0-9]+]][{{.*}}] : memref<?x2x?x64xbf16, 18>
// CHECK: omp.barrier
// CHECK: vector.store %{{.*}}, %[[Q]]
// Sixteen keys at a time, of which the ones that no token sees are another's.
// CHECK-COUNT-16: arith.maxsi
// CHECK-COUNT-16: vector.load %{{.*}} : memref<?x2x?x64xbf16, 18>, vector<32xbf16>
// CHECK: vector.store %{{.*}}, %[[K:.*]][%{{.*}}] : memref<128x32xbf16>
// Two rows of values interleaved.
// CHECK: vector.shuffle {{.*}} [0, 32, 1, 33,
// CHECK: vector.store %{{.*}}, %[[V:.*]][%{{.*}}] : memref<128x32xbf16>
// CHECK: %[[ANY:.*]] = vector.reduction <or>
// Scores of the first strip, 16 keys at a time.
// CHECK: scf.for
// CHECK: amx.tile_load %[[Q]]
// CHECK: amx.tile_load %[[K]]
// CHECK-COUNT-2: amx.tile_mulf
// CHECK: amx.tile_store %[[SCORE]]
// The exponent of 2 grows seldom, for 16 rows at once.
// CHECK: %[[MAXIMA:.*]] = math.floor
// CHECK: %[[NOW:.*]] = arith.select {{.*}}, %[[MAXIMA]]
// CHECK: vector.reduction <or>
// CHECK-NEXT: scf.if
// Four rows where all keys are seen: no masks, and a product by tiles behind each.
// Probabilities are bf16 and their sum is of those.
// CHECK: scf.for
// CHECK: scf.if
// CHECK-NOT: vector.create_mask
// CHECK-COUNT-2: scalef
// CHECK: %[[STORED:.*]] = llvm.call_intrinsic "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK: vector.store %[[STORED]], %[[P]]
// CHECK: x86vector.avx512.dot %{{.*}}, %[[STORED]]
// CHECK: amx.tile_load %[[Q]]
// CHECK: amx.tile_mulf
// CHECK: scalef
// CHECK: amx.tile_mulf
// CHECK: amx.tile_store %[[SCORE]]
// CHECK: scalef
// CHECK: amx.tile_load %[[SUMS]]
// CHECK: amx.tile_load %[[V]]
// CHECK: amx.tile_load %[[P]]
// CHECK: amx.tile_mulf
// CHECK: scalef
// CHECK: amx.tile_mulf
// CHECK: amx.tile_store %[[SUMS]]
// Where some are not: masks, then the same products.
// CHECK: scf.if
// CHECK: vector.create_mask
// CHECK: scalef
// CHECK-COUNT-4: amx.tile_mulf
// CHECK: scf.if %[[ANY]]
// Sums of the last strip.
// CHECK: amx.tile_load %[[SUMS]]
// DOTS-LABEL: func.func @prefill
func.func @prefill(%thread: index, %threads: index, %q: memref<?x384xbf16>, %k: memref<?x128xbf16>, %keys: memref<?x2x?x64xbf16, 18>, %values: memref<?x2x?x64xbf16, 18>, %at: memref<?xi32>, %o: memref<?x384xbf16>) {
  kernel.cached_attention ins(%q, %k, %k : memref<?x384xbf16>, memref<?x128xbf16>, memref<?x128xbf16>)
    cache(%keys, %values at %at, %at : memref<?x2x?x64xbf16, 18>, memref<?x2x?x64xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x384xbf16>)
    {scale = 0.125, causal, phase = #kernel.phase<prefill>, layers = ["a"]}
  return
}

// Rows of f32 are rounded while they are packed; a window has a lower end.
// CHECK-LABEL: func.func @wider_pin
// CHECK: arith.truncf {{.*}} : vector<32xf32> to vector<32xbf16>
// CHECK: amx.tile_mulf
// CHECK: arith.xori
// DOTS-LABEL: func.func @wider_pin
func.func @wider_pin(%thread: index, %threads: index, %q: memref<?x32xbf16>, %k: memref<?x32xf32>, %keys: memref<?x1x?x32xf32, 16>, %values: memref<?x1x?x32xf32, 16>, %at: memref<?xi32>, %o: memref<?x32xf32>) {
  kernel.cached_attention ins(%q, %k, %k : memref<?x32xbf16>, memref<?x32xf32>, memref<?x32xf32>)
    cache(%keys, %values at %at, %at : memref<?x1x?x32xf32, 16>, memref<?x1x?x32xf32, 16>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x32xf32>)
    {scale = 0.125, causal, ring, window = 64, phase = #kernel.phase<prefill>, layers = ["a"]}
  return
}

// One token a sequence, a head size that is no multiple of 32, a query of f32, weights, a scale
// by which the greatest score is the least: no tiles.
// CHECK-LABEL: func.func @others
// CHECK-NOT: amx
// CHECK: return
// DOTS-LABEL: func.func @others
func.func @others(%thread: index, %threads: index, %q: memref<?x64xbf16>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %q48: memref<?x48xbf16>, %f: memref<?x64xf32>, %w: memref<?x1x?xf32>) {
  kernel.attention ins(%q, %q, %q at %at : memref<?x64xbf16>, memref<?x64xbf16>, memref<?x64xbf16>, memref<?xi32>) outs(%o : memref<?x64xbf16>)
    {head_dim = 64 : i64, scale = 0.125, phase = #kernel.phase<decode>, layers = ["a"]}
  kernel.attention ins(%q48, %q48, %q48 at %at : memref<?x48xbf16>, memref<?x48xbf16>, memref<?x48xbf16>, memref<?xi32>) outs(%q48 : memref<?x48xbf16>)
    {head_dim = 48 : i64, scale = 0.125, phase = #kernel.phase<prefill>, layers = ["a"]}
  kernel.attention ins(%f, %f, %f at %at : memref<?x64xf32>, memref<?x64xf32>, memref<?x64xf32>, memref<?xi32>) outs(%f : memref<?x64xf32>)
    {head_dim = 64 : i64, scale = 0.125, phase = #kernel.phase<prefill>, layers = ["a"]}
  kernel.attention ins(%q, %q, %q at %at : memref<?x64xbf16>, memref<?x64xbf16>, memref<?x64xbf16>, memref<?xi32>) outs(%o : memref<?x64xbf16>)
    weights(%w : memref<?x1x?xf32>) {head_dim = 64 : i64, scale = 0.125, phase = #kernel.phase<prefill>, layers = ["a"]}
  kernel.attention ins(%q, %q, %q at %at : memref<?x64xbf16>, memref<?x64xbf16>, memref<?x64xbf16>, memref<?xi32>) outs(%o : memref<?x64xbf16>)
    {head_dim = 64 : i64, scale = -0.125, phase = #kernel.phase<prefill>, layers = ["a"]}
  return
}
