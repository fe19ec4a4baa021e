// RUN: graphc-opt %s --cpu-lower-thread-queries | FileCheck %s

// CHECK: func.func private @omp_get_num_threads() -> i32
// CHECK: func.func private @omp_get_thread_num() -> i32
// CHECK-LABEL: func.func @asks_the_runtime
// CHECK: %[[ID:.*]] = call @omp_get_thread_num() : () -> i32
// CHECK: arith.index_cast %[[ID]] : i32 to index
// CHECK: %[[COUNT:.*]] = call @omp_get_num_threads() : () -> i32
// CHECK: arith.index_cast %[[COUNT]] : i32 to index
// CHECK-NOT: kernel.
func.func @asks_the_runtime() -> (index, index) {
  %0 = kernel.thread_id
  %1 = kernel.num_threads
  return %0, %1 : index, index
}
