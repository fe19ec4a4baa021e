// RUN: graphc-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{rope dim must be even, from 2 to 65536, got 7}}
module attributes {test.rope = #layer.rope<base = 1.0e4 : f64, dim = 7>} {}

// -----

// expected-error @+1 {{key 'rope_type' must be one of default, linear, dynamic, yarn, longrope, llama3, got 'ntk'}}
module attributes {test.rope = #layer.rope<base = 1.0e4 : f64, dim = 8, scaling = {rope_type = "ntk"}>} {}

// -----

// expected-error @+1 {{key 'factor' must be a number, got string 'f32'}}
module attributes {test.rope = #layer.rope<base = 1.0e4 : f64, dim = 8, scaling = {rope_type = "linear", factor = f32}>} {}

// -----

// expected-error @+1 {{key 'beta_fast' must be absent for rope_type 'linear', got number 1.0}}
module attributes {test.rope = #layer.rope<base = 1.0e4 : f64, dim = 8, scaling = {rope_type = "linear", factor = 2.0, beta_fast = 1.0}>} {}
