// Where the target looks bytes up, f8E4M3FN becomes bf16 by tables; elsewhere nobody asks for that.
// RUN: graphc-opt %s --cpu-expand-conversions=target=amx_bf16 | FileCheck %s --implicit-check-not=arith.extf

// 32 bytes in a vector of 64, looked up twice: lower and upper bytes of bf16, the sign with these.
// CHECK-LABEL: func.func @by_tables
// CHECK: %[[BYTES:.*]] = vector.shuffle %{{.*}}, %{{.*}} [0, 1, 2, 3, 4, 5, 6, 7, 0, 1,
// CHECK: %[[LOWER:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.qi.512"(%{{.*}}, %[[BYTES]], %{{.*}})
// CHECK: %[[UPPER:.*]] = llvm.call_intrinsic "llvm.x86.avx512.vpermi2var.qi.512"(%{{.*}}, %[[BYTES]], %{{.*}})
// CHECK: %[[SIGN:.*]] = arith.andi %[[BYTES]]
// CHECK: %[[SIGNED:.*]] = arith.ori %[[UPPER]], %[[SIGN]]
// CHECK: vector.shuffle %[[LOWER]], %[[SIGNED]] [0, 64, 1, 65,
func.func @by_tables(%x: vector<32xi8>) -> vector<32xi16> {
  %bytes = arith.bitcast %x : vector<32xi8> to vector<32xf8E4M3FN>
  %y = arith.extf %bytes : vector<32xf8E4M3FN> to vector<32xbf16>
  %words = arith.bitcast %y : vector<32xbf16> to vector<32xi16>
  return %words : vector<32xi16>
}
