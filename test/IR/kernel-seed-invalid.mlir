// RUN: graphc-opt %s --verify-diagnostics --split-input-file

func.func @seed_move_k1(%x: memref<?x8xf32>, %y: memref<?x4xbf16>) {
  // expected-error @+1 {{seed_move_k1: expected rows of one width, got 'memref<?x8xf32>' to 'memref<?x4xbf16>'}}
  kernel.seed_move ins(%x : memref<?x8xf32>) outs(%y : memref<?x4xbf16>) {layers = ["cast"]}
  return
}

// -----

func.func @seed_update_k1(%x: memref<?x8xf32>, %rows: memref<?x4xf32>, %offset: memref<1xi32>, %starts: memref<?xi32>) {
  // expected-error @+1 {{seed_update_k1: expected rows of one width, got 'memref<?x8xf32>', 'memref<?x4xf32>' to 'memref<?x8xf32>'}}
  kernel.seed_update ins(%x, %rows, %offset, %starts : memref<?x8xf32>, memref<?x4xf32>, memref<1xi32>, memref<?xi32>) outs(%x : memref<?x8xf32>) {layers = ["update"]}
  return
}

// -----

func.func @repeat_heads_k1(%x: memref<?x8xf32>, %y: memref<?x8xf32>) {
  // expected-error @+1 {{repeat_heads_k1: expected heads of 4 columns, 2 times, got 'memref<?x8xf32>' to 'memref<?x8xf32>'}}
  kernel.repeat_heads ins(%x : memref<?x8xf32>) outs(%y : memref<?x8xf32>) {headDim = 4 : i64, times = 2 : i64, layers = ["repeat"]}
  return
}

// -----

func.func @seed_attention_k1(%x: memref<?x8xf32>, %p: memref<?xi32>) {
  // expected-error @+1 {{seed_attention_k1: expected rows of one width, in heads of 3 columns}}
  kernel.seed_attention ins(%x, %x, %x, %p, %p, %p : memref<?x8xf32>, memref<?x8xf32>, memref<?x8xf32>, memref<?xi32>, memref<?xi32>, memref<?xi32>) outs(%x : memref<?x8xf32>) {headDim = 3 : i64, scale = 1.0, layers = ["attention"]}
  return
}
