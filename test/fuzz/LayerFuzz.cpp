// Fuzzes graphs of layers as text: parse, verify, the layer pipeline. Whatever is
// refused must say why; whatever is accepted must come back from text and from
// bytecode. Damaged bytecode is not fuzzed: MLIR 22's reader crashes on it
// (BytecodeReader::Impl::parseIRSection), so bytecode is for those one trusts.
#include "graphc/IR/Layer.h"
#include "passes/layer/Passes.h"

#include "mlir/Bytecode/BytecodeWriter.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cstdint>
#include <cstdlib>

using namespace mlir;

namespace {
/// The settings of one run, drawn from the input so that it alone decides.
graphc::layer::LayerPipelineOptions optionsFor(size_t choice) {
  graphc::layer::LayerPipelineOptions options;
  if (choice % 2)
    options.policy = {"compute=bf16,output=f32"};
  if (choice % 3 == 0)
    options.semantics = "axon";
  options.seed = choice % 5 == 0;
  if (choice % 7 == 0)
    options.absent = {"cache", "attention_mask"};
  if (choice % 11 == 0)
    options.outputs = {"hidden_states", "attentions"};
  return options;
}

class Run {
public:
  Run() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<graphc::layer::LayerDialect>();
    context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
      reported |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
      return success();
    });
  }

  void text(llvm::StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    if (bool(module) == reported) // neither a module nor an error, or both
      std::abort();
    if (module)
      pipeline(*module, text.size());
  }

private:
  void pipeline(ModuleOp module, size_t choice) {
    PassManager manager(&context);
    graphc::layer::buildLayerPipeline(manager, optionsFor(choice));
    if (failed(manager.run(module))) {
      if (!reported)
        std::abort();
      return;
    }
    std::string printed, bytes;
    llvm::raw_string_ostream stream(printed), byteStream(bytes);
    module.print(stream);
    if (!parseSourceString<ModuleOp>(printed, &context))
      std::abort();
    if (failed(writeBytecodeToFile(module, byteStream)) || !parseSourceString<ModuleOp>(bytes, &context))
      std::abort();
  }

  MLIRContext context;
  bool reported = false;
};
} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // Test files hold several modules between marks.
  llvm::SmallVector<llvm::StringRef> parts;
  const std::string text(reinterpret_cast<const char *>(data), size); // never null
  llvm::StringRef(text).split(parts, "// -----");
  for (llvm::StringRef part : parts)
    Run().text(part);
  return 0;
}
