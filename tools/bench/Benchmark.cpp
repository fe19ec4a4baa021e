// Every timing lies between two measurements of the limits and is compared with
// their mean. A decoding is cut into groups of steps, each a sample, since
// bandwidth drifts within the seconds that a long one takes. Only forward is
// timed: tokens are drawn before, and nothing is sampled from the logits.
#include "tools/bench/Benchmark.h"

#include "Runtime/Cores.h"
#include "Support/File.h"
#include "Support/Message.h"
#include "tools/bench/KernelTimes.h"
#include "tools/bench/RandomWeights.h"
#include "tools/bench/Sequences.h"

#include <algorithm>

namespace graphc::bench {

namespace {
constexpr int64_t kFirstPrompt = 16;   ///< Tokens of the prompt that first tokens are timed with.
constexpr int64_t kDecodeSamples = 8;  ///< Groups of steps of one decoding.

template <typename Range, typename Get> double medianOf(const Range &elements, Get get) {
  std::vector<double> values;
  for (const auto &element : elements)
    values.push_back(get(element));
  return median(std::move(values));
}

Limits medianOf(const std::vector<Limits> &limits) {
  return {medianOf(limits, [](const Limits &one) { return one.readBandwidth; }), medianOf(limits, [](const Limits &one) { return one.dotPeak; }),
          medianOf(limits, [](const Limits &one) { return one.f32Peak; })};
}

/// The number of kB that `key` has in a file of /proc; 0 if it is not there.
uint64_t kilobytes(const char *file, std::string_view key) {
  absl::StatusOr<std::string> text = readFile(file);
  const size_t at = text.ok() ? text->find(key) : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + key.size(), nullptr, 10) * 1024;
}

class Runner {
public:
  Runner(const CompiledModel &compiled, const CompiledModel *traced, Plan plan, Calibration calibration)
      : compiled(compiled), traced(traced), plan(std::move(plan)), calibration(std::move(calibration)),
        tokens(compiled.program().model.vocabSize) {}

  absl::Status run(const std::string &folder);
  /// Times kernels and nothing else.
  absl::Status runKernels(const std::string &folder);
  Benchmark result;

private:
  absl::Status open(const std::string &folder);
  absl::Status timeFirstTokens();
  /// The runs of the plan, without samples.
  std::vector<Measurement> runsOf(int64_t threads, int64_t batch) const;
  absl::Status measure(int64_t threads, int64_t batch);
  absl::Status prefill(Sequences &sequences, Measurement &measurement);
  absl::Status decode(Sequences &sequences, Measurement &measurement);
  /// Adds a sample of what took `seconds` behind `before`.
  void addSample(Measurement &measurement, double seconds, const Cost &cost, const Limits &before);
  /// Times the kernels of the steps of `runs`.
  absl::Status profile(std::span<const Measurement> runs);
  SessionOptions options(int64_t threads, int64_t batch) const;
  /// Anonymous memory, without the calibration's buffer.
  uint64_t privateBytes() const;
  void sampleMemory(const MemoryPlan &memoryPlan);

  const CompiledModel &compiled;
  const CompiledModel *traced; ///< Null: kernels are not timed.
  Plan plan;
  Calibration calibration;
  Tokens tokens;
  std::shared_ptr<const Model> model, tracedModel;
};
} // namespace

double limitSeconds(const Cost &cost, const Limits &limits, bool *isMemoryBound) {
  const double reading = cost.bytes / limits.readBandwidth;
  const double dots = cost.multiplyAdds.dot ? 2 * cost.multiplyAdds.dot / limits.dotPeak : 0;
  const double multiplying = dots + 2 * cost.multiplyAdds.f32 / limits.f32Peak;
  if (isMemoryBound)
    *isMemoryBound = reading > multiplying;
  return std::max(reading, multiplying);
}

double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::ranges::sort(values);
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double Measurement::seconds() const { return medianOf(samples, [](const Sample &s) { return s.seconds; }); }
double Measurement::ratio() const { return medianOf(samples, [](const Sample &s) { return s.ratio(); }); }
Limits Measurement::limits() const { return medianLimits({this, 1}, threads); }

Limits medianLimits(std::span<const Measurement> measurements, int64_t threads) {
  std::vector<Limits> limits;
  for (const Measurement &measurement : measurements)
    if (measurement.threads == threads)
      for (const Sample &sample : measurement.samples)
        limits.push_back(sample.limits);
  return medianOf(limits);
}

