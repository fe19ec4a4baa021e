// What a target cannot convert becomes integer arithmetic; what it can stays.
// RUN: graphc-opt %s --cpu-expand-conversions=target=x86-64 | FileCheck %s --check-prefix=PLAIN --implicit-check-not=arith.extf --implicit-check-not=arith.truncf
// RUN: graphc-opt %s --cpu-expand-conversions=target=x86-64-v4 | FileCheck %s --check-prefix=V4
// RUN: graphc-opt %s --cpu-expand-conversions=target=avx512_bf16 | FileCheck %s --check-prefix=BF16

// PLAIN-LABEL: func.func @to_bf16
// PLAIN: %[[BITS:.*]] = arith.bitcast %{{.*}} : vector<16xf32> to vector<16xi32>
// PLAIN: arith.cmpf uno
// PLAIN: arith.trunci
// V4-LABEL: func.func @to_bf16
// V4-NOT: arith.truncf
// V4: return
// BF16-LABEL: func.func @to_bf16
// BF16-NEXT: arith.truncf
func.func @to_bf16(%x: vector<16xf32>) -> vector<16xbf16> {
  %y = arith.truncf %x : vector<16xf32> to vector<16xbf16>
  return %y : vector<16xbf16>
}

// PLAIN-LABEL: func.func @through_f16
// PLAIN: arith.sitofp
// V4-LABEL: func.func @through_f16
// V4-NEXT: arith.truncf
// V4-NEXT: arith.extf
func.func @through_f16(%x: f32) -> f32 {
  %y = arith.truncf %x : f32 to f16
  %z = arith.extf %y : f16 to f32
  return %z : f32
}

// Two of eight: two elements, as integers.
// PLAIN-LABEL: func.func @masked
// PLAIN-COUNT-2: memref.load
// PLAIN-COUNT-2: memref.store
// PLAIN-NOT: masked
// V4-LABEL: func.func @masked
// V4: vector.maskedload
// V4: vector.maskedstore
func.func @masked(%x: memref<10xf16>, %i: index) {
  %zero = arith.constant dense<0.0> : vector<8xf16>
  %mask = vector.constant_mask [2] : vector<8xi1>
  %v = vector.maskedload %x[%i], %mask, %zero : memref<10xf16>, vector<8xi1>, vector<8xf16> into vector<8xf16>
  vector.maskedstore %x[%i], %mask, %v : memref<10xf16>, vector<8xi1>, vector<8xf16>
  return
}

// Widening goes through f16 where that has an instruction; rounding never does.
// PLAIN-LABEL: @eight_bits
// PLAIN: arith.bitcast {{.*}} : vector<16xf8E4M3FN> to vector<16xi8>
// V4-LABEL: @eight_bits
// V4: arith.bitcast {{.*}} : vector<16xi16> to vector<16xf16>
// V4-NEXT: arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
// V4-NOT: arith.truncf
// V4: arith.trunci {{.*}} : vector<16xi32> to vector<16xi8>
func.func @eight_bits(%x: vector<16xf8E4M3FN>) -> vector<16xf8E5M2> {
  %wide = arith.extf %x : vector<16xf8E4M3FN> to vector<16xf32>
  %narrow = arith.truncf %wide : vector<16xf32> to vector<16xf8E5M2>
  return %narrow : vector<16xf8E5M2>
}
