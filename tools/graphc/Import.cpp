// graphc import: a checkpoint folder in, the text of its layer graph out.
#include "Commands.h"
#include "Options.h"

#include "Import/Import.h"
#include "Support/File.h"
#include "Support/Message.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/raw_ostream.h"

using namespace graphc;

static constexpr std::string_view kAbout =
    "Turns a Hugging Face checkpoint folder into a layer graph. Only config.json and the headers of\n"
    "model.safetensors (or of the shards that model.safetensors.index.json names) are read; weights stay in the\n"
    "folder and are not part of the graph.";

/// Prints diagnostics as "path:line:column: error: .."; line 0 stands for the
/// whole file, and locations inside the graph say nothing about the input.
static mlir::LogicalResult print(mlir::Diagnostic &diagnostic, bool isNote = false) {
  llvm::raw_ostream &os = llvm::errs();
  if (auto place = mlir::dyn_cast<mlir::FileLineColLoc>(diagnostic.getLocation())) {
    os << place.getFilename().getValue() << ":";
    if (place.getLine())
      os << place.getLine() << ":" << place.getColumn() << ":";
    os << " ";
  }
  os << (isNote ? "note: " : "error: ") << diagnostic << "\n";
  for (mlir::Diagnostic &note : diagnostic.getNotes())
    (void)print(note, /*isNote=*/true);
  return mlir::success();
}

int graphc::importMain(Arguments arguments) {
  std::string folder, output = "-";
  ImportOptions import;
  Options options("graphc import", kAbout);
  options.argument("DIR", folder, "folder with config.json and safetensors");
  options.text("-o --output", "FILE", output, "where the graph goes; '-', the default, is standard output");
  options.custom("--without-weights", "DTYPE",
                 [&](std::string_view text) {
                   std::optional<DType> dtype = parseDType(text);
                   if (!dtype || !isFloat(*dtype) || *dtype == DType::F64)
                     return invalidArgument("must be f32, f16, bf16, f8E4M3FN or f8E5M2, got '", text, "'");
                   import.allowMissingWeights = true;
                   import.missingDType = *dtype;
                   return absl::OkStatus();
                 },
                 "accepts a folder that has config.json alone,\nand declares its parameters as DTYPE");
  if (std::optional<int> code = options.parse(arguments))
    return *code;

  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) { return print(diagnostic); });
  mlir::OwningOpRef<mlir::ModuleOp> module = importModel(context, folder, import);
  if (!module)
    return kFailure;
  std::string text;
  llvm::raw_string_ostream stream(text);
  module->print(stream);
  stream << "\n";
  if (output == "-") {
    llvm::outs() << text;
    llvm::outs().flush();
    if (!llvm::outs().has_error())
      return kSuccess;
    llvm::errs() << "graphc import: error: standard output cannot be written: " << llvm::outs().error().message() << "\n";
    llvm::outs().clear_error();
    return kFailure;
  }
  if (absl::Status status = writeFileAtomically(output, {text}); !status.ok()) {
    llvm::errs() << "graphc import: error: " << concat(status.message()) << "\n";
    return kFailure;
  }
  return kSuccess;
}
