// Watches a compilation and gathers the facts of its report: after passes, from
// the remarks in which passes say what they did, and from the module where the
// layers and where the kernels are done. It changes nothing.
#pragma once

#include "Compiler/Report.h"
#include "graphc/Compiler.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <nlohmann/json.hpp>

namespace mlir {
class Pass;
class PassManager;
namespace func {
class FuncOp;
}
} // namespace mlir

namespace graphc {

class Explainer {
public:
  /// Listens to the remarks of `context`. With `graphs` it keeps the layer graph
  /// after each pass, for the page.
  Explainer(const CompileOptions &options, mlir::MLIRContext &context, bool graphs);

  /// To be called with each pass manager of the flow, before it runs.
  void watch(mlir::PassManager &manager);
  /// The module as it was read.
  void begin(mlir::ModuleOp module);
  /// After the layer passes.
  void layersDone(mlir::ModuleOp module);
  /// After the kernel passes; `program` is what they made.
  void kernelsDone(mlir::ModuleOp module, const Program &program);

  const Report &report() const { return facts; }
  /// The layer graphs: {"segments": [..], "stages": [..]} (ExplainGraph.cpp).
  const nlohmann::json &graphs() const { return stages; }

private:
  friend class RemarkListener;
  friend class PassWatcher;
  void beforePass(mlir::Pass *pass);
  void afterPass(mlir::Pass *pass, mlir::Operation *op);
  void heard(const std::string &pass, const std::string &key, const std::string &layer, bool isDone, std::string text);
  void counted(const std::string &pass, const std::string &name, uint64_t value);

  // ExplainLayers.cpp
  void resolveRules(mlir::ModuleOp module);
  void gatherSlots(layer::GraphOp graph);
  void gatherLayer(layer::PolicyLayer layer);
  void gatherCast(layer::CastOp cast);
  CastCause causeOf(llvm::StringRef reason) const;
  void countRounding(mlir::Type type, int64_t Rounding::*by);

  // ExplainKernels.cpp
  void findFates(mlir::func::FuncOp step);
  void gatherKernels(mlir::ModuleOp module);
  void gatherStep(mlir::ModuleOp module, llvm::StringRef name, bool ofEncoder);
  void gatherWeights(const Program &program);

  // ExplainGraph.cpp
  void snapshot(mlir::ModuleOp module, llvm::StringRef title);
  void keepOnce(nlohmann::json &text);

  const CompileOptions &options;
  const bool wantsGraphs;
  Report facts;
  std::map<std::string, PolicyKeys, std::less<>> rules; ///< By layer, and by parameter.
  std::map<std::string, size_t> castOfValue;            ///< valueName of an activation's cast to its fact.
  std::map<size_t, uint64_t> bytesPerRow;               ///< Moved by casts on the cache, by fact.
  nlohmann::json stages;
  std::map<std::string, size_t> segments;               ///< Text of a segment to its place in `stages`.
  std::map<std::string, size_t> texts;                  ///< The same for texts of nodes.
  mlir::Pass *lastPass = nullptr;                       ///< Of the last snapshot.
  mlir::Pass *lastFold = nullptr;                       ///< The run of FoldCasts that decisions are from.
};

struct Explanation::State {
  Report report;
  nlohmann::json graphs;
  std::string notes;
  nlohmann::json roofline = {}; ///< Null: nothing was measured.

  /// All but the graphs.
  nlohmann::json json(bool castsOnly) const;
};

/// The page: one HTML file with everything in it.
std::string reportPage(const nlohmann::json &report, const nlohmann::json &graphs);

/// Aborted, with each offender and its causes, if the report breaks a limit of
/// `options`: maxCasts or deny.
absl::Status checkLimits(const Report &report, const CompileOptions &options);
/// InvalidArgument unless options.deny holds known names, and the flow goes as
/// far as they need.
absl::Status checkLimitNames(const CompileOptions &options);
/// True if what is denied shows in the kernels only.
bool limitsNeedKernels(const CompileOptions &options);

} // namespace graphc
