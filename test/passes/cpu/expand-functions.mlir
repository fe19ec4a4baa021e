// Functions become polynomials; what the target has no instruction for is expanded.
// RUN: graphc-opt %s --cpu-expand-functions=target=x86-64 | FileCheck %s --check-prefixes=ALL,PLAIN --implicit-check-not=math.fma --implicit-check-not=math.floor
// RUN: graphc-opt %s --cpu-expand-functions=target=x86-64-v3 | FileCheck %s --check-prefixes=ALL,FUSED

// ALL-LABEL: func.func @exp
// ALL-NOT: math.exp
// PLAIN: arith.fptosi
// FUSED: math.floor
// FUSED: math.fma
// ALL: return
func.func @exp(%x: vector<8xf32>) -> vector<8xf32> {
  %y = math.exp %x : vector<8xf32>
  return %y : vector<8xf32>
}

// ALL-LABEL: func.func @multiply_add
// PLAIN-NEXT: %[[P:.*]] = arith.mulf %arg0, %arg1 : f32
// PLAIN-NEXT: arith.addf %[[P]], %arg2 : f32
// FUSED-NEXT: math.fma
func.func @multiply_add(%a: f32, %b: f32, %c: f32) -> f32 {
  %y = math.fma %a, %b, %c : f32
  return %y : f32
}

// Truncation, one less where that went up, and large values as they are.
// ALL-LABEL: func.func @floor
// PLAIN: %[[WHOLE:.*]] = arith.sitofp
// PLAIN: arith.cmpf ogt, %[[WHOLE]], %arg0
// PLAIN: %[[SMALL:.*]] = arith.cmpf olt
// PLAIN: arith.select %[[SMALL]], %{{.*}}, %arg0
// FUSED-NEXT: math.floor
func.func @floor(%x: vector<4xf32>) -> vector<4xf32> {
  %y = math.floor %x : vector<4xf32>
  return %y : vector<4xf32>
}

// ALL-LABEL: func.func @keeps_other_functions
// ALL-NEXT: math.sqrt
func.func @keeps_other_functions(%x: f32) -> f32 {
  %y = math.sqrt %x : f32
  return %y : f32
}
