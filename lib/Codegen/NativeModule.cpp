// Translation and emission by LLVM. Loop and SLP vectorisers stay off: emitters
// write vectors, and what they leave scalar is remainders.
#include "Codegen/NativeModule.h"

#include "Codegen/ObjectParts.h"
#include "Codegen/RuntimeSymbols.h"
#include "Support/Message.h"
#include "Support/Program.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/OpenMP/OpenMPToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"

#include <algorithm>
#include <set>

namespace graphc {

struct NativeModule::State {
  const Target &target;
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<llvm::TargetMachine> machine;
};

NativeModule::NativeModule(std::unique_ptr<State> state) : state(std::move(state)) {}
NativeModule::~NativeModule() = default;

void registerTranslations(mlir::DialectRegistry &registry) {
  mlir::registerBuiltinDialectTranslation(registry);
  mlir::registerLLVMDialectTranslation(registry);
  mlir::registerOpenMPDialectTranslation(registry);
}

static llvm::StringRef ref(std::string_view text) { return {text.data(), text.size()}; }

static std::unique_ptr<llvm::TargetMachine> createMachine(const Target &target, std::string &error) {
  static const bool initialized = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialized;
  const llvm::Triple triple("x86_64-unknown-linux-gnu");
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return nullptr;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, ref(target.cpu), ref(target.features), llvm::TargetOptions(), llvm::Reloc::PIC_,
                                   llvm::CodeModel::Small, llvm::CodeGenOptLevel::Aggressive));
}

static void setAttributes(llvm::Module &module, const Target &target) {
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", ref(target.cpu));
    function.addFnAttr("target-features", ref(target.features));
    function.addFnAttr("no-builtins");
    function.addFnAttr("frame-pointer", "non-leaf"); // profilers walk the stack without unwind tables
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
}

static void addManifest(llvm::Module &module, const std::string &manifest) {
  llvm::Constant *text = llvm::ConstantDataArray::getString(module.getContext(), manifest);
  new llvm::GlobalVariable(module, text->getType(), /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage, text,
                           kManifestSymbol);
}

absl::StatusOr<std::unique_ptr<NativeModule>> NativeModule::translate(mlir::ModuleOp module, const Target &target,
                                                                      const std::string &manifest) {
  auto state = std::make_unique<State>(target);
  std::string error;
  state->machine = createMachine(target, error);
  if (!state->machine)
    return absl::InternalError(concat("LLVM has no back end for target '", target.name, "': ", error));
  state->module = mlir::translateModuleToLLVMIR(module, state->context, "graphc", /*disableVerification=*/true);
  if (!state->module)
    return absl::InternalError("module does not translate to LLVM IR");
  state->module->setDataLayout(state->machine->createDataLayout());
  state->module->setTargetTriple(state->machine->getTargetTriple());
  setAttributes(*state->module, target);
  if (!manifest.empty())
    addManifest(*state->module, manifest);
  llvm::raw_string_ostream stream(error);
  if (llvm::verifyModule(*state->module, &stream))
    return absl::InternalError(concat("translated LLVM IR is invalid: ", error));
  return std::unique_ptr<NativeModule>(new NativeModule(std::move(state)));
}

static llvm::TargetLibraryInfoImpl noLibrary(const llvm::Module &module) {
  llvm::TargetLibraryInfoImpl info(module.getTargetTriple());
  info.disableAllFunctions();
  return info;
}

/// Emitters write loops that are tiled, unrolled and vectorised; what they leave is
/// address arithmetic: common parts, folds, and what does not change in a loop. Of
/// the sizes and strides that describe memory to a function most are constants of
/// all its calls, or not needed: behind a first clean-up those arguments go away.
/// LLVM's whole pipeline takes ten times as long and measured no faster code.
static constexpr llvm::StringLiteral kCleanup =
    "function(early-cse<memssa>),ipsccp,deadargelim,"
    "function(instcombine<no-verify-fixpoint>,simplifycfg,loop-mssa(loop-rotate,licm),"
    "early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg)";

