// The contract on LLVM IR: a module that keeps it, and broken ones, each refused
// for the reason that is written beside it.
#include "Codegen/CacheCheck.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include <gtest/gtest.h>

using namespace graphc;

namespace {

/// Pointers of the table: lengths, keys in bf16 (space 18), values in f16 (17), a buffer.
Program program() {
  Program result;
  for (auto [kind, name, dtype] : {std::tuple(Binding::Kind::Input, "lengths", DType::I32),
                                   {Binding::Kind::Cache, "keys", DType::BF16},
                                   {Binding::Kind::Cache, "values", DType::F16},
                                   {Binding::Kind::Buffer, "slot0", DType::F32}})
    result.bindings.push_back(Binding::of(kind, name, dtype, {}));
  return result;
}

/// A step with %keys, %values and %buffer at hand.
std::string step(std::string_view body, std::string_view more = "") {
  return concat(R"(
    target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
    define void @graphc_decode(ptr %pointers, ptr %dims) #0 {
      %at.keys = getelementptr inbounds ptr, ptr %pointers, i32 1
      %keys = load ptr addrspace(18), ptr %at.keys
      %at.values = getelementptr inbounds i8, ptr %pointers, i64 16
      %values = load ptr addrspace(17), ptr %at.values
      %at.buffer = getelementptr inbounds ptr, ptr %pointers, i32 3
      %buffer = load ptr, ptr %at.buffer
      )", body, "\n ret void\n }\n", more, "\nattributes #0 = { \"no-builtins\" }\n");
}

class CacheCheck : public testing::Test {
protected:
  absl::Status check(const std::string &text, CodeState state = CodeState::Optimized, Facts *facts = nullptr) {
    llvm::SMDiagnostic error;
    module = llvm::parseAssemblyString(text, error, context);
    if (!module) {
      std::string message;
      llvm::raw_string_ostream stream(message);
      error.print("module", stream);
      return absl::InternalError(message);
    }
    EXPECT_FALSE(llvm::verifyModule(*module, &llvm::errs()));
    return checkCacheAccess(*module, program(), state, facts);
  }

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
};

TEST_F(CacheCheck, AcceptsAccessesOfTheDtypeAndAddresses) {
  Facts facts;
  const absl::Status status = check(step(R"(
      %row = getelementptr bfloat, ptr addrspace(18) %keys, i64 7
      %k = load <8 x bfloat>, ptr addrspace(18) %row, align 2
      store <8 x bfloat> %k, ptr addrspace(18) %keys, align 2
      %m = call <4 x half> @llvm.masked.load.v4f16.p17(ptr addrspace(17) %values, <4 x i1> splat (i1 true), <4 x half> zeroinitializer)
      call void @llvm.masked.store.v4f16.p17(<4 x half> %m, ptr addrspace(17) %values, <4 x i1> splat (i1 true))
      call void @llvm.prefetch.p18(ptr addrspace(18) %row, i32 0, i32 2, i32 1)
      call void @block(ptr addrspace(18) %row, ptr %buffer))",
      R"(
      define internal void @block(ptr addrspace(18) %row, ptr %buffer) #0 {
        %d = insertvalue { ptr addrspace(18), i64 } poison, ptr addrspace(18) %row, 0
        %p = extractvalue { ptr addrspace(18), i64 } %d, 0
        %k = load bfloat, ptr addrspace(18) %p, align 2
        %f = fpext bfloat %k to float
        store float %f, ptr %buffer
        ret void
      }
      declare <4 x half> @llvm.masked.load.v4f16.p17(ptr addrspace(17), <4 x i1>, <4 x half>)
      declare void @llvm.masked.store.v4f16.p17(<4 x half>, ptr addrspace(17), <4 x i1>)
      declare void @llvm.prefetch.p18(ptr addrspace(18), i32, i32, i32))"), CodeState::Translated, &facts);
  ASSERT_TRUE(status.ok()) << status;
  const Facts expected = {{"instructions", 20}, {"table-entries", 2}, {"loads", 3},             {"stores", 2},
                          {"prefetches", 1},    {"address-operations", 3}, {"calls", 1}};
  ASSERT_EQ(facts.size(), expected.size());
  for (size_t i = 0; i < facts.size(); ++i)
    EXPECT_EQ(facts[i], expected[i]) << facts[i].name << " " << facts[i].value;
}

