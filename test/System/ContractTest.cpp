// The contract of the cache on really compiled models: it holds for every pin,
// target and kind of slot, and pipelines that are broken on purpose, between two
// stages of a real compilation, are caught on the level that they break.
#include "Fixture.h"

#include "Codegen/CacheCheck.h"
#include "Compiler/Context.h"
#include "Compiler/GuardedRun.h"
#include "Runtime/Code.h"
#include "Support/MemoryPlan.h"
#include "Support/Program.h"
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"
#include "passes/kernel/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"

#include <malloc.h>

using namespace graphc;
using namespace graphc::system_test;

namespace {

nlohmann::json certificateOf(const CompiledModel &compiled, const CertificateOptions &options = {}) {
  absl::StatusOr<Certificate> made = compiled.certificate(options);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? nlohmann::json::parse(made->json) : nlohmann::json();
}

/// The counts of one level.
nlohmann::json countsOf(const nlohmann::json &certificate, const char *level) {
  for (const auto &entry : certificate.at("levels"))
    if (entry.at("level") == level)
      return entry.at("counts");
  ADD_FAILURE() << "no level " << level;
  return {};
}

CompileOptions optionsFor(const std::string &pin, const std::string &target = "") {
  CompileOptions options;
  options.policy = {"compute=bf16,output=f32"};
  options.pins = {pin};
  options.target = target;
  return options;
}

void expectHeld(const CompiledModel &compiled, const std::string &pin) {
  const int64_t layers = compiled.program().model.numLayers;
  const nlohmann::json certificate = certificateOf(compiled);
  EXPECT_EQ(certificate.at("contract"), "holds");
  for (const auto &slot : certificate.at("cache").at("slots"))
    EXPECT_EQ(std::pair(slot.at("keys"), slot.at("values")), std::pair(nlohmann::json(pin), nlohmann::json(pin)));
  EXPECT_EQ(countsOf(certificate, "layer").at("slots"), layers);
  EXPECT_EQ(countsOf(certificate, "kernel").at("updates"), 2 * 2 * layers) << "keys and values, in prefill and decode";
  EXPECT_GE(countsOf(certificate, "vector").at("stores"), 2 * 2);
  EXPECT_LE(countsOf(certificate, "vector").at("scratch-bytes"), 256 * 1024);
  EXPECT_EQ(countsOf(certificate, "llvm").at("table-entries"), 2 * 2 * layers);
  EXPECT_EQ(countsOf(certificate, "llvm-optimized").at("table-entries"), 2 * 2 * layers);
  EXPECT_GT(countsOf(certificate, "object").at("undefined-symbols"), 0);
}

using Case = std::tuple<std::string, std::string, std::string>; // fixture, pin, target
class Contract : public testing::TestWithParam<Case> {};

TEST_P(Contract, HoldsOnEveryLevel) {
  const auto &[fixture, pin, target] = GetParam();
  const CompiledModel compiled = compileFixture(fixture, optionsFor(pin, target));
  expectHeld(compiled, pin);
}

std::string caseName(const testing::TestParamInfo<Case> &info) {
  const auto &[fixture, pin, target] = info.param;
  std::string name = testName({fixture, 0}) + "_" + pin + "_" + target;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Llama, Contract, testing::Combine(testing::Values("llama/mha"), testing::Values("f32", "bf16", "f16"),
                                                           testing::ValuesIn(targetNames())), caseName);
INSTANTIATE_TEST_SUITE_P(Rings, Contract, testing::Combine(testing::Values("mistral/window"), testing::Values("f32", "bf16", "f16"),
                                                           testing::Values(nativeTargetName())), caseName);
INSTANTIATE_TEST_SUITE_P(Gpt2, Contract, testing::Combine(testing::Values("gpt2/gelu_new"), testing::Values("bf16"),
                                                          testing::ValuesIn(targetNames())), caseName);

class ContractOfEncoderDecoder : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(ContractOfEncoderDecoder, HoldsOnEveryLevel) {
  const auto &[fixture, pin] = GetParam();
  const CompiledModel compiled = compileFixture(fixture, optionsFor(pin));
  const int64_t layers = compiled.program().model.numLayers, sides = pin == "int8" ? 4 : 2; // scales are sides
  const nlohmann::json certificate = certificateOf(compiled);
  EXPECT_EQ(certificate.at("contract"), "holds");
  EXPECT_EQ(countsOf(certificate, "layer").at("slots"), 2 * layers) << "self and cross";
  EXPECT_EQ(countsOf(certificate, "kernel").at("slots"), 2 * sides * layers);
  EXPECT_EQ(countsOf(certificate, "kernel").at("updates"), 3 * sides * layers)
      << "its own in prefill and decode, the source's in the encoder";
  int64_t cross = 0;
  for (const auto &slot : certificate.at("cache").at("slots")) {
    EXPECT_EQ(std::pair(slot.at("keys"), slot.at("values")), std::pair(nlohmann::json(pin), nlohmann::json(pin)));
    cross += slot.contains("cross");
  }
  EXPECT_EQ(cross, layers);
  for (const char *level : {"llvm", "llvm-optimized"})
    EXPECT_EQ(countsOf(certificate, level).at("table-entries"), (2 * 2 + 1) * sides * layers) << level;
}

INSTANTIATE_TEST_SUITE_P(All, ContractOfEncoderDecoder,
                         testing::Values(std::tuple("t5/relu", "bf16"), std::tuple("t5/relu", "int8"), std::tuple("bart/scaled", "f16")),
                         [](const auto &info) { return testName({std::get<0>(info.param) + "_" + std::get<1>(info.param), 0}); });

TEST(ContractRun, HoldsWhileSourcesComeAndGo) {
  const CompiledModel compiled = compileFixture("t5/relu", optionsFor("bf16"));
  const SessionOptions session{.batch = 3, .capacity = 24, .sourceCapacity = 40, .threads = 2};
  const nlohmann::json run = countsOf(certificateOf(compiled, {session, folderOf("t5/relu")}), "run");
  const int64_t perRow = 3 * 3 * 2; // layers, heads, sides
  EXPECT_GT(run.at("rows-written"), 3 * 24 * perRow) << "more than the decoders' own rows";
  EXPECT_EQ(int64_t(run.at("rows-written")) % perRow, 0);
  EXPECT_GT(run.at("read-only-pages"), 0);
  EXPECT_GT(run.at("canary-bytes"), 0);
}

TEST(ContractRun, HoldsUnderGuardAndStaysWithinThePlan) {
  const std::string demo = std::string(GRAPHC_TEST_DIR) + "/models/demo/checkpoint";
  const auto compiled = compile(demo, optionsFor("bf16"));
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const SessionOptions session{.batch = 3, .capacity = 128, .threads = 2};
  const nlohmann::json run = countsOf(certificateOf(*compiled, {session, demo}), "run");
  const Program &program = compiled->program();
  int64_t sides = 0, heads = 0;
  for (const Binding &binding : program.bindings)
    if (binding.kind == Binding::Kind::Cache) {
      ++sides;
      heads += binding.dims[1].offset;
    }
  EXPECT_EQ(sides, 2 * program.model.numLayers);
  EXPECT_EQ(run.at("rows-written"), 3 * 128 * heads) << "every row of every head once, nothing twice";
  EXPECT_GT(run.at("read-only-pages"), 0);
  EXPECT_GT(run.at("canary-bytes"), 0);
  // All of the session was used, so its plan is what grew, up to the ends of pages: of
  // two mappings, the heap and the file, of which only the header is not used.
  const int64_t peak = run.at("peak-bytes"), planned = run.at("planned-bytes"), ends = run.at("page-ends");
  EXPECT_LE(peak, planned + ends);
  const int64_t stacks = 2 * program.stack.front().bytes; // which grew in the guarded run before
  EXPECT_GE(peak, (planned - stacks) * 95 / 100);
  EXPECT_LE(ends, 6 * 4096);
}

TEST(ContractRun, KeepsTablesWithinThePlan) {
  const std::string demo = std::string(GRAPHC_TEST_DIR) + "/models/demo/checkpoint";
  const auto compiled = compile(demo, optionsFor("bf16"));
  ASSERT_TRUE(compiled.ok()) << compiled.status();
  const auto executable = compiled->executable();
  ASSERT_TRUE(executable.ok()) << executable.status();
  const SessionOptions options{.batch = 64, .capacity = 128, .threads = 2};
  const size_t before = ::mallinfo2().uordblks;
  const auto model = Model::open(*executable, demo);
  ASSERT_TRUE(model.ok()) << model.status();
  const auto session = Session::create(*model, options);
  ASSERT_TRUE(session.ok()) << session.status();
  const size_t kept = ::mallinfo2().uordblks - before, planned = planMemory(compiled->program(), planRequest(options))->tables;
  EXPECT_LE(kept, planned);
  EXPECT_GE(kept, planned / 2) << "a bound, but no loose one";
}

TEST(ContractRun, HoldsWhileRingsTurn) {
  const CompiledModel compiled = compileFixture("mistral/window", optionsFor("f16"));
  const SessionOptions session{.batch = 2, .capacity = 128, .chunk = 16, .threads = 2};
  const nlohmann::json certificate = certificateOf(compiled, {session, folderOf("mistral/window")});
  EXPECT_EQ(certificate.at("cache").at("slots")[0].at("rows"), 64) << "fewer than the 128 tokens that are written";
  EXPECT_EQ(countsOf(certificate, "run").at("rows-written"), 2 * 128 * 2 * 2 * 2) << "layers, sides, heads";
  EXPECT_EQ(countsOf(certificate, "run").at("rows-reused"), 2 * (128 - 64) * 2 * 2 * 2) << "each ring went around once";
}

//===-- Broken pipelines ------------------------------------------------------===//

/// What stands in the way of MLIR between two stages.
struct Mutation {
  const char *name;
  Stage stage; ///< Kernel or Vector.
  void (*mutate)(mlir::ModuleOp module);
  const char *message;
  const char *fixture = "llama/mha";
};

bool isCache(mlir::Value value) { return kernel::cacheDTypeOf(value.getType()).has_value(); }

/// The first store to cache memory in a function of that name ending.
mlir::vector::StoreOp firstStore(mlir::ModuleOp module, llvm::StringRef ending) {
  mlir::vector::StoreOp found;
  for (auto function : module.getOps<mlir::func::FuncOp>())
    if (function.getName().ends_with(ending))
      function.walk([&](mlir::vector::StoreOp store) { found = !found && isCache(store.getBase()) ? store : found; });
  EXPECT_TRUE(found);
  return found;
}

mlir::Value indexAt(mlir::OpBuilder &builder, mlir::Location loc, int64_t value) {
  return mlir::arith::ConstantIndexOp::create(builder, loc, value);
}

const Mutation kMutations[] = {
    {"AliasedSlot", Stage::Kernel,
     [](mlir::ModuleOp module) { // the second layer gets the first one's cache
       auto step = module.lookupSymbol<mlir::func::FuncOp>("graphc_decode");
       llvm::SmallVector<mlir::func::CallOp> calls;
       step.walk([&](mlir::func::CallOp call) { calls.push_back(call); });
       for (unsigned i = 0; i < calls[1].getNumOperands(); ++i)
         if (isCache(calls[1].getOperand(i)))
           calls[1].setOperand(i, calls[0].getOperand(i));
     },
     "are updated more than once in 'graphc_decode': two slots are one memory"},
    {"SwappedSides", Stage::Kernel,
     [](mlir::ModuleOp module) {
       module.walk([](kernel::CachedAttentionOp attention) {
         mlir::Value keys = attention.getKeys();
         attention.getKeysMutable().assign(attention.getValues());
         attention.getValuesMutable().assign(keys);
       });
     },
     "takes values of block 0 as keys"},
    {"CopiedCache", Stage::Kernel,
     [](mlir::ModuleOp module) {
       module.walk([](kernel::CachedAttentionOp attention) {
         mlir::OpBuilder builder(attention);
         mlir::memref::CopyOp::create(builder, attention.getLoc(), attention.getKeys(), attention.getValues());
       });
     },
     "'memref.copy' must not touch cache memory"},
    {"ReallocatedCache", Stage::Kernel,
     [](mlir::ModuleOp module) {
       module.walk([](kernel::CachedAttentionOp attention) {
         mlir::OpBuilder builder(attention);
         mlir::Value size = indexAt(builder, attention.getLoc(), 1);
         auto type = mlir::cast<mlir::MemRefType>(attention.getKeys().getType());
         auto fresh = mlir::memref::AllocOp::create(builder, attention.getLoc(), type, mlir::ValueRange{size, size});
         attention.getKeysMutable().assign(fresh);
       });
     },
     "cache memory must be an argument of the step, got a result of 'memref.alloc'"},
    {"WriteBehindTheNewRows", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "self_attention.decode");
       mlir::OpBuilder builder(store);
       mlir::Value row = mlir::arith::AddIOp::create(builder, store.getLoc(), store.getIndices()[2],
                                                     indexAt(builder, store.getLoc(), 1));
       store.getIndicesMutable()[2].set(row);
     },
     "row is not proved to be lengths[sequence] + i, i < new tokens"},
    {"WriteToAnotherHead", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "self_attention.prefill");
       mlir::OpBuilder builder(store);
       mlir::Value head = mlir::arith::AddIOp::create(builder, store.getLoc(), store.getIndices()[1],
                                                      indexAt(builder, store.getLoc(), 1));
       store.getIndicesMutable()[1].set(head);
     },
     "head is not proved to be one of the cache"},
    {"LostRows", Stage::Vector,
     [](mlir::ModuleOp module) {
       llvm::SmallVector<mlir::Operation *> stores;
       for (auto function : module.getOps<mlir::func::FuncOp>())
         if (function.getName().ends_with("self_attention.decode"))
           function.walk([&](mlir::vector::StoreOp store) {
             if (isCache(store.getBase()))
               stores.push_back(store);
           });
       for (mlir::Operation *store : stores)
         store->erase();
     },
     "are read in 'graphc_decode', but its new rows are not stored"},
    {"HoistedWidening", Stage::Vector,
     [](mlir::ModuleOp module) { // all keys of a head, widened into memory of its own
       auto store = firstStore(module, "self_attention.decode");
       mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(&store->getParentOfType<mlir::func::FuncOp>().front());
       const mlir::Location loc = store.getLoc();
       mlir::Value cache = store.getBase(), zero = indexAt(builder, loc, 0);
       mlir::Value capacity = mlir::memref::DimOp::create(builder, loc, cache, 2);
       mlir::Value wide = mlir::memref::AllocOp::create(
           builder, loc, mlir::MemRefType::get({mlir::ShapedType::kDynamic, 8}, builder.getF32Type()), mlir::ValueRange{capacity});
       auto rows = mlir::scf::ForOp::create(builder, loc, zero, capacity, indexAt(builder, loc, 1));
       mlir::OpBuilder inner = mlir::OpBuilder::atBlockBegin(rows.getBody());
       mlir::Value row = rows.getInductionVar();
       mlir::Value narrow = mlir::vector::LoadOp::create(inner, loc, mlir::VectorType::get({8}, builder.getBF16Type()), cache,
                                                         mlir::ValueRange{zero, zero, row, zero});
       mlir::Value widened = mlir::arith::ExtFOp::create(inner, loc, mlir::VectorType::get({8}, builder.getF32Type()), narrow);
       mlir::vector::StoreOp::create(inner, loc, widened, wide, mlir::ValueRange{row, zero});
     },
     "'memref.alloc' must not allocate memory"},
    {"CapacityOfScratch", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "self_attention.decode");
       mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(&store->getParentOfType<mlir::func::FuncOp>().front());
       mlir::Value capacity = mlir::memref::DimOp::create(builder, store.getLoc(), store.getBase(), 2);
       mlir::memref::AllocaOp::create(builder, store.getLoc(),
                                      mlir::MemRefType::get({mlir::ShapedType::kDynamic}, builder.getF32Type()),
                                      mlir::ValueRange{capacity});
     },
     "scratch must have a fixed size"},
    {"MemorySpaceCast", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "self_attention.decode");
       mlir::OpBuilder builder(store);
       auto type = mlir::cast<mlir::MemRefType>(store.getBase().getType());
       auto plain = mlir::MemRefType::get(type.getShape(), type.getElementType());
       store.getBaseMutable().set(mlir::memref::MemorySpaceCastOp::create(builder, store.getLoc(), plain, store.getBase()));
     },
     "'memref.memory_space_cast' must not touch cache memory"},
    {"PointerThroughAnInteger", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "self_attention.decode");
       mlir::OpBuilder builder(store);
       mlir::memref::ExtractAlignedPointerAsIndexOp::create(builder, store.getLoc(), store.getBase());
     },
     "'memref.extract_aligned_pointer_as_index' must not touch cache memory"},
    {"LostSource", Stage::Kernel,
     [](mlir::ModuleOp module) { module.walk([](kernel::CacheStoreOp store) { store.erase(); }); },
     "are bound in 'graphc_encoder', but no kernel updates or reads them", "t5/relu"},
    {"SourceStoredByADecoder", Stage::Kernel,
     [](mlir::ModuleOp module) { // the query's rows, which have the width of the keys'
       module.walk([](kernel::CachedAttentionOp attention) {
         if (attention.getKey())
           return;
         mlir::OpBuilder builder(attention);
         kernel::CacheStoreOp::create(builder, attention.getLoc(), attention.getQuery(), attention.getQuery(),
                                      attention.getKeys(), attention.getValues(), mlir::Value(), mlir::Value(),
                                      attention.getStarts(), attention.getLayers());
       });
     },
     "which reads them: a source's rows must not change while a decoder reads them", "t5/relu"},
    {"RowOfAnotherTokenOfTheSource", Stage::Vector,
     [](mlir::ModuleOp module) {
       auto store = firstStore(module, "cross_attention");
       mlir::OpBuilder builder(store);
       mlir::Value row = mlir::arith::AddIOp::create(builder, store.getLoc(), store.getIndices()[2],
                                                     indexAt(builder, store.getLoc(), 1));
       store.getIndicesMutable()[2].set(row);
     },
     "row is not proved to be i, i < tokens of the source", "t5/relu"},
};

