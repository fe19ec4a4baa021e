// What the properties are tested on: models of each family and drawn ones, the layer
// pipeline under a setting, and runs by the interpreter.
#pragma once

#include "Decoder.h"

#include "Reference/Interpreter.h"
#include "Support/Safetensors.h"
#include "graphc/IR/Layer.h"
#include "passes/layer/Passes.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

namespace graphc::properties {

/// A model as text, and the folder of its weights.
struct Subject {
  std::string name, text, folder;

  /// Its graphs are then "encode" and "main", which share the cache.
  bool hasEncoder() const { return text.find("layer.graph @encode(") != text.npos; }
};

/// Imported models of each family, then drawn ones with windows and without rope, then
/// models with an encoder. A new family joins here and is then under every property.
const std::vector<Subject> &subjects();
/// The one of that name.
const Subject &subject(std::string_view name);
/// A drawn decoder as a subject; `weights` lives as long as it is used.
Subject subjectOf(const Decoder &decoder, const CheckpointFolder &weights);

/// What the layer pipeline is asked for.
using Setting = layer::LayerPipelineOptions;
/// compute=bf16,output=f32 and so on; an empty text leaves the key out.
std::vector<std::string> policyOf(const std::string &params, const std::string &compute, const std::string &output);
std::string describe(const Setting &setting);

/// f32, bf16, f16 and absent for params, compute, output and the pin, each with each; the
/// 8-bit pins with each compute and output.
struct Types {
  std::string params, compute, output, pin;

  Setting setting() const;
  /// C of attention and the type of the cache: absent compute is f32, absent pin is C.
  DType computeType() const { return compute.empty() ? DType::F32 : *parseDType(compute); }
  DType cacheType() const { return pin.empty() ? computeType() : *parseDType(pin); }
};
std::vector<Types> everyTypes();

/// A module of its own, with its diagnostics. All are of one context: that, and parsing
/// a text once when several follow one another, is what lets tests run thousands.
class Module {
public:
  /// The test fails, and `isReady` is false, if `text` does not parse.
  explicit Module(const std::string &text);

  bool isReady() const { return bool(module); }
  /// Runs the whole layer pipeline; false after an error, which is in `diagnostics`.
  bool run(const Setting &setting);
  /// Runs what `build` adds.
  bool run(llvm::function_ref<void(mlir::OpPassManager &)> build);
  /// Adds what is said to `diagnostics` while it lives; run does.
  mlir::ScopedDiagnosticHandler collect();
  std::string text() const;
  auto graphs() const { return module.get().getOps<layer::GraphOp>(); }
  /// The decoder.
  layer::GraphOp graph() const { return module.get().lookupSymbol<layer::GraphOp>(layer::kMainGraph); }
  template <typename Op> int64_t count() const {
    int64_t number = 0;
    module.get().walk([&](Op) { ++number; });
    return number;
  }

  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string diagnostics;
};

/// One call: ids and mask, both (batch, tokens).
struct Call {
  reference::Tensor ids, mask;
  std::vector<int32_t> rewound = {}; ///< (batch): lengths to rewind to before; empty: none.
};
/// One to three calls of a ragged batch, padded at any places, then two of one token:
/// at most 15 tokens a sequence. Some go on from an earlier token of each sequence.
std::vector<Call> drawCalls(Draw &draw, int64_t vocab);
/// A prompt padded left, one padded right, two tokens one by one.
std::vector<Call> fixedCalls();

struct Results {
  reference::Outputs source; ///< Of the encoder.
  std::vector<reference::Outputs> calls;
  reference::CacheState cache;
};
/// Runs the calls one after the other on one cache of 16 rows; an encoder, before them,
/// on the first one's ids. Failures of the interpreter are failures of the test.
Results interpret(const Module &module, const std::string &folder, const std::vector<Call> &calls,
                  reference::Options options = {});

/// Number of elements that differ in the outputs called `names`, those at padded
/// queries left out. Both must have the outputs.
int64_t differences(const Results &a, const Results &b, const std::vector<Call> &calls,
                    const std::vector<std::string> &names = {"logits", "hidden_states"});

} // namespace graphc::properties
