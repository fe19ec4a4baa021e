// RUN: graphc-opt %s --cpu-verify-lowered --verify-diagnostics --split-input-file

llvm.func @f(%x: i64) -> i64 {
  // expected-error @below {{op was not lowered to LLVM: 'builtin.unrealized_conversion_cast'}}
  %0 = builtin.unrealized_conversion_cast %x : i64 to index
  %1 = builtin.unrealized_conversion_cast %0 : index to i64
  llvm.return %1 : i64
}

// -----

llvm.func @g(%x: i64) -> i64 {
  llvm.return %x : i64
}
// expected-error @below {{op was not lowered to LLVM: 'func.func'}}
func.func private @left()
