// One violation of each constraint of the attention kernel.
// RUN: graphc-opt %s --verify-diagnostics --split-input-file

func.func @rows_of_other_heads(%q: memref<?x64xbf16>, %k: memref<?x48xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xf32>) {
  // expected-error @+1 {{attention_k1: keys rows}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x48xbf16>, memref<?x48xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @rows_of_another_type(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xf16, 17>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xf32>) {
  // expected-error @+1 {{attention_k2: keys rows must have the cache's type}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xf16, 17>, memref<?x2x?x16xf16, 17>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @cache_in_another_space(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 17>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xf32>) {
  // expected-error @+1 {{attention_k3: keys must be in the memory space of their dtype}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 17>, memref<?x2x?x16xbf16, 17>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @weights_of_other_heads(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x2x?xf32>) {
  // expected-error @+1 {{attention_k4: weights must be floats (rows, 4, keys), got}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x2x?xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @weights_that_are_integers(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xi32>) {
  // expected-error @+1 {{attention_k4: weights must be floats}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xi32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @rows_wider_than_the_compute_type(%q: memref<?x64xbf16>, %k: memref<?x32xf32>, %ks: memref<?x2x?x16xi8, 22>, %scales: memref<?x2x?xf32, 32>, %starts: memref<?xi32>, %o: memref<?x64xbf16>) {
  // expected-error@+1 {{attention_k2: keys rows must fit the query's type, since they are quantised, got 'memref<?x32xf32>' for 'bf16'}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xf32>, memref<?x32xf32>) cache(%ks, %ks at %starts, %starts : memref<?x2x?x16xi8, 22>, memref<?x2x?x16xi8, 22>, memref<?xi32>, memref<?xi32>) key_scales(%scales : memref<?x2x?xf32, 32>) value_scales(%scales : memref<?x2x?xf32, 32>) outs(%o : memref<?x64xbf16>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @no_scales(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xi8, 22>, %scales: memref<?x2x?xf32, 32>, %starts: memref<?xi32>, %o: memref<?x64xbf16>) {
  // expected-error@+1 {{attention_k5: keys of 'memref<?x2x?x16xi8, 22>' must have scales 'memref<?x2x?xf32, 32>'}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %starts, %starts : memref<?x2x?x16xi8, 22>, memref<?x2x?x16xi8, 22>, memref<?xi32>, memref<?xi32>)  outs(%o : memref<?x64xbf16>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @scales_without_use(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %scales: memref<?x2x?xf32, 32>, %starts: memref<?xi32>, %o: memref<?x64xbf16>) {
  // expected-error@+1 {{attention_k5: keys of 'memref<?x2x?x16xbf16, 18>' must have no scales}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %starts, %starts : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) key_scales(%scales : memref<?x2x?xf32, 32>) value_scales(%scales : memref<?x2x?xf32, 32>) outs(%o : memref<?x64xbf16>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @query_of_another_width(%q: memref<?x60xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %starts: memref<?xi32>, %o: memref<?x60xbf16>) {
  // expected-error@+1 {{attention_k1: query 'memref<?x60xbf16>' does not fit the cache 'memref<?x2x?x16xbf16, 18>'}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x60xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %starts, %starts : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x60xbf16>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @causal_over_a_source(%x: memref<?x8xbf16>, %keys: memref<?x2x?x4xbf16, 18>, %rows: memref<?xi32>) {
  // expected-error@+1 {{attention_k6: key and value must come together, and be there for causal}}
  kernel.cached_attention ins(%x : memref<?x8xbf16>) cache(%keys, %keys at %rows, %rows : memref<?x2x?x4xbf16, 18>, memref<?x2x?x4xbf16, 18>, memref<?xi32>, memref<?xi32>)
    outs(%x : memref<?x8xbf16>) {causal, layers = ["a"], phase = #kernel.phase<decode>, scale = 0.5 : f64}
  return
}

// -----

func.func @bias_of_other_heads(%x: memref<?x8xbf16>, %rows: memref<?xi32>, %bias: memref<8x3xf32>) {
  // expected-error@+1 {{attention_k7: bias must be (buckets, 2) with a max_distance, got 'memref<8x3xf32>'}}
  kernel.attention ins(%x, %x, %x at %rows : memref<?x8xbf16>, memref<?x8xbf16>, memref<?x8xbf16>, memref<?xi32>) bias(%bias : memref<8x3xf32>)
    outs(%x : memref<?x8xbf16>) {head_dim = 4 : i64, max_distance = 12 : i64, layers = ["a"], phase = #kernel.phase<prefill>, scale = 0.5 : f64}
  return
}

// -----

func.func @heads_do_not_fit(%x: memref<?x8xbf16>, %rows: memref<?xi32>) {
  // expected-error@+1 {{attention_k8: query 'memref<?x8xbf16>', key 'memref<?x8xbf16>', value 'memref<?x8xbf16>' do not fit heads of 3}}
  kernel.attention ins(%x, %x, %x at %rows : memref<?x8xbf16>, memref<?x8xbf16>, memref<?x8xbf16>, memref<?xi32>)
    outs(%x : memref<?x8xbf16>) {head_dim = 3 : i64, layers = ["a"], phase = #kernel.phase<prefill>, scale = 0.5 : f64}
  return
}

// -----

func.func @scratch_of_other_heads(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %sums: memref<?x1024xf32>, %each: memref<?x64xf32>) {
  // expected-error@+1 {{attention_k9: scratch must be sums, maxima and totals, #0 'memref<?x2048xf32>', got 'memref<?x1024xf32>', 'memref<?x64xf32>', 'memref<?x64xf32>'}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) scratch(%sums, %each, %each : memref<?x1024xf32>, memref<?x64xf32>, memref<?x64xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @scratch_without_totals(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %sums: memref<?x2048xf32>, %each: memref<?x64xf32>) {
  // expected-error@+1 {{attention_k9: scratch must be sums, maxima and totals}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) scratch(%sums, %each : memref<?x2048xf32>, memref<?x64xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}
