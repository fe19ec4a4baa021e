// RUN: graphc-opt %s --cpu-mark-functions | FileCheck %s
// RUN: graphc-opt %s --cpu-mark-functions --cpu-mark-functions | FileCheck %s

// Blocks stay functions of their own after -O3, and private ones become internal.
// CHECK: func.func private @block() attributes {{.*}}llvm.linkage = #llvm.linkage<internal>
// CHECK-SAME: passthrough = [{{.*}}"noinline"
func.func private @block() attributes {no_inline} {
  return
}

// Entry points keep their linkage.
// CHECK-LABEL: func.func @graphc_decode()
// CHECK-NOT: internal
// CHECK: return
func.func @graphc_decode() {
  return
}
