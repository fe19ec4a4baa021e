// Both forms are made of the same numbers; the table shows medians only.
#include "tools/bench/Report.h"

#include "Runtime/Cores.h"
#include "Support/File.h"
#include "Support/Message.h"
#include "tools/bench/Numbers.h"

#include <sys/utsname.h>
#include <set>

namespace graphc::bench {

using nlohmann::ordered_json;

namespace {
constexpr int64_t kFormat = 1; ///< Of the JSON: changes when a key is renamed or dropped.

std::string processorName() {
  absl::StatusOr<std::string> text = readFile("/proc/cpuinfo");
  const size_t key = text.ok() ? text->find("model name") : std::string::npos;
  const size_t colon = key == std::string::npos ? key : text->find(':', key);
  if (colon == std::string::npos)
    return "unknown";
  const size_t end = text->find('\n', colon);
  return text->substr(colon + 2, end - colon - 2);
}

std::string kernelRelease() {
  utsname names;
  return ::uname(&names) == 0 ? names.release : "unknown";
}

/// Of the checkpoint's tensors: elements and bytes, ties counted once.
std::pair<uint64_t, uint64_t> parameterSize(const Program &program) {
  std::set<std::string_view> seen;
  uint64_t elements = 0, bytes = 0;
  for (const Binding &binding : program.bindings) {
    if (binding.kind != Binding::Kind::Parameter || !seen.insert(binding.source).second)
      continue;
    uint64_t size = 1;
    for (const Dim &dim : binding.dims)
      size *= uint64_t(dim.offset);
    elements += size;
    bytes += size * byteSize(binding.stored);
  }
  return {elements, bytes};
}

double compileSeconds(const CompiledModel &compiled) {
  double sum = 0;
  for (const PhaseTime &phase : compiled.phases())
    sum += phase.seconds;
  return sum;
}

std::string_view nameOf(Measurement::Phase phase) { return phase == Measurement::Phase::Prefill ? "prefill" : "decode"; }
/// Of a measurement or a kernel.
template <typename Timed> const char *boundOf(const Timed &timed) { return timed.isMemoryBound ? "memory" : "compute"; }
double rate(const Measurement &measurement) { return double(measurement.tokens) / measurement.seconds(); }

ordered_json limitsJson(const Limits &limits) {
  return {{"read_bytes_per_second", limits.readBandwidth},
          {"dot_operations_per_second", limits.dotPeak},
          {"f32_operations_per_second", limits.f32Peak}};
}

ordered_json measurementJson(const Measurement &measurement) {
  ordered_json samples = ordered_json::array();
  for (const Sample &sample : measurement.samples)
    samples.push_back({{"seconds", sample.seconds}, {"limit_seconds", sample.limitSeconds}, {"ratio", sample.ratio()},
                       {"limits", limitsJson(sample.limits)}});
  return {{"phase", std::string(nameOf(measurement.phase))},
          {"batch", measurement.batch},
          {"threads", measurement.threads},
          {"context", measurement.context},
          {"tokens", measurement.tokens},
          {"steps", measurement.steps},
          {"seconds", measurement.seconds()},
          {"tokens_per_second", rate(measurement)},
          {"ratio", measurement.ratio()},
          {"bound", boundOf(measurement)},
          {"bytes", measurement.cost.bytes},
          {"dot_multiply_adds", measurement.cost.multiplyAdds.dot},
          {"f32_multiply_adds", measurement.cost.multiplyAdds.f32},
          {"limits", limitsJson(measurement.limits())},
          {"samples", std::move(samples)}};
}

ordered_json profileJson(const Profile &profile) {
  ordered_json kernels = ordered_json::array();
  for (const KernelTime &kernel : profile.kernels)
    kernels.push_back({{"kind", kernel.kind},
                       {"layers", kernel.layers},
                       {"calls", kernel.calls},
                       {"seconds", kernel.seconds},
                       {"limit_seconds", kernel.limitSeconds},
                       {"ratio", kernel.limitSeconds / kernel.seconds},
                       {"bound", kernel.limitSeconds == 0 ? "none" : boundOf(kernel)},
                       {"bytes", kernel.cost.bytes},
                       {"dot_multiply_adds", kernel.cost.multiplyAdds.dot},
                       {"f32_multiply_adds", kernel.cost.multiplyAdds.f32}});
  return {{"phase", std::string(nameOf(profile.phase))},
          {"batch", profile.batch},
          {"threads", profile.threads},
          {"context", profile.context},
          {"tokens", profile.tokens},
          {"seconds", profile.seconds},
          {"kernel_seconds", profile.kernelSeconds()},
          {"kernel_share", profile.kernelShare},
          {"limits", limitsJson(profile.limits)},
          {"kernels", std::move(kernels)}};
}

std::string profileText(const Profile &profile) {
  std::string text = concat("\nkernels of ", stepName(profile), ": ", duration(profile.kernelSeconds()), " of ", duration(profile.seconds),
                            format(" (%.2f)\n", profile.kernelShare));
  text += "kind               layers                                  calls        ms  share  limit ms  ratio  bound        MiB    GFLOP\n";
  for (const KernelTime &kernel : profile.kernels) {
    const double flops = 2 * (kernel.cost.multiplyAdds.dot + kernel.cost.multiplyAdds.f32);
    text += format("%-17s  %-38s  %5lld  %8.3f  %5.3f", kernel.kind.c_str(), kernel.layers.c_str(), static_cast<long long>(kernel.calls),
                   kernel.seconds * 1e3, kernel.seconds / profile.seconds);
    text += kernel.limitSeconds == 0 ? "\n"
                                     : format("  %8.3f  %5.2f  %-7s  %8.1f %8.2f\n", kernel.limitSeconds * 1e3, kernel.limitSeconds / kernel.seconds,
                                              boundOf(kernel), kernel.cost.bytes / (1 << 20), flops * 1e-9);
  }
  return text;
}

/// All of the session's plan that is not a mapped file.
uint64_t plannedPrivate(const MemoryPlan &plan) { return plan.total() - plan.weightsMapped; }
} // namespace

std::string stepName(const Profile &profile) {
  return concat("a ", nameOf(profile.phase), " step of ", counted(profile.tokens, "token"), " behind ", profile.context, ", ",
                counted(profile.threads, "thread"));
}

std::string optionsText(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark) {
  return concat("policy ", subject.policy.empty() ? "as stored" : join(subject.policy, "; "), ", cache ", benchmark.cacheDType, ", target ",
                compiled.program().targetName, ", ", counted(subject.repeats, "repeat"));
}

std::string machineText() { return concat(processorName(), ", ", availableCores(), " cores, Linux ", kernelRelease()); }

ordered_json profilesJson(const Benchmark &benchmark) {
  ordered_json profiles = ordered_json::array();
  for (const Profile &profile : benchmark.profiles)
    profiles.push_back(profileJson(profile));
  return profiles;
}

std::string profilesText(const Benchmark &benchmark) {
  std::string text;
  for (const Profile &profile : benchmark.profiles)
    text += profileText(profile);
  return text;
}

ordered_json reportJson(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark) {
  const Program &program = compiled.program();
  const auto [parameters, weightBytes] = parameterSize(program);
  ordered_json phases = ordered_json::object();
  for (const PhaseTime &phase : compiled.phases())
    phases[phase.phase] = phase.seconds;
  ordered_json runs = ordered_json::array();
  for (const Measurement &measurement : benchmark.measurements)
    runs.push_back(measurementJson(measurement));
  return {{"format", kFormat},
          {"graphc", GRAPHC_VERSION},
          {"model",
           {{"name", subject.name},
            {"family", program.model.family},
            {"layers", program.model.numLayers},
            {"hidden_size", program.model.hiddenSize},
            {"vocab_size", program.model.vocabSize},
            {"parameters", parameters},
            {"weight_bytes", weightBytes},
            {"random_weights", subject.hasRandomWeights}}},
          {"options",
           {{"policy", subject.policy},
            {"pin_cache", subject.pins},
            {"cache_dtype", benchmark.cacheDType},
            {"target", program.targetName},
            {"repeat", subject.repeats}}},
          {"machine", {{"processor", processorName()}, {"cores", availableCores()}, {"kernel", kernelRelease()}}},
          {"compile", {{"seconds", compileSeconds(compiled)}, {"phases", std::move(phases)}}},
          {"start",
           {{"link_seconds", benchmark.linkSeconds},
            {"open_seconds", benchmark.openSeconds},
            {"first_token",
             {{"prompt", benchmark.firstToken.prompt},
              {"threads", benchmark.firstToken.threads},
              {"cold_seconds", benchmark.firstToken.coldSeconds},
              {"warm_seconds", benchmark.firstToken.warmSeconds}}}}},
          {"runs", std::move(runs)},
          {"kernel_profiles", profilesJson(benchmark)},
          {"memory",
           {{"peak_resident_bytes", benchmark.memory.resident},
            {"private_bytes", benchmark.memory.privateBytes},
            {"compiled_private_bytes", benchmark.memory.compiledBytes},
            {"planned_private_bytes", plannedPrivate(benchmark.memory.plan)},
            {"huge_page_bytes", {{"anonymous", benchmark.memory.hugeAnonymous}, {"files", benchmark.memory.hugeFile}}},
            {"plan", benchmark.memory.plan.json()}}}};
}

std::string reportText(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark) {
  const Program &program = compiled.program();
  const Program::Model &model = program.model;
  const auto [parameters, weightBytes] = parameterSize(program);
  std::string text = concat("model     ", subject.name, ": ", model.family, ", ", model.numLayers, " layers, hidden ", model.hiddenSize,
                            ", vocabulary ", model.vocabSize, ", ", format("%.1f M parameters, ", double(parameters) / 1e6),
                            mebibytes(double(weightBytes)), subject.hasRandomWeights ? ", random weights\n" : "\n");
  text += concat("options   ", optionsText(subject, compiled, benchmark), "\nmachine   ", machineText(), "\n");
  text += concat("compile   ", duration(compileSeconds(compiled)), ":");
  for (const PhaseTime &phase : compiled.phases())
    text += concat(&phase == &compiled.phases().front() ? " " : ", ", phase.phase, " ", duration(phase.seconds));
  const FirstToken &first = benchmark.firstToken;
  text += concat("\nstart     link ", duration(benchmark.linkSeconds), ", open weights ", duration(benchmark.openSeconds),
                 ", first token of ", first.prompt, ": cold ", duration(first.coldSeconds), ", warm ", duration(first.warmSeconds),
                 " (", counted(first.threads, "thread"), ")\n\n");
  text += "                                                           limits measured beside the runs\n"
          "phase    threads  batch  context  tokens      tok/s  ratio  bound    read GB/s  dot GFLOP/s  f32 GFLOP/s\n";
  for (const Measurement &m : benchmark.measurements) {
    const Limits limits = m.limits();
    text += format("%-7s  %7lld  %5lld  %7lld  %6lld  %9.1f  %5.2f  %-7s  %9.1f  %11.1f  %11.1f\n", nameOf(m.phase).data(),
                   static_cast<long long>(m.threads), static_cast<long long>(m.batch), static_cast<long long>(m.context),
                   static_cast<long long>(m.phase == Measurement::Phase::Prefill ? m.tokens / m.batch : m.steps * int64_t(m.samples.size()) / subject.repeats),
                   rate(m), m.ratio(), boundOf(m), limits.readBandwidth * 1e-9, limits.dotPeak * 1e-9, limits.f32Peak * 1e-9);
  }
  text += profilesText(benchmark);
  const MemoryUse &memory = benchmark.memory;
  text += concat("\nmemory    private ", mebibytes(double(memory.privateBytes)), " (", mebibytes(double(memory.compiledBytes)),
                 " behind the compiler), planned ", mebibytes(double(plannedPrivate(memory.plan))),
                 " (cache ", mebibytes(double(memory.plan.cache)), ", workspace ", mebibytes(double(memory.plan.workspace)),
                 "); weights in place ", mebibytes(double(memory.plan.weightsMapped)), "; peak resident ",
                 mebibytes(double(memory.resident)), ", calibration included\n");
  text += concat("pages     huge: ", mebibytes(double(memory.hugeAnonymous)), " of anonymous memory, ", mebibytes(double(memory.hugeFile)),
                 " of mapped files\n");
  return text;
}

} // namespace graphc::bench
