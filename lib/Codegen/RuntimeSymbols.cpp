// Entries of libomp. They are named here, not looked up, so that a program that
// links this library has them whatever its linker drops.
#include "Codegen/RuntimeSymbols.h"

#include <algorithm>
#include <iterator>

extern "C" {
void __kmpc_fork_call();
void __kmpc_barrier();
void __kmpc_global_thread_num();
void __kmpc_push_num_threads();
void omp_get_thread_num();
void omp_get_num_threads();
}

namespace graphc {

std::span<const RuntimeSymbol> runtimeSymbols() {
#define SYMBOL(name) {#name, reinterpret_cast<void *>(&name)}
  static const RuntimeSymbol symbols[] = {
      SYMBOL(__kmpc_fork_call),        SYMBOL(__kmpc_barrier),     SYMBOL(__kmpc_global_thread_num),
      SYMBOL(__kmpc_push_num_threads), SYMBOL(omp_get_thread_num), SYMBOL(omp_get_num_threads),
  };
#undef SYMBOL
  return symbols;
}

bool isRuntimeSymbol(std::string_view name) {
  return std::ranges::any_of(runtimeSymbols(), [&](const RuntimeSymbol &symbol) { return symbol.name == name; });
}

} // namespace graphc
