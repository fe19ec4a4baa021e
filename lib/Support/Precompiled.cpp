// Compiles the precompiled header that the libraries on MLIR share.