TEST_F(CacheCheck, FollowsTheTableThroughAFork) {
  const std::string text = R"(
    define void @graphc_decode(ptr %pointers, ptr %dims) #0 {
      %captured = alloca { ptr, ptr }
      store ptr %dims, ptr %captured
      %second = getelementptr i8, ptr %captured, i64 8
      store ptr %pointers, ptr %second
      call void (ptr, i32, ptr, ...) @__kmpc_fork_call(ptr null, i32 1, ptr @region, ptr %captured)
      ret void
    }
    define internal void @region(ptr %id, ptr %bound, ptr %captured) #0 {
      %second = getelementptr i8, ptr %captured, i64 8
      %pointers = load ptr, ptr %second
      %at = getelementptr i8, ptr %pointers, i64 8
      %keys = load SPACE, ptr %at
      ret void
    }
    declare void @__kmpc_fork_call(ptr, i32, ptr, ...)
    attributes #0 = { "no-builtins" })";
  auto with = [&](const char *type) {
    std::string changed = text;
    return changed.replace(changed.find("SPACE"), 5, type);
  };
  Facts facts;
  const absl::Status sound = check(with("ptr addrspace(18)"), CodeState::Optimized, &facts);
  EXPECT_TRUE(sound.ok()) << sound;
  EXPECT_EQ(facts[1], (Fact{"table-entries", 1}));
  EXPECT_NE(check(with("ptr")).message().find("must give 'keys' as a pointer in address space 18"), std::string::npos);
}

TEST_F(CacheCheck, AcceptsIntegersOfWholeElementsAfterOptimisationOnly) {
  const std::string text = step("%two = load i32, ptr addrspace(18) %keys, align 2");
  EXPECT_TRUE(check(text).ok());
  EXPECT_NE(check(text, CodeState::Translated).message().find("must access cache memory as bf16, got i32"), std::string::npos);
}

/// A broken step: what stands in it, what is declared beside it, and the message.
struct Broken {
  const char *name, *body, *more, *message;
};

class BrokenStep : public CacheCheck, public testing::WithParamInterface<Broken> {};

TEST_P(BrokenStep, IsRefused) {
  const absl::Status status = check(step(GetParam().body, GetParam().more));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << status;
  const std::string message(status.message().data(), status.message().size());
  EXPECT_EQ(message.rfind("contract: LLVM IR: ", 0), 0u) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
}

