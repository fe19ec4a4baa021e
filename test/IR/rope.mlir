// Every rope scaling type is readable text that round-trips.
// RUN: graphc-opt %s | FileCheck %s
// RUN: graphc-opt %s | graphc-opt | FileCheck %s
// RUN: graphc-opt %s --emit-bytecode | graphc-opt | FileCheck %s

// CHECK: default = #layer.rope<base = 1.000000e+04 : f64, dim = 16>
// CHECK-SAME: dynamic = #layer.rope<base = 1.000000e+04 : f64, dim = 16, scaling = {factor = 2.000000e+00 : f64, original_max_position_embeddings = 16 : i64, rope_type = "dynamic"}>
// CHECK-SAME: interleaved = #layer.rope<base = 1.000000e+04 : f64, dim = 16, interleaved = unit>
// CHECK-SAME: linear = #layer.rope<{{.*}}, scaling = {factor = 4 : i64, rope_type = "linear"}>
// CHECK-SAME: llama3 = #layer.rope<{{.*}}rope_type = "llama3"}>
// CHECK-SAME: longrope = #layer.rope<{{.*}}long_factor = array<f64: 1.000000e+00, 2.000000e+00>
// CHECK-SAME: yarn = #layer.rope<{{.*}}truncate = false}>
module attributes {test.ropes = {
  default = #layer.rope<base = 1.0e4 : f64, dim = 16>,
  interleaved = #layer.rope<base = 1.0e4 : f64, dim = 16, interleaved = unit>,
  linear = #layer.rope<base = 1.0e4 : f64, dim = 16, scaling = {rope_type = "linear", factor = 4}>,
  dynamic = #layer.rope<base = 1.0e4 : f64, dim = 16, scaling = {rope_type = "dynamic", factor = 2.0, original_max_position_embeddings = 16}>,
  yarn = #layer.rope<base = 1.0e4 : f64, dim = 16, scaling = {rope_type = "yarn", factor = 4.0, original_max_position_embeddings = 4096, mscale = 2.0, mscale_all_dim = 0.5, truncate = false}>,
  longrope = #layer.rope<base = 1.0e4 : f64, dim = 4, scaling = {rope_type = "longrope", factor = 4.0, original_max_position_embeddings = 16, short_factor = array<f64: 1.0, 1.5>, long_factor = array<f64: 1.0, 2.0>}>,
  llama3 = #layer.rope<base = 5.0e5 : f64, dim = 16, scaling = {rope_type = "llama3", factor = 8.0, low_freq_factor = 1.0, high_freq_factor = 4.0, original_max_position_embeddings = 8192}>
}} {}