/// The fixture's text after `stage`, made once.
const std::string &textOf(Stage stage, const std::string &fixture = "llama/mha") {
  static std::map<std::pair<Stage, std::string>, std::string> texts;
  std::string &text = texts[{stage, fixture}];
  if (text.empty()) {
    CompileOptions options = optionsFor("bf16");
    options.stage = stage;
    text = compileFixture(fixture, options).output();
  }
  return text;
}

class BrokenPipeline : public testing::TestWithParam<Mutation> {
protected:
  /// The verifier of the stage on its module, mutated or not.
  std::string verify(bool broken) {
    CompilerContext context;
    context.loadAllAvailableDialects(); // mutations add what the stage does not hold
    DiagnosticText diagnostics(&context);
    auto module = mlir::parseSourceString<mlir::ModuleOp>(textOf(GetParam().stage, GetParam().fixture), &context);
    EXPECT_TRUE(module) << diagnostics.takeErrors();
    if (broken)
      GetParam().mutate(*module);
    mlir::PassManager manager(&context);
    manager.addPass(GetParam().stage == Stage::Kernel ? kernel::createVerifyCache(false, nullptr)
                                                      : cpu::createVerifyCache(false, nullptr));
    EXPECT_EQ(succeeded(manager.run(*module)), !broken);
    return diagnostics.takeErrors();
  }
};

