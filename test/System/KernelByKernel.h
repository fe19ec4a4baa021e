// Compiled kernels against the interpreter, one at a time: after each kernel of a
// real step its results are compared with the derived interval (docs/Numerics.md
// T1, T4) and then replaced by the reference's, so that no error travels.
#pragma once

#include "Reference/Interpreter.h"
#include "Runtime/Trace.h"
#include "graphc/Compiler.h"

#include "mlir/IR/MLIRContext.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace graphc::system_test {

class KernelByKernel {
public:
  /// `layers`: the model's text at Stage::Layer. `compiled`: the same model under
  /// the same options, with a trace. `folder` has its weights. `chunk`: most tokens of a
  /// step; with fewer than `sessionLength` rings turn.
  KernelByKernel(const std::string &layers, CompiledModel compiled, const std::string &folder, int64_t sessionLength,
                 int64_t chunk, int64_t sourceLength = 1);
  ~KernelByKernel();

  /// Of a model with an encoder, before the first step: reads a source of at most
  /// `sourceLength` tokens on both sides, and compares every kernel and the cross cache.
  void encode(const std::vector<int32_t> &ids);

  /// Runs `ids` of one sequence behind those of earlier steps on both sides, and
  /// compares every kernel and the cache.
  void step(const std::vector<int32_t> &ids);
  /// Shortens the sequence on both sides. False, and nothing is changed, if a ring has
  /// lost rows that the next token sees.
  bool rewind(int64_t length);
  int64_t length() const;
  /// Every traced value must have been compared.
  void finish();

private:
  struct Models;
  void compareKernel(const CallView &call, int64_t k);
  void compareCache();

  std::unique_ptr<Models> models;
  void compareValue(const std::string &name, const reference::Tensor &tensor, const std::vector<double> &actual,
                    const std::map<std::string, std::vector<double>> &results) const;

  std::set<std::string> traced, compared;
  std::map<std::string, std::pair<std::string, float>> scales; ///< By layer: what it scales, and by what.
  std::map<std::string, reference::Tensor> values; ///< Of the reference's current step, by trace name.
  int64_t kernels = 0;
  int64_t reached = 0; ///< Greatest length since the sequence was empty: rows of rings behind it are gone.
};

} // namespace graphc::system_test
