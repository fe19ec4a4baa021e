// A step written by hand at vector level, through lowering, LLVM and both ways
// of running machine code.
#include "Codegen/Jit.h"
#include "Codegen/NativeModule.h"
#include "Codegen/ObjectParts.h"
#include "Codegen/SharedObject.h"
#include "Support/File.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/OpenMP/OpenMPDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "graphc/IR/Kernel.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

using namespace graphc;

namespace {

// scales(batch, 1, capacity, 4) is cache of dtype bf16; y = x + x, and the scales are
// doubled in place. Threads take rows in turn.
constexpr const char *kStep = R"mlir(
func.func private @doubled(%x: memref<?x4xf32>, %y: memref<?x4xf32>, %scales: memref<?x1x?x4xbf16, 18>) attributes {no_inline} {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %rows = memref.dim %x, %c0 : memref<?x4xf32>
  %id = kernel.thread_id
  %threads = kernel.num_threads
  scf.for %row = %id to %rows step %threads {
    %v = vector.load %x[%row, %c0] : memref<?x4xf32>, vector<4xf32>
    %w = arith.addf %v, %v : vector<4xf32>
    vector.store %w, %y[%row, %c0] : memref<?x4xf32>, vector<4xf32>
  }
  omp.barrier
  %batch = memref.dim %scales, %c0 : memref<?x1x?x4xbf16, 18>
  %capacity = memref.dim %scales, %c2 : memref<?x1x?x4xbf16, 18>
  %c1 = arith.constant 1 : index
  scf.for %b = %id to %batch step %threads {
    scf.for %row = %c0 to %capacity step %c1 {
      %v = vector.load %scales[%b, %c0, %row, %c0] : memref<?x1x?x4xbf16, 18>, vector<4xbf16>
      %wide = arith.extf %v : vector<4xbf16> to vector<4xf32>
      %sum = arith.addf %wide, %wide : vector<4xf32>
      %narrow = arith.truncf %sum : vector<4xf32> to vector<4xbf16>
      vector.store %narrow, %scales[%b, %c0, %row, %c0] : memref<?x1x?x4xbf16, 18>, vector<4xbf16>
    }
  }
  return
}
func.func @graphc_prefill(%x: memref<?x4xf32> {kernel.binding = {kind = "input", name = "x", dims = ["tokens", 4]}},
                          %y: memref<?x4xf32> {kernel.binding = {kind = "output", name = "y", dims = ["tokens", 4]}},
                          %scales: memref<?x1x?x4xbf16, 18> {kernel.binding = {kind = "cache", name = "keys", dims = ["batch", 1, "capacity", 4]}}) {
  omp.parallel {
    func.call @doubled(%x, %y, %scales) : (memref<?x4xf32>, memref<?x4xf32>, memref<?x1x?x4xbf16, 18>) -> ()
    omp.terminator
  }
  return
}
func.func @graphc_decode(%y: memref<?x4xf32> {kernel.binding = {kind = "output", name = "y", dims = ["tokens", 4]}}) {
  return
}
)mlir";

class Codegen : public testing::TestWithParam<std::string_view> {
protected:
  Codegen() {
    mlir::DialectRegistry registry;
    registerTranslations(registry);
    registry.insert<kernel::KernelDialect, mlir::arith::ArithDialect, mlir::cf::ControlFlowDialect, mlir::func::FuncDialect,
                    mlir::LLVM::LLVMDialect, mlir::math::MathDialect, mlir::memref::MemRefDialect, mlir::omp::OpenMPDialect,
                    mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
    context.appendDialectRegistry(registry);
  }

  std::unique_ptr<NativeModule> translate(const char *text, const Target &target, const std::string &manifest = "") {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    mlir::PassManager manager(&context);
    cpu::buildLowerToLLVMPipeline(manager, target);
    EXPECT_TRUE(succeeded(manager.run(*module)));
    auto native = NativeModule::translate(*module, target, manifest);
    EXPECT_TRUE(native.ok()) << native.status();
    return std::move(*native);
  }

