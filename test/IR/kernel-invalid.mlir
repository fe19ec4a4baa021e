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
  // expected-error @+1 {{attention_k4: weights must be floats (rows, 4, capacity), got}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x2x?xf32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}

// -----

func.func @weights_that_are_integers(%q: memref<?x64xbf16>, %k: memref<?x32xbf16>, %ks: memref<?x2x?x16xbf16, 18>, %at: memref<?xi32>, %o: memref<?x64xbf16>, %w: memref<?x4x?xi32>) {
  // expected-error @+1 {{attention_k4: weights must be floats}}
  kernel.cached_attention ins(%q, %k, %k : memref<?x64xbf16>, memref<?x32xbf16>, memref<?x32xbf16>) cache(%ks, %ks at %at, %at : memref<?x2x?x16xbf16, 18>, memref<?x2x?x16xbf16, 18>, memref<?xi32>, memref<?xi32>) outs(%o : memref<?x64xbf16>) weights(%w : memref<?x4x?xi32>) {scale = 0.25, phase = #kernel.phase<decode>, layers = ["a"]}
  return
}