TEST_P(BrokenPipeline, IsCaughtWhereItBreaks) {
  EXPECT_EQ(verify(/*broken=*/false), "");
  const std::string errors = verify(/*broken=*/true);
  EXPECT_TRUE(isBrokenContract(errors)) << errors;
  EXPECT_NE(errors.find(GetParam().message), std::string::npos) << errors;
}

INSTANTIATE_TEST_SUITE_P(Real, BrokenPipeline, testing::ValuesIn(kMutations),
                         [](const auto &info) { return std::string(info.param.name); });

/// The same on optimised LLVM IR.
struct CodeMutation {
  const char *name;
  void (*mutate)(llvm::Instruction *access, llvm::Value *pointer);
  const char *message;
};

const CodeMutation kCodeMutations[] = {
    {"AddressSpaceCast",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreateLoad(builder.getInt16Ty(), builder.CreateAddrSpaceCast(pointer, builder.getPtrTy()));
     },
     "'addrspacecast' in"},
    {"PointerThroughAnInteger",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreatePtrToInt(pointer, builder.getInt64Ty());
     },
     "'ptrtoint' in"},
    {"StoredPointer",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreateStore(pointer, builder.CreateAlloca(pointer->getType()));
     },
     "must not store a pointer to cache memory"},
    {"WiderFloat",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreateLoad(builder.getFloatTy(), pointer);
     },
     "must access cache memory as bf16, got float"},
    {"Copy",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreateMemCpy(pointer, llvm::MaybeAlign(2), builder.CreateAlloca(builder.getInt64Ty()), llvm::MaybeAlign(2), 8);
     },
     "must not apply 'llvm.memcpy.p18.p0.i64' to cache memory"},
    {"UnknownCall",
     [](llvm::Instruction *access, llvm::Value *pointer) {
       llvm::IRBuilder<> builder(access);
       builder.CreateCall(access->getModule()->getOrInsertFunction("unseen", builder.getVoidTy(), pointer->getType()), {pointer});
     },
     "must not hand cache memory to 'unseen', whose code is not here"},
    {"Builtins",
     [](llvm::Instruction *access, llvm::Value *) { access->getFunction()->removeFnAttr("no-builtins"); },
     "must have the attribute no-builtins"},
};