  /// The step's code for `target`, optimised, in at most `parts` parts.
  std::string object(const Target &target, const std::string &manifest = "", unsigned parts = 1) {
    auto native = translate(kStep, target, manifest);
    native->optimize(1);
    auto bytes = native->object(parts);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return *bytes;
  }

  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// y and the scales after a call on `threads` threads.
std::pair<std::vector<float>, std::vector<uint16_t>> call(EntryPoint entry, int64_t threads) {
  const int64_t tokens = 7, batch = 3, capacity = 5;
  std::vector<float> x(tokens * 4), y(tokens * 4, -1);
  std::vector<uint16_t> scales(batch * capacity * 4);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = 0.1f * i;
  for (size_t i = 0; i < scales.size(); ++i)
    scales[i] = floatToBf16(1 + i);
  void *const pointers[] = {x.data(), y.data(), scales.data()};
  const int64_t dims[] = {threads, tokens, batch, 0, capacity};
  entry(pointers, dims);
  return {y, scales};
}

/// Runs `bytes`, code of kStep for `target`, in both ways.
void runInProcessAndFromASharedObject(const std::string &bytes, const Target &target) {
  auto linked = linkInProcess(bytes);
  ASSERT_TRUE(linked.ok()) << linked.status();
  auto [y, scales] = call(linked->prefill, 2);
  for (size_t i = 0; i < y.size(); ++i)
    EXPECT_EQ(y[i], 2 * (0.1f * i));
  for (size_t i = 0; i < scales.size(); ++i)
    EXPECT_EQ(bf16ToFloat(scales[i]), 2.0f * (1 + i));

  auto shared = linkSharedObject(bytes, "step.so");
  ASSERT_TRUE(shared.ok()) << shared.status();
  const std::string path = testing::TempDir() + "graphc-codegen-" + std::string(target.name) + ".so";
  ASSERT_TRUE(writeFileAtomically(path, {*shared}).ok());
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_TRUE(library) << dlerror();
  auto entry = reinterpret_cast<EntryPoint>(dlsym(library, kPrefillSymbol));
  ASSERT_TRUE(entry);
  for (int64_t threads : {1, 2, 5})
    EXPECT_EQ(call(entry, threads), std::pair(y, scales));
  EXPECT_STREQ(static_cast<const char *>(dlsym(library, kManifestSymbol)), "the manifest");
  EXPECT_EQ(dlsym(library, "doubled"), nullptr) << "blocks are not exported";
  dlclose(library);
}

TEST_P(Codegen, RunsTheSameInProcessAndFromASharedObject) {
  const Target &target = *findTarget(GetParam());
  if (!missingFeatures(target).empty())
    GTEST_SKIP() << "this host does not run " << target.name;
  runInProcessAndFromASharedObject(object(target, "the manifest"), target);
}

TEST_F(Codegen, RunsTheSameInParts) {
  const Target &target = nativeTarget();
  const std::string whole = object(target, "the manifest"), two = object(target, "the manifest", 2), many = object(target, "the manifest", 99);
  EXPECT_EQ(objectsIn(whole)->size(), 1u);
  EXPECT_EQ(objectsIn(two)->size(), 2u);
  EXPECT_EQ(objectsIn(many)->size(), 4u) << "a function at least in each: the steps, a parallel region, and the block";
  for (const std::string &bytes : {two, many}) {
    EXPECT_EQ(*checkUndefinedSymbols(bytes), *checkUndefinedSymbols(whole));
    runInProcessAndFromASharedObject(bytes, target);
  }
  EXPECT_EQ(many, object(target, "the manifest", 99)) << "parts are the same each time";
}

TEST_P(Codegen, KeepsTheAddressSpaceOfCacheMemory) {
  auto native = translate(kStep, *findTarget(GetParam()));
  native->optimize(1);
  const std::string text = native->llvmText();
  EXPECT_NE(text.find("store <4 x bfloat>"), std::string::npos) << text;
  EXPECT_NE(text.find("ptr addrspace(18)"), std::string::npos) << text;
  for (const char *forbidden : {"addrspacecast", "ptrtoint", "inttoptr", "memcpy"})
    EXPECT_EQ(text.find(forbidden), std::string::npos) << forbidden << " in\n" << text;
  EXPECT_NE(text.find("\"no-builtins\""), std::string::npos);
  EXPECT_NE(text.find("noinline"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Targets, Codegen, testing::Values("x86-64", "x86-64-v3", "x86-64-v4", "avx512_bf16", "amx_bf16"),
                         [](const auto &info) {
                           std::string name(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(Codegen, RefusesCallsOutsideTheAllowList) {
  auto native = translate(R"mlir(
    func.func @graphc_prefill(%x: memref<1xf32>) {
      %c0 = arith.constant 0 : index
      %v = memref.load %x[%c0] : memref<1xf32>
      %e = math.exp %v : f32
      memref.store %e, %x[%c0] : memref<1xf32>
      return
    })mlir", nativeTarget());
  EXPECT_EQ(native->object(2).status().message(), "contract: object: generated code calls 'expf', expected OpenMP entries only");
  EXPECT_EQ(native->object().status().message(), "contract: object: generated code calls 'expf', expected OpenMP entries only");
}

TEST_F(Codegen, EmitsTheSameObjectEachTime) {
  EXPECT_EQ(object(nativeTarget()), object(nativeTarget()));
}

TEST_F(Codegen, RefusesDamagedObjects) {
  EXPECT_FALSE(linkInProcess("not an object").ok());
  EXPECT_FALSE(linkInProcess("!<arch>\nnot an archive").ok());
  EXPECT_FALSE(linkSharedObject("not an object", "x.so").ok());
}

} // namespace