absl::Status Runner::open(const std::string &folder) {
  Clock::time_point start = Clock::now();
  absl::StatusOr<std::shared_ptr<const Executable>> executable = compiled.executable();
  if (!executable.ok())
    return executable.status();
  result.linkSeconds = since(start);
  result.memory.compiledBytes = privateBytes();
  // Impossible sessions are refused before gigabytes are written for them.
  for (int64_t batch : plan.batches)
    if (absl::StatusOr<uint64_t> bytes = (*executable)->planBytes(options(plan.threads[0], batch)); !bytes.ok())
      return bytes.status();
  std::optional<RandomWeights> random; // until it is mapped
  if (folder.empty()) {
    absl::StatusOr<RandomWeights> made = RandomWeights::create(compiled.program());
    if (!made.ok())
      return made.status();
    random.emplace(*std::move(made));
  }
  start = Clock::now();
  absl::StatusOr<std::shared_ptr<const Model>> opened = Model::open(*executable, random ? random->folder() : folder);
  if (!opened.ok())
    return opened.status();
  result.openSeconds = since(start);
  model = *std::move(opened);
  if (!traced || traced == &compiled) {
    tracedModel = model;
    return absl::OkStatus();
  }
  absl::StatusOr<std::shared_ptr<const Executable>> tracedCode = traced->executable();
  if (!tracedCode.ok())
    return tracedCode.status();
  opened = Model::open(*tracedCode, random ? random->folder() : folder);
  if (!opened.ok())
    return opened.status();
  tracedModel = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Runner::timeFirstTokens() {
  const int64_t maxLength = compiled.program().model.maxLength;
  FirstToken &first = result.firstToken;
  first.prompt = std::min(kFirstPrompt, maxLength);
  first.threads = std::ranges::max(plan.threads);
  const std::vector<int32_t> prompt = tokens.next(first.prompt);
  for (double *seconds : {&first.coldSeconds, &first.warmSeconds}) {
    const Clock::time_point start = Clock::now();
    SessionOptions session;
    session.capacity = first.prompt;
    session.threads = first.threads;
    absl::StatusOr<Sequences> sequences = Sequences::create(model, session);
    if (!sequences.ok())
      return sequences.status();
    if (absl::StatusOr<double> ran = sequences->forward(prompt, NewTokens::Logits::Last); !ran.ok())
      return ran.status();
    *seconds = since(start);
  }
  return absl::OkStatus();
}

SessionOptions Runner::options(int64_t threads, int64_t batch) const {
  SessionOptions session;
  session.batch = batch;
  session.threads = threads;
  session.capacity = std::max(std::ranges::max(plan.prompts), std::ranges::max(plan.contexts) + plan.generated);
  return session;
}

void Runner::addSample(Measurement &measurement, double seconds, const Cost &cost, const Limits &before) {
  const Limits limits = Limits::between(before, calibration.measure(measurement.threads));
  measurement.samples.push_back({seconds, limits, limitSeconds(cost, limits, &measurement.isMemoryBound)});
  const double count = double(measurement.samples.size());
  auto average = [&](double &mean, double value) { mean += (value - mean) / count; };
  average(measurement.cost.bytes, cost.bytes);
  average(measurement.cost.multiplyAdds.dot, cost.multiplyAdds.dot);
  average(measurement.cost.multiplyAdds.f32, cost.multiplyAdds.f32);
}

absl::Status Runner::prefill(Sequences &sequences, Measurement &measurement) {
  sequences.reset();
  const std::vector<int32_t> ids = tokens.next(measurement.tokens);
  const Cost cost = costOf(compiled.work().prefill, sequences.lengths(), measurement.tokens / measurement.batch);
  const Limits before = calibration.measure(measurement.threads);
  absl::StatusOr<double> seconds = sequences.forward(ids, NewTokens::Logits::Last);
  if (!seconds.ok())
    return seconds.status();
  addSample(measurement, *seconds, cost, before);
  return absl::OkStatus();
}

absl::Status Runner::decode(Sequences &sequences, Measurement &measurement) {
  if (sequences.lengths()[0] > measurement.context)
    sequences.reset();
  const int64_t missing = measurement.context - sequences.lengths()[0];
  if (absl::StatusOr<double> filled = sequences.forward(tokens.next(missing * measurement.batch), NewTokens::Logits::None); !filled.ok())
    return filled.status();
  for (int64_t left = plan.generated; left >= measurement.steps; left -= measurement.steps) {
    const Limits before = calibration.measure(measurement.threads);
    Cost cost;
    double seconds = 0;
    for (int64_t step = 0; step < measurement.steps; ++step) {
      const Cost one = costOf(compiled.work().decode, sequences.lengths(), 1);
      cost.bytes += one.bytes;
      cost.multiplyAdds.dot += one.multiplyAdds.dot;
      cost.multiplyAdds.f32 += one.multiplyAdds.f32;
      absl::StatusOr<double> ran = sequences.forward(tokens.next(measurement.batch), NewTokens::Logits::Last);
      if (!ran.ok())
        return ran.status();
      seconds += *ran;
    }
    addSample(measurement, seconds, cost, before);
  }
  return absl::OkStatus();
}

std::vector<Measurement> Runner::runsOf(int64_t threads, int64_t batch) const {
  std::vector<Measurement> runs;
  for (int64_t prompt : plan.prompts)
    runs.push_back({Measurement::Phase::Prefill, batch, threads, /*context=*/0, batch * prompt, /*steps=*/1, {}, false, {}});
  const int64_t steps = std::max<int64_t>(plan.generated / kDecodeSamples, 1);
  for (int64_t context : plan.contexts)
    if (plan.generated)
      runs.push_back({Measurement::Phase::Decode, batch, threads, context, batch * steps, steps, {}, false, {}});
  return runs;
}

absl::Status Runner::measure(int64_t threads, int64_t batch) {
  const SessionOptions session = options(threads, batch);
  absl::StatusOr<Sequences> sequences = Sequences::create(model, session);
  if (!sequences.ok())
    return sequences.status();
  result.cacheDType = sequences->cacheDType();
  std::vector<Measurement> runs = runsOf(threads, batch);
  // Touches the session's memory, which is not what is measured.
  if (absl::StatusOr<double> warm = sequences->forward(tokens.next(batch * plan.prompts[0]), NewTokens::Logits::Last); !warm.ok())
    return warm.status();
  for (int64_t repeat = 0; repeat < plan.repeats; ++repeat)
    for (Measurement &measurement : runs) {
      const bool isPrefill = measurement.phase == Measurement::Phase::Prefill;
      if (absl::Status status = isPrefill ? prefill(*sequences, measurement) : decode(*sequences, measurement); !status.ok())
        return status;
    }
  absl::StatusOr<MemoryPlan> memoryPlan =
      planMemory(compiled.program(), {.batch = session.batch, .capacity = session.capacity, .threads = session.threads});
  if (!memoryPlan.ok())
    return memoryPlan.status();
  if (memoryPlan->total() >= result.memory.plan.total())
    sampleMemory(*memoryPlan);
  result.measurements.insert(result.measurements.end(), runs.begin(), runs.end());
  return traced ? profile(runs) : absl::OkStatus();
}

absl::Status Runner::profile(std::span<const Measurement> runs) {
  absl::StatusOr<Sequences> sequences = Sequences::create(tracedModel, options(runs[0].threads, runs[0].batch));
  if (!sequences.ok())
    return sequences.status();
  result.cacheDType = sequences->cacheDType();
  for (const Measurement &run : runs) {
    absl::StatusOr<Profile> profile = timeKernels(*sequences, traced->work(), run, plan.repeats, tokens, calibration);
    if (!profile.ok())
      return profile.status();
    result.profiles.push_back(*std::move(profile));
  }
  return absl::OkStatus();
}

uint64_t Runner::privateBytes() const {
  const uint64_t anonymous = kilobytes("/proc/self/status", "RssAnon:");
  return anonymous - std::min(anonymous, calibration.bufferBytes());
}

void Runner::sampleMemory(const MemoryPlan &memoryPlan) {
  MemoryUse &memory = result.memory;
  memory.plan = memoryPlan;
  memory.resident = kilobytes("/proc/self/status", "VmHWM:");
  memory.privateBytes = privateBytes();
  memory.hugeAnonymous = kilobytes("/proc/self/smaps_rollup", "AnonHugePages:");
  memory.hugeFile = kilobytes("/proc/self/smaps_rollup", "FilePmdMapped:");
}

absl::Status Runner::run(const std::string &folder) {
  if (absl::Status status = open(folder); !status.ok())
    return status;
  if (absl::Status status = timeFirstTokens(); !status.ok())
    return status;
  for (int64_t threads : plan.threads)
    for (int64_t batch : plan.batches)
      if (absl::Status status = measure(threads, batch); !status.ok())
        return status;
  return absl::OkStatus();
}

absl::Status Runner::runKernels(const std::string &folder) {
  if (absl::Status status = open(folder); !status.ok())
    return status;
  for (int64_t threads : plan.threads)
    for (int64_t batch : plan.batches)
      if (absl::Status status = profile(runsOf(threads, batch)); !status.ok())
        return status;
  return absl::OkStatus();
}

static absl::StatusOr<Benchmark> benchmarkOf(const CompiledModel &compiled, const CompiledModel *traced, const Plan &plan,
                                             const std::string &folder, absl::Status (Runner::*run)(const std::string &)) {
  if (compiled.program().hasEncoder())
    return absl::FailedPreconditionError("model to measure must be a decoder alone, got one with an encoder");
  Plan complete = plan;
  if (complete.threads.empty())
    complete.threads = {availableCores()};
  std::ranges::sort(complete.contexts); // each goes on from the one before
  absl::StatusOr<Calibration> calibration = Calibration::create(*findTarget(compiled.program().targetName));
  if (!calibration.ok())
    return calibration.status();
  Runner runner(compiled, traced, std::move(complete), *std::move(calibration));
  if (absl::Status status = (runner.*run)(folder); !status.ok())
    return status;
  return std::move(runner.result);
}

absl::StatusOr<Benchmark> runBenchmark(const CompiledModel &compiled, const std::string &folder, const Plan &plan,
                                       const CompiledModel *traced) {
  return benchmarkOf(compiled, traced, plan, folder, &Runner::run);
}

absl::StatusOr<Benchmark> profileKernels(const CompiledModel &traced, const std::string &folder, const Plan &plan) {
  return benchmarkOf(traced, &traced, plan, folder, &Runner::runKernels);
}

} // namespace graphc::bench