void NativeModule::optimize(unsigned level) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(state->machine.get(), tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  functions.registerPass([&] { return llvm::TargetLibraryAnalysis(noLibrary(*state->module)); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::ModulePassManager manager;
  if (level == 1) {
    const llvm::Error error = builder.parsePassPipeline(manager, kCleanup);
    assert(!error && "the pipeline above parses");
  } else if (level > 1) {
    manager = builder.buildPerModuleDefaultPipeline(level == 2 ? llvm::OptimizationLevel::O2 : llvm::OptimizationLevel::O3);
  }
  manager.run(*state->module, modules);
}

absl::Status NativeModule::checkCache(const Program &program, CodeState codeState, Facts *facts) const {
  return checkCacheAccess(*state->module, program, codeState, facts);
}

std::string NativeModule::llvmText() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  state->module->print(stream, nullptr);
  return text;
}

/// Machine code of `module` as assembly or as an object.
static std::string emit(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager manager;
  manager.add(new llvm::TargetLibraryInfoWrapperPass(noLibrary(module)));
  const bool refused = machine.addPassesToEmitFile(manager, stream, nullptr, type);
  assert(!refused && "x86 emits both kinds");
  (void)refused;
  manager.run(module);
  return std::string(bytes.begin(), bytes.end());
}

std::string NativeModule::assembly() {
  return emit(*state->module, *state->machine, llvm::CodeGenFileType::AssemblyFile);
}

/// An object of a part that cutIntoParts made, in a context of its own.
static absl::StatusOr<std::string> emitPart(const std::string &bitcode, const Target &target) {
  llvm::LLVMContext context;
  llvm::Expected<std::unique_ptr<llvm::Module>> module = llvm::parseBitcodeFile(llvm::MemoryBufferRef(bitcode, "graphc"), context);
  if (!module)
    return absl::InternalError(concat("part of the code cannot be read: ", llvm::toString(module.takeError())));
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return absl::InternalError(error);
  return emit(**module, *machine, llvm::CodeGenFileType::ObjectFile);
}

absl::StatusOr<std::string> NativeModule::emitParts(unsigned count) {
  const std::vector<std::string> parts = cutIntoParts(*state->module, count);
  std::vector<absl::StatusOr<std::string>> emitted(parts.size(), absl::UnknownError(""));
  llvm::parallelFor(0, parts.size(), [&](size_t i) { emitted[i] = emitPart(parts[i], state->target); });
  std::vector<std::string> objects;
  for (absl::StatusOr<std::string> &object : emitted) {
    if (!object.ok())
      return object.status();
    objects.push_back(*std::move(object));
  }
  return archiveOf(objects);
}

absl::StatusOr<std::string> NativeModule::object(unsigned parts) {
  absl::StatusOr<std::string> code =
      parts > 1 ? emitParts(parts) : emit(*state->module, *state->machine, llvm::CodeGenFileType::ObjectFile);
  if (!code.ok())
    return code;
  if (auto symbols = checkUndefinedSymbols(*code); !symbols.ok())
    return symbols.status();
  return code;
}

/// Adds the symbols that `object` defines, and those that it does not.
static absl::Status readSymbols(std::string_view object, std::set<std::string> &defined, std::set<std::string> &undefined) {
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(ref(object), "object"));
  if (!file)
    return absl::InternalError(concat("object cannot be read: ", llvm::toString(file.takeError())));
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    llvm::Expected<uint32_t> flags = symbol.getFlags();
    llvm::Expected<llvm::StringRef> name = symbol.getName();
    if (!flags || !name)
      return absl::InternalError("object has a damaged symbol table");
    if (!name->empty() && *name != "_GLOBAL_OFFSET_TABLE_")
      (*flags & llvm::object::SymbolRef::SF_Undefined ? undefined : defined).insert(name->str());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> checkUndefinedSymbols(const std::string &code) {
  absl::StatusOr<std::vector<std::string_view>> objects = objectsIn(code);
  if (!objects.ok())
    return objects.status();
  std::set<std::string> defined, undefined;
  for (std::string_view object : *objects)
    if (absl::Status status = readSymbols(object, defined, undefined); !status.ok())
      return status;
  std::vector<std::string> names;
  std::ranges::set_difference(undefined, defined, std::back_inserter(names));
  for (const std::string &name : names)
    if (!isRuntimeSymbol(name))
      return brokenContract("object: generated code calls '", name, "', expected OpenMP entries only");
  return names;
}

} // namespace graphc
