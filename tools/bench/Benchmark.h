// Runs of a compiled model, each beside measurements of the machine's limits.
#pragma once

#include "Compiler/Work.h"
#include "Support/MemoryPlan.h"
#include "graphc/Compiler.h"
#include "tools/bench/Calibration.h"

#include <absl/status/statusor.h>
#include <span>
#include <string>
#include <vector>

namespace graphc::bench {

/// What is run: prefills of each length, and decoding behind each context, for
/// each batch and number of threads.
struct Plan {
  std::vector<int64_t> prompts = {512};  ///< Tokens of a sequence.
  std::vector<int64_t> contexts = {128}; ///< Tokens of a sequence before the first decoded one.
  std::vector<int64_t> batches = {1};
  std::vector<int64_t> threads;          ///< None: all cores.
  int64_t generated = 128;               ///< Steps of a decoding.
  int64_t repeats = 3;
};

/// One timing and the limits around it.
struct Sample {
  double seconds = 0;
  Limits limits;
  double limitSeconds = 0; ///< What the cost takes at those limits.
  double ratio() const { return limitSeconds / seconds; }
};

struct Measurement {
  enum class Phase { Prefill, Decode } phase;
  int64_t batch, threads;
  int64_t context; ///< Tokens of a sequence before the first measured one.
  int64_t tokens;  ///< New tokens of a sample, all sequences.
  int64_t steps;   ///< Calls of a sample.
  Cost cost;       ///< Of a sample; the mean of the samples, since contexts grow.
  bool isMemoryBound = false;
  std::vector<Sample> samples;

  double seconds() const; ///< The median, as are all of these.
  double ratio() const;
  Limits limits() const;
};

/// A prompt of `prompt` tokens, from nothing but an open model.
struct FirstToken {
  int64_t prompt = 0, threads = 0;
  double coldSeconds = 0; ///< The first session: pages of weights are mapped meanwhile.
  double warmSeconds = 0; ///< The next one.
};

/// Bytes, while the session with the largest plan is there.
struct MemoryUse {
  uint64_t resident = 0;    ///< The peak so far, pages of mapped files included.
  uint64_t privateBytes = 0;///< Anonymous memory now, without the calibration's buffer.
  uint64_t compiledBytes = 0; ///< The same when the code was there and no weight: what the compiler leaves.
  uint64_t hugeAnonymous = 0, hugeFile = 0; ///< In huge pages: of all anonymous memory, of mapped files.
  MemoryPlan plan;
};

/// Kernels of one kind that layers share, in one step.
struct KernelTime {
  std::string kind, layers; ///< "matmul", "layers.*.ffn.gate".
  int64_t calls = 0;
  double seconds = 0;      ///< Of all calls, the median over the steps.
  double limitSeconds = 0; ///< Predicted: at the limits of the machine; 0 of what reads no weight or cache.
  bool isMemoryBound = false;
  Cost cost;
};

/// Where the time of a step goes.
struct Profile {
  Measurement::Phase phase;
  int64_t batch, threads, context, tokens;
  double seconds = 0;     ///< Of the step, the median.
  double kernelShare = 0; ///< Of a step that its kernels take together, the median.
  Limits limits;
  std::vector<KernelTime> kernels; ///< In the order in which they first run.
  double kernelSeconds() const;
};

/// The median of the limits beside `measurements` on `threads` threads.
Limits medianLimits(std::span<const Measurement> measurements, int64_t threads);

struct Benchmark {
  double linkSeconds = 0, openSeconds = 0;
  std::string cacheDType; ///< As Session::cacheDType.
  FirstToken firstToken;
  MemoryUse memory;
  std::vector<Measurement> measurements;
  std::vector<Profile> profiles; ///< One a measurement, if kernels are timed.
};

/// 0 of no values; the mean of the middle two of an even number.
double median(std::vector<double> values);

/// Seconds that `cost` takes at least; `isMemoryBound` (may be null) becomes
/// whether reading takes longer than multiplying.
double limitSeconds(const Cost &cost, const Limits &limits, bool *isMemoryBound = nullptr);

/// Runs `plan` with the weights in `folder`, or with random ones if it is empty.
/// `traced` (may be null) is the same model compiled with a trace: its kernels are
/// timed one by one in steps of their own. Errors: those of Model::open and
/// Session::create.
absl::StatusOr<Benchmark> runBenchmark(const CompiledModel &compiled, const std::string &folder, const Plan &plan,
                                       const CompiledModel *traced = nullptr);
/// The kernels alone: all that is filled in is the profiles and the cache's dtype.
absl::StatusOr<Benchmark> profileKernels(const CompiledModel &traced, const std::string &folder, const Plan &plan);

} // namespace graphc::bench
