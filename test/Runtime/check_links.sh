#!/bin/sh
# Checks that the shared object $1 depends on neither MLIR nor LLVM, directly or
# through another library.
set -eu
needed=$(ldd "$1")
if echo "$needed" | grep -E 'libMLIR|libLLVM'; then
  echo "$1 must not depend on MLIR or LLVM" >&2
  exit 1
fi
echo "$needed" | grep -q libomp || { echo "$1 must depend on libomp" >&2; exit 1; }
