// RUN: graphc-opt %s --cpu-lower-traces | FileCheck %s

// CHECK-LABEL: @step
// CHECK-SAME: %[[HOOK:.*]]: !llvm.ptr
// CHECK: %[[ID:.*]] = kernel.thread_id
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[ID]]
// CHECK: scf.if %[[FIRST]] {
// CHECK: %[[CALLBACK:.*]] = llvm.load %[[HOOK]]
// CHECK: %[[CONTEXT:.*]] = llvm.load
// CHECK: %[[KERNEL:.*]] = llvm.mlir.constant(3 : i64)
// CHECK: llvm.call %[[CALLBACK]](%[[CONTEXT]], %[[KERNEL]]) : !llvm.ptr, (!llvm.ptr, i64) -> ()
func.func @step(%hook: !llvm.ptr) {
  kernel.trace %hook[3] : !llvm.ptr
  return
}
