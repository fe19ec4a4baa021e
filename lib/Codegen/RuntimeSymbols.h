// The functions that generated code may call, and nothing else: the allow list
// of every object, and the addresses that the JIT links.
#pragma once

#include <span>
#include <string_view>

namespace graphc {

struct RuntimeSymbol {
  std::string_view name;
  void *address; ///< In this process.
};

std::span<const RuntimeSymbol> runtimeSymbols();
bool isRuntimeSymbol(std::string_view name);

} // namespace graphc