class BrokenCode : public testing::TestWithParam<CodeMutation> {};

TEST_P(BrokenCode, IsCaughtAfterOptimisation) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic error;
  CompileOptions options = optionsFor("bf16");
  options.stage = Stage::Kernel;
  static const CompiledModel kernels = compileFixture("llama/mha", options);
  auto module = llvm::parseAssemblyString(textOf(Stage::LLVM), error, context);
  ASSERT_TRUE(module) << error.getMessage().str();
  const absl::Status sound = checkCacheAccess(*module, kernels.program(), CodeState::Optimized);
  ASSERT_TRUE(sound.ok()) << sound;
  llvm::StoreInst *access = nullptr;
  for (llvm::Function &function : *module)
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *store = llvm::dyn_cast<llvm::StoreInst>(&instruction); store && store->getPointerAddressSpace() == 18)
        access = store;
  ASSERT_TRUE(access);
  GetParam().mutate(access, access->getPointerOperand());
  const absl::Status broken = checkCacheAccess(*module, kernels.program(), CodeState::Optimized);
  EXPECT_EQ(broken.code(), absl::StatusCode::kAborted);
  EXPECT_NE(broken.message().find(GetParam().message), std::string::npos) << broken;
}

INSTANTIATE_TEST_SUITE_P(Real, BrokenCode, testing::ValuesIn(kCodeMutations),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
