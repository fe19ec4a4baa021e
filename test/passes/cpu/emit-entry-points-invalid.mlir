// RUN: graphc-opt %s --cpu-emit-entry-points --verify-diagnostics --split-input-file

// expected-error @below {{argument 1 of a step function must have a 'kernel.binding' attribute}}
func.func @unbound(%x: memref<?xf32> {kernel.binding = {kind = "input", name = "ids", dims = ["tokens"]}}, %y: memref<?xf32>) {
  return
}

// -----

// expected-error @below {{binding of argument 0 must have 2 dims, got 1}}
func.func @rank(%x: memref<?x8xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens"]}}) {
  return
}

// -----

// expected-error @below {{binding of argument 0 has dims ["tokens", 9], which do not fit 'memref<?x8xf32>'}}
func.func @size(%x: memref<?x8xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens", 9]}}) {
  return
}

// -----

// expected-error @below {{argument 0 of a step function must be a dense memref or a pointer, got 'memref<?xf32, strided<[2]>>'}}
func.func @strided(%x: memref<?xf32, strided<[2]>> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens"]}}) {
  return
}

// -----

// expected-error @below {{tokens align zero}}
func.func @dim(%x: memref<?xf32> {kernel.binding = {kind = "buffer", name = "slot0", dims = ["tokens align zero"]}}) {
  return
}
