// Fuzzes config.json: whatever is accepted must become a module that verifies,
// within the bounds on sizes, and whatever is refused must say why.
#include "Import/Import.h"

#include "mlir/IR/MLIRContext.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  bool reported = false;
  context.getDiagEngine().registerHandler([&](mlir::Diagnostic &) { return reported = true, mlir::success(); });
  auto module = graphc::importConfig(context, std::string(reinterpret_cast<const char *>(data), size));
  if (bool(module) == reported) // neither a module nor an error, or both
    std::abort();
  return 0;
}
