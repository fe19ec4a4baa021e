// A kernel's time is that between two calls of the trace, which thread 0 makes when
// all threads are done; the first kernel's includes the start of the step, and any
// kernel's that of those before it that no trace sees.
#include "tools/bench/KernelTimes.h"

#include "Runtime/Trace.h"
#include "Support/Message.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace graphc::bench {

/// "layers.*.ffn.gate" of "layers.3.ffn.gate".
static std::string patternOf(std::string_view layer) {
  std::string pattern;
  while (true) {
    const size_t dot = layer.find('.');
    const std::string_view part = layer.substr(0, dot);
    pattern += !part.empty() && part.find_first_not_of("0123456789") == part.npos ? "*" : part;
    if (dot == layer.npos)
      return pattern;
    pattern += '.';
    layer.remove_prefix(dot + 1);
  }
}

/// True if `relative`, as a block that several layers share has it, is `layer`.
static bool isName(std::string_view layer, std::string_view relative) {
  return layer == relative || layer.ends_with(concat(".", relative));
}

/// The work of each kernel of a trace, with its layer's whole name. Kernels that only
/// move rows are not traced.
static absl::StatusOr<std::vector<KernelWork>> tracedOf(const std::vector<KernelWork> &all, const std::vector<TracedKernel> &trace) {
  std::vector<KernelWork> kernels;
  auto next = all.begin();
  for (const TracedKernel &traced : trace) {
    while (next != all.end() && (traced.layers.empty() || !isName(traced.layers.front(), next->layer)))
      ++next;
    if (next == all.end())
      return absl::InternalError(concat("trace has kernel '", join(traced.layers), "', whose work was not counted"));
    kernels.push_back(*next++);
    kernels.back().layer = traced.layers.front();
  }
  return kernels;
}

double Profile::kernelSeconds() const {
  double sum = 0;
  for (const KernelTime &kernel : kernels)
    sum += kernel.seconds;
  return sum;
}

absl::StatusOr<Profile> timeKernels(Sequences &sequences, const Work &work, const Measurement &measurement, int64_t repeats,
                                    Tokens &tokens, Calibration &calibration) {
  const bool isPrefill = measurement.phase == Measurement::Phase::Prefill;
  absl::StatusOr<std::vector<KernelWork>> found =
      tracedOf(isPrefill ? work.prefillKernels : work.decodeKernels, TraceAccess::lastCall(sequences.get()).program.kernels);
  if (!found.ok())
    return found.status();
  const std::vector<KernelWork> &kernels = *found;
  Profile profile{measurement.phase, measurement.batch, measurement.threads, measurement.context,
                  isPrefill ? measurement.tokens : measurement.batch, 0, 0, {}, {}};
  std::map<std::pair<std::string, std::string>, size_t> places;
  std::vector<size_t> groupOf; // of each kernel
  for (const KernelWork &kernel : kernels) {
    const auto [place, isNew] = places.try_emplace({kernel.kind, patternOf(kernel.layer)}, profile.kernels.size());
    if (isNew) {
      KernelTime &group = profile.kernels.emplace_back();
      std::tie(group.kind, group.layers) = place->first;
    }
    groupOf.push_back(place->second);
    ++profile.kernels[place->second].calls;
  }

  std::vector<double> step(profile.kernels.size()); // of the groups, in the step that runs
  Clock::time_point last;
  absl::Status status = TraceAccess::set(sequences.get(), [&](const CallView &, int64_t kernel) {
    const Clock::time_point now = Clock::now();
    step[groupOf[size_t(kernel)]] += std::chrono::duration<double>(now - last).count();
    last = now;
  });
  if (!status.ok())
    return status;
  sequences.reset();
  if (!isPrefill && measurement.context)
    if (auto filled = sequences.forward(tokens.next(measurement.context * measurement.batch), NewTokens::Logits::None); !filled.ok())
      return filled.status();
  const int64_t newTokens = profile.tokens / profile.batch;
  auto addCosts = [&] {
    for (size_t i = 0; i < kernels.size(); ++i) {
      const Cost cost = costOf(kernels[i].work, sequences.lengths(), newTokens);
      Cost &sum = profile.kernels[groupOf[i]].cost;
      sum.bytes += cost.bytes;
      sum.multiplyAdds.dot += cost.multiplyAdds.dot;
      sum.multiplyAdds.f32 += cost.multiplyAdds.f32;
    }
  };
  addCosts(); // of the first step; later ones of a decoding see a few rows more

  const Limits before = calibration.measure(measurement.threads);
  std::vector<std::vector<double>> times(profile.kernels.size());
  std::vector<double> steps, shares;
  const int64_t room = sequences.get().options().capacity - measurement.context;
  const int64_t count = isPrefill ? repeats : std::min(16 * repeats, room);
  for (int64_t i = 0; i < count; ++i) {
    if (isPrefill)
      sequences.reset();
    const std::vector<int32_t> ids = tokens.next(profile.tokens);
    std::ranges::fill(step, 0);
    const Clock::time_point begin = last = Clock::now();
    if (auto done = sequences.forward(ids, NewTokens::Logits::Last); !done.ok())
      return done.status();
    // Of the same span as the kernels: what comes between here and the step's own clock is in both.
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    steps.push_back(seconds);
    shares.push_back(std::reduce(step.begin(), step.end()) / seconds);
    for (size_t group = 0; group < step.size(); ++group)
      times[group].push_back(step[group]);
  }
  profile.limits = Limits::between(before, calibration.measure(measurement.threads));
  profile.seconds = median(std::move(steps));
  profile.kernelShare = median(std::move(shares));
  for (size_t group = 0; group < times.size(); ++group) {
    KernelTime &kernel = profile.kernels[group];
    kernel.seconds = median(std::move(times[group]));
    kernel.limitSeconds = limitSeconds(kernel.cost, profile.limits, &kernel.isMemoryBound);
  }
  return profile;
}

} // namespace graphc::bench
