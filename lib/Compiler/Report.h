// What `graphc explain` tells: plain facts of one compilation, gathered by
// Explainer.h and written as text, JSON and a page.
#pragma once

#include "Support/MemoryPlan.h"
#include "Support/Program.h"

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace graphc {

/// A key of a policy, a dtype each; empty: not asked for.
struct PolicyKeys {
  std::string params, compute, output;
};

/// One layer: what its policy asks for, and what runs.
struct LayerFact {
  std::string name, kind;          ///< "layers.0.ffn.gate", "dense".
  PolicyKeys requested;            ///< As dtypes.
  PolicyKeys rules;                ///< The rule that set each key, as given; "model": written in the IR.
  std::vector<std::string> reads;  ///< Element types of the activations, as the layer reads them.
  std::vector<std::string> params; ///< Element types of the parameters, as the layer reads them.
  std::string interior;            ///< Accumulation type; "none": the layer only moves values.
  std::vector<std::string> stored; ///< Element types of the results.
  std::vector<std::string> notes;  ///< Where that is not what was requested, and why.
};

/// Why a cast is there.
struct CastCause {
  std::string setting; ///< "compute=bf16".
  std::string rule;    ///< The rule that says so, as given; empty: no rule does.
  std::string layer;   ///< Whom it is for.
  std::string passes;  ///< Who made and moved it: "materialize-casts+fold-casts".
};

/// What becomes of a cast in the code.
enum class CastFate : uint8_t {
  Register, ///< A rounding or widening in registers of a kernel: no memory is touched.
  Copy,     ///< Made in registers of the kernel that makes the value, and stored beside it.
  Kernel,   ///< A kernel of its own, which reads one buffer and writes another.
  Load,     ///< A parameter is converted once, when the weights are opened.
  None,     ///< Not compiled: the flow ended at the layers.
};
std::string_view fateName(CastFate fate);

struct CastFact {
  std::string value;    ///< What is cast: "embedder", "layers.0.ffn.gate.kernel".
  std::string from, to; ///< Element types.
  CastFate fate = CastFate::None;
  std::string kernel;   ///< The first layer of the kernel that it is part of; empty for parameters.
  bool isOnCache = false;
  uint64_t bytesPerStep = 0;  ///< Moved for it by a decoding step of one sequence.
  uint64_t bytesPerToken = 0; ///< Moved for it for each token of a prefill.
  uint64_t bytesAtLoad = 0;   ///< Memory of the converted parameter.
  std::vector<CastCause> causes;
};

/// What a pass did with a layer, or did not do, and why.
struct Decision {
  std::string pass, key; ///< The pass's flag, and the name of its counter: "missed-cross".
  std::string layer;
  bool isDone = false;
  std::string text;
};

/// A counter of a pass, summed over what the pass ran on.
struct PassCounter {
  std::string pass, name;
  uint64_t value = 0;
};

/// One slot of the cache.
struct SlotFact {
  std::string name; ///< The attention that owns it.
  int64_t block = 0;
  std::string rows; ///< "full", "window 1024" or "cross".
  int64_t kvHeads = 0, headDim = 0;
  std::string keys, values;         ///< Element types.
  std::string keyRule, valueRule;   ///< The rule that pinned each; "model"; "compute": the attention's type.
  bool isFused = false;             ///< One cached attention owns it.
};

/// One weight.
struct WeightFact {
  std::string name, source, stored, used; ///< Stored and used dtype.
  std::string residency;                  ///< "in place" or "converted".
  std::string reason;
  uint64_t bytes = 0;
};

/// Kernels that are equal up to names: one line of code, run by several blocks.
struct KernelFact {
  std::string kind;                ///< "matmul".
  std::vector<std::string> layers; ///< What it computes, names relative to the block.
  int64_t roundings = 0;           ///< Roundings of one element on its way through the kernel.
  std::vector<std::string> blocks; ///< The blocks that run it; empty: outside of blocks.
  int64_t runs = 1;                ///< Times in a step.
  bool ofEncoder = false;          ///< The step is the encoder's, not a decoding one.
};

struct Rounding {
  std::string type;
  int64_t layers = 0; ///< Layers that round their result to it.
  int64_t casts = 0;  ///< Casts of activations to it.
};

/// All of it.
struct Report {
  std::string model;      ///< Path, as given.
  std::vector<std::string> policy, pins, outputs;
  std::string semantics, target;
  std::string stopped;    ///< Why nothing below the layers is known; empty: everything is.
  std::vector<LayerFact> layers;
  std::vector<CastFact> casts;
  std::vector<Rounding> roundings;
  std::vector<Decision> decisions;
  std::vector<PassCounter> counters;
  std::vector<SlotFact> slots;
  std::vector<WeightFact> weights;
  std::vector<KernelFact> kernels;
  int64_t kernelsRun = 0, kernelsInCode = 0; ///< In a decoding step; in the code of all steps.
  int64_t encoderKernelsRun = 0;             ///< In a step of the encoder.
  std::optional<MemoryPlan> plan;
};

/// The tables for people; `castsOnly` gives that one table.
std::string reportText(const Report &report, bool castsOnly);
/// The object that docs/Explain.md describes.
nlohmann::json reportJson(const Report &report, bool castsOnly);

/// "layers.*.ffn.gate" of "layers.3.ffn.gate": equal for all blocks.
std::string withoutBlock(const std::string &name);

} // namespace graphc