INSTANTIATE_TEST_SUITE_P(LLVM, BrokenStep, testing::Values(
    Broken{"AddressSpaceCast", "%p = addrspacecast ptr addrspace(18) %keys to ptr", "", "'addrspacecast' in 'graphc_decode' must not touch cache memory"},
    Broken{"CastIntoTheSpace", "%p = addrspacecast ptr %buffer to ptr addrspace(18)", "", "'addrspacecast' in 'graphc_decode' must not touch cache memory"},
    Broken{"AnotherDtypesSpace", "%p = addrspacecast ptr addrspace(18) %keys to ptr addrspace(17)", "", "'addrspacecast'"},
    Broken{"PointerToInteger", "%i = ptrtoint ptr addrspace(18) %keys to i64", "", "'ptrtoint' in 'graphc_decode' must not touch cache memory"},
    Broken{"IntegerToPointer", "%p = inttoptr i64 4096 to ptr addrspace(18)", "", "'inttoptr' in 'graphc_decode' must not touch cache memory"},
    Broken{"PointerStored", "store ptr addrspace(18) %keys, ptr %buffer", "", "must not store a pointer to cache memory"},
    Broken{"PointerTakenOutOfABuffer", "%p = load ptr addrspace(18), ptr %buffer", "", "must not take a pointer to cache memory out of memory other than the table"},
    Broken{"UnknownCall", "call void @unseen(ptr addrspace(18) %keys)", "declare void @unseen(ptr addrspace(18))", "must not hand cache memory to 'unseen', whose code is not here"},
    Broken{"IndirectCall", "call void %buffer(ptr addrspace(18) %keys)", "", "must not hand cache memory to an unknown function"},
    Broken{"InlineAssembly", "call void asm \"\", \"r\"(ptr addrspace(18) %keys)", "", "must not hand cache memory to inline assembly"},
    Broken{"Atomic", "%o = atomicrmw add ptr addrspace(18) %keys, i16 1 monotonic", "", "'atomicrmw' in 'graphc_decode' must not touch cache memory"},
    Broken{"CompareExchange", "%o = cmpxchg ptr addrspace(18) %keys, i16 1, i16 2 monotonic monotonic", "", "'cmpxchg'"},
    Broken{"Volatile", "%k = load volatile bfloat, ptr addrspace(18) %keys", "", "must not be atomic or volatile on cache memory"},
    Broken{"Copy", "call void @llvm.memcpy.p18.p0.i64(ptr addrspace(18) %keys, ptr %buffer, i64 64, i1 false)",
           "declare void @llvm.memcpy.p18.p0.i64(ptr addrspace(18), ptr, i64, i1)", "must not apply 'llvm.memcpy.p18.p0.i64' to cache memory"},
    Broken{"Fill", "call void @llvm.memset.p18.i64(ptr addrspace(18) %keys, i8 0, i64 64, i1 false)",
           "declare void @llvm.memset.p18.i64(ptr addrspace(18), i8, i64, i1)", "must not apply 'llvm.memset.p18.i64' to cache memory"},
    Broken{"Gather", R"(%p = getelementptr bfloat, ptr addrspace(18) %keys, <4 x i64> splat (i64 3)
      %g = call <4 x bfloat> @llvm.masked.gather.v4bf16.v4p18(<4 x ptr addrspace(18)> %p, <4 x i1> splat (i1 true), <4 x bfloat> zeroinitializer))",
           "declare <4 x bfloat> @llvm.masked.gather.v4bf16.v4p18(<4 x ptr addrspace(18)>, <4 x i1>, <4 x bfloat>)", "must not apply 'llvm.masked.gather.v4bf16.v4p18'"},
    Broken{"WiderFloat", "%f = load float, ptr addrspace(18) %keys, align 2", "", "must access cache memory as bf16, got float"},
    Broken{"WiderFloats", "store <4 x float> zeroinitializer, ptr addrspace(18) %keys, align 2", "", "must access cache memory as bf16, got <4 x float>"},
    Broken{"Double", "%f = load double, ptr addrspace(17) %values, align 2", "", "must access cache memory as f16, got double"},
    Broken{"TheOtherHalf", "store half 0.0, ptr addrspace(18) %keys", "", "must access cache memory as bf16, got half"},
    Broken{"HalfAnElement", "%b = load i8, ptr addrspace(18) %keys", "", "must access cache memory as bf16, got i8"},
    Broken{"ReturnedPointer", "%p = call ptr addrspace(18) @block(ptr addrspace(18) %keys)",
           "define internal ptr addrspace(18) @block(ptr addrspace(18) %p) #0 {\n ret ptr addrspace(18) %p\n }", "must not return a pointer to cache memory"},
    Broken{"ConstantPointer", "%p = select i1 true, ptr addrspace(18) %keys, ptr addrspace(18) inttoptr (i64 8 to ptr addrspace(18))", "", "must not make a pointer to cache memory of a constant"},
    Broken{"ConstantAddress", "%k = load bfloat, ptr addrspace(18) inttoptr (i64 8 to ptr addrspace(18))", "", "must not make a pointer to cache memory of a constant"},
    Broken{"GlobalMemory", "store bfloat 0.0, ptr addrspace(18) @copy", "@copy = internal addrspace(18) global bfloat 0.0", "must not make a pointer to cache memory of a constant"},
    Broken{"EntryAsPlainPointer", "%p = load ptr, ptr %at.keys", "", "must give 'keys' as a pointer in address space 18"},
    Broken{"EntryAsInteger", "%p = load i64, ptr %at.keys", "", "must give 'keys' as a pointer in address space 18"},
    Broken{"EntryInAnotherSpace", "%p = load ptr addrspace(18), ptr %at.values", "", "must give 'values' as a pointer in address space 17"},
    Broken{"BufferInTheSpace", "%p = load ptr addrspace(18), ptr %at.buffer", "", "must give 'slot0' as a pointer in address space 0"},
    Broken{"EntryBehindTheTable", "%at = getelementptr ptr, ptr %pointers, i32 4\n %p = load ptr, ptr %at", "", "must be read at one of its 4 pointers, got byte 32"},
    Broken{"EntryAtRunTime", "%i = load i64, ptr %dims\n %at = getelementptr ptr, ptr %pointers, i64 %i\n %p = load ptr, ptr %at", "", "must be read at constant places"},
    Broken{"TableWritten", "store ptr %buffer, ptr %at.buffer", "", "must not be written"},
    Broken{"TableKept", "store ptr %pointers, ptr %buffer", "", "must be stored for a fork only"},
    Broken{"TablePassedOn", "call void @unseen(ptr %pointers)", "declare void @unseen(ptr)", "must not be passed to code that is not here"},
    Broken{"TableAsInteger", "%i = ptrtoint ptr %pointers to i64", "", "must not go where it cannot be followed"},
    Broken{"Builtins", "", "define internal void @block() {\n ret void\n }", "function 'block' must have the attribute no-builtins"}),
    [](const auto &info) { return std::string(info.param.name); });

