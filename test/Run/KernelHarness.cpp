// Compilation, linking and guarded memory for the kernel tests.
#include "KernelHarness.h"

#include "Codegen/NativeModule.h"
#include "graphc/IR/Kernel.h"
#include "passes/cpu/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/TargetSelect.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <sys/mman.h>

namespace graphc::test {

//===-- Operand -----------------------------------------------------------------===//

static constexpr size_t kPage = 4096;

Operand::Operand(DType dtype, int64_t rows, int64_t columns, int64_t stride)
    : dtype(dtype), rows(rows), columns(columns), stride(stride ? stride : columns) {
  const int64_t elements = rows ? (rows - 1) * this->stride + columns : columns;
  const size_t bytes = size_t(elements) * byteSize(dtype), whole = (bytes + kPage - 1) / kPage * kPage;
  mapBytes = kPage + whole + kPage;
  map = static_cast<char *>(mmap(nullptr, mapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_NE(map, MAP_FAILED);
  memset(map, 0xff, mapBytes - kPage);
  mprotect(map + kPage + whole, kPage, PROT_NONE);
  data = map + kPage + whole - bytes;
}

Operand::~Operand() {
  if (map)
    munmap(map, mapBytes);
}

Operand &Operand::operator=(Operand &&other) noexcept {
  std::swap(dtype, other.dtype);
  std::swap(rows, other.rows);
  std::swap(columns, other.columns);
  std::swap(stride, other.stride);
  std::swap(dims, other.dims);
  std::swap(map, other.map);
  std::swap(data, other.data);
  std::swap(mapBytes, other.mapBytes);
  return *this;
}

char *Operand::elementAt(int64_t row, int64_t column) const {
  return data + size_t(row * stride + column) * byteSize(dtype);
}

Operand &&Operand::shaped(std::vector<int64_t> shape) && {
  dims = std::move(shape);
  return std::move(*this);
}

Operand &&Operand::random(std::mt19937_64 &engine, double deviation) && {
  std::normal_distribution<double> draw(0, deviation);
  for (int64_t row = 0; row < std::max<int64_t>(rows, 1); ++row)
    for (int64_t column = 0; column < columns; ++column)
      set(row, column, draw(engine));
  return std::move(*this);
}

Operand &&Operand::integers(std::mt19937_64 &engine, int64_t limit) && {
  for (int64_t column = 0; column < columns; ++column)
    set(0, column, double(engine() % uint64_t(limit)));
  return std::move(*this);
}

double Operand::get(int64_t row, int64_t column) const { return loadElement(dtype, elementAt(row, column)); }

void Operand::set(int64_t row, int64_t column, double value) {
  // Integers hold no NaN.
  storeElement(dtype, elementAt(row, column), isFloat(dtype) || std::isfinite(value) ? float(value) : 0);
}

void Operand::clear() {
  for (int64_t row = 0; row < std::max<int64_t>(rows, 1); ++row)
    memset(elementAt(row, 0), 0xff, size_t(columns) * byteSize(dtype));
}

bool Operand::canariesIntact() const {
  auto intact = [](const char *from, const char *to) {
    return std::all_of(from, to, [](char byte) { return byte == char(0xff); });
  };
  for (int64_t row = 0; row + 1 < rows; ++row)
    if (!intact(elementAt(row, columns), elementAt(row + 1, 0)))
      return false;
  return intact(map, data);
}

std::vector<int64_t> Operand::descriptor(int64_t count) const {
  const auto address = int64_t(data);
  if (!dims.empty()) {
    std::vector<int64_t> result{address, address, 0};
    result.insert(result.end(), dims.begin(), dims.end());
    for (size_t i = 1; i <= dims.size(); ++i)
      result.push_back(std::accumulate(dims.begin() + i, dims.end(), int64_t(1), std::multiplies<>()));
    return result;
  }
  if (rows == 0)
    return {address, address, 0, count, 1};
  return {address, address, 0, count, columns, stride, 1};
}

//===-- CompiledKernels ------------------------------------------------------------===//

struct CompiledKernels::State {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};

static absl::StatusOr<std::string> compile(const std::string &text, const Target &target,
                                           const std::function<void(mlir::ModuleOp)> &emit) {
  mlir::DialectRegistry registry;
  registry.insert<kernel::KernelDialect, mlir::arith::ArithDialect, mlir::func::FuncDialect, mlir::LLVM::LLVMDialect,
                  mlir::math::MathDialect, mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::vector::VectorDialect>();
  registerTranslations(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return absl::InvalidArgumentError("kernels do not parse:\n" + text);
  if (emit) {
    context.loadAllAvailableDialects(); // as passes do for what they create
    emit(*module);
  }
  mlir::PassManager manager(&context);
  const std::string name(target.name);
  cpu::buildEmissionPipeline(manager, {name});
  cpu::buildLowerToLLVMPipeline(manager, target);
  if (failed(manager.run(*module)))
    return absl::InternalError("kernels do not lower:\n" + text);
  auto native = NativeModule::translate(*module, target, "");
  if (!native.ok())
    return native.status();
  (*native)->optimize(1);
  return (*native)->object();
}

CompiledKernels::CompiledKernels(const std::string &text, const Target &target,
                                 const std::function<void(mlir::ModuleOp)> &emit) {
  absl::StatusOr<std::string> object = compile(text, target, emit);
  if (!object.ok()) {
    ADD_FAILURE() << object.status().ToString();
    return;
  }
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  auto jit = llvm::cantFail(llvm::orc::LLJITBuilder().create());
  llvm::cantFail(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(*object, "kernels")));
  // Threads run in turn: there is nothing to wait for.
  const std::pair<const char *, llvm::orc::ExecutorAddr> runtime[] = {
      {"__kmpc_barrier", llvm::orc::ExecutorAddr::fromPtr(+[](void *, int32_t) {})},
      {"__kmpc_global_thread_num", llvm::orc::ExecutorAddr::fromPtr(+[](void *) -> int32_t { return 0; })}};
  llvm::orc::SymbolMap symbols;
  for (auto [name, address] : runtime)
    symbols[jit->mangleAndIntern(name)] = {address, llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  llvm::cantFail(jit->getMainJITDylib().define(llvm::orc::absoluteSymbols(std::move(symbols))));
  state = std::make_unique<State>(State{std::move(jit)});
}

CompiledKernels::~CompiledKernels() = default;

template <size_t... I>
static void invoke(void *function, int64_t thread, int64_t threads, void **arguments, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(int64_t, int64_t, decltype(static_cast<void>(I), static_cast<void *>(nullptr))...)>(
      function)(thread, threads, arguments[I]...);
}

void CompiledKernels::run(const std::string &function, int threads,
                          const std::vector<std::pair<Operand *, int64_t>> &operands) const {
  void *address = llvm::cantFail(state->jit->lookup("_mlir_ciface_" + function)).toPtr<void *>();
  std::vector<std::vector<int64_t>> descriptors;
  std::vector<void *> arguments;
  for (auto [operand, rows] : operands)
    descriptors.push_back(operand->descriptor(rows));
  for (std::vector<int64_t> &descriptor : descriptors)
    arguments.push_back(descriptor.data());
  for (int thread = threads - 1; thread >= 0; --thread)
    switch (arguments.size()) {
    case 2: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<2>()); break;
    case 3: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<3>()); break;
    case 4: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<4>()); break;
    case 5: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<5>()); break;
    case 6: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<6>()); break;
    case 8: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<8>()); break;
    case 10: invoke(address, thread, threads, arguments.data(), std::make_index_sequence<10>()); break;
    default: FAIL() << "no call with " << arguments.size() << " operands";
    }
}

std::vector<const Target *> hostTargets() {
  std::vector<const Target *> result;
  for (const Target &target : targets())
    if (missingFeatures(target).empty())
      result.push_back(&target);
  return result;
}

} // namespace graphc::test
