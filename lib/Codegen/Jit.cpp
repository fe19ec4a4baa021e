// The JIT links, it does not compile: it takes the object that ahead-of-time
// compilation writes, so both run the same instructions.
#include "Codegen/Jit.h"

#include "Codegen/ObjectParts.h"
#include "Codegen/RuntimeSymbols.h"
#include "Support/Message.h"

#include "llvm/ExecutionEngine/Orc/AbsoluteSymbols.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"

namespace graphc {

static absl::Status toStatus(llvm::Error error) {
  return absl::InternalError(concat("object does not link into this process: ", llvm::toString(std::move(error))));
}

/// Names outside the allow list stay unresolved: no lookup in the process.
static llvm::Error defineRuntime(llvm::orc::LLJIT &jit) {
  llvm::orc::SymbolMap symbols;
  for (const RuntimeSymbol &symbol : runtimeSymbols())
    symbols[jit.mangleAndIntern(llvm::StringRef(symbol.name))] = {llvm::orc::ExecutorAddr::fromPtr(symbol.address),
                                                                  llvm::JITSymbolFlags::Exported};
  return jit.getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols)));
}

absl::StatusOr<LinkedProgram> linkInProcess(const std::string &code) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter(); // LLJIT wants a machine, though it compiles nothing
  auto jit = llvm::orc::LLJITBuilder()
                 .setJITTargetMachineBuilder(llvm::orc::JITTargetMachineBuilder(llvm::Triple("x86_64-unknown-linux-gnu")))
                 .setLinkProcessSymbolsByDefault(false)
                 .setPlatformSetUp(llvm::orc::setUpInactivePlatform)
                 .create();
  if (!jit)
    return toStatus(jit.takeError());
  if (llvm::Error error = defineRuntime(**jit))
    return toStatus(std::move(error));
  absl::StatusOr<std::vector<std::string_view>> objects = objectsIn(code);
  if (!objects.ok())
    return objects.status();
  for (std::string_view object : *objects)
    if (llvm::Error error = (*jit)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy({object.data(), object.size()}, "graphc")))
      return toStatus(std::move(error));
  LinkedProgram program;
  for (auto [symbol, entry] : {std::pair(kPrefillSymbol, &program.prefill), std::pair(kDecodeSymbol, &program.decode)}) {
    auto address = (*jit)->lookup(symbol);
    if (!address)
      return toStatus(address.takeError());
    *entry = address->toPtr<EntryPoint>();
  }
  if (auto address = (*jit)->lookup(kEncoderSymbol))
    program.encoder = address->toPtr<EntryPoint>();
  else
    llvm::consumeError(address.takeError());
  program.code = std::shared_ptr<llvm::orc::LLJIT>(std::move(*jit));
  return program;
}

} // namespace graphc