TEST_F(CacheCheck, NamesTheWayOfThePointer) {
  const absl::Status status = check(step("%row = getelementptr bfloat, ptr addrspace(18) %keys, i64 7\n"
                                         "%i = ptrtoint ptr addrspace(18) %row to i64"));
  EXPECT_EQ(status.message(), "contract: LLVM IR: 'ptrtoint' in 'graphc_decode' must not touch cache memory\n"
                              "  note: %i = ptrtoint ptr addrspace(18) %row to i64\n"
                              "  note: through '%row = getelementptr bfloat, ptr addrspace(18) %keys, i64 7'\n"
                              "  note: through '%keys = load ptr addrspace(18), ptr %at.keys, align 8'");
}

/// A loop that copies 64 elements of a buffer to the keys.
std::string copyLoop(const char *attribute) {
  return concat(R"(
    target triple = "x86_64-unknown-linux-gnu"
    define void @graphc_decode(ptr %pointers, ptr %dims) )", attribute, R"( {
      %at.keys = getelementptr inbounds ptr, ptr %pointers, i32 1
      %keys = load ptr addrspace(18), ptr %at.keys
      %at.buffer = getelementptr inbounds ptr, ptr %pointers, i32 3
      %buffer = load ptr, ptr %at.buffer
      call void @append(ptr addrspace(18) %keys, ptr %buffer)
      ret void
    }
    define internal void @append(ptr addrspace(18) noalias %keys, ptr noalias %buffer) noinline )", attribute, R"( {
    entry:
      br label %loop
    loop:
      %i = phi i64 [ 0, %entry ], [ %next, %loop ]
      %from = getelementptr bfloat, ptr %buffer, i64 %i
      %to = getelementptr bfloat, ptr addrspace(18) %keys, i64 %i
      %v = load bfloat, ptr %from
      store bfloat %v, ptr addrspace(18) %to
      %next = add i64 %i, 1
      %more = icmp ult i64 %next, 64
      br i1 %more, label %loop, label %exit
    exit:
      ret void
    })");
}

void optimize(llvm::Module &module) {
  llvm::PassBuilder builder;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

TEST_F(CacheCheck, FindsTheMemcpyThatACopyLoopBecomes) {
  EXPECT_NE(check(copyLoop("")).message().find("must have the attribute no-builtins"), std::string::npos);
  optimize(*module);
  for (llvm::Function &function : *module) // so that the copy itself is what is refused
    function.addFnAttr("no-builtins");
  const absl::Status status = checkCacheAccess(*module, program(), CodeState::Optimized);
  EXPECT_NE(status.message().find("must not apply 'llvm.memcpy"), std::string::npos) << status;

  ASSERT_TRUE(check(copyLoop("\"no-builtins\"")).ok());
  optimize(*module);
  const absl::Status sound = checkCacheAccess(*module, program(), CodeState::Optimized);
  EXPECT_TRUE(sound.ok()) << sound;
}

} // namespace
