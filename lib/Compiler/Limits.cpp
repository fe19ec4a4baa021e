// What a user may forbid: a number of casts, and kinds of things that cost
// memory or time. Each offender is named with what led to it.
#include "Compiler/Explainer.h"

#include "Support/Message.h"
#include "Support/Nearest.h"

#include <algorithm>

namespace graphc {

static constexpr std::string_view kCacheCast = "cast-on-cache", kKernelCast = "cast-kernel",
                                  kConverted = "converted-weight", kUnfused = "unfused-attention";
static constexpr std::string_view kNames[] = {kCacheCast, kKernelCast, kConverted, kUnfused};

std::vector<std::string> deniableNames() { return {std::begin(kNames), std::end(kNames)}; }

bool limitsNeedKernels(const CompileOptions &options) {
  return std::ranges::any_of(options.deny, [](const std::string &name) { return name == kKernelCast || name == kConverted; });
}

absl::Status checkLimitNames(const CompileOptions &options) {
  for (const std::string &name : options.deny)
    if (std::ranges::find(kNames, name) == std::end(kNames))
      return invalidArgument("what is denied must be one of ", join(kNames), ", got '", name, "'", nearestHint(name, kNames, 1, 6));
  if (options.policySemantics == "axon" && limitsNeedKernels(options))
    return invalidArgument("'", kKernelCast, "' and '", kConverted, "' show in the kernels, and policy semantics 'axon' ends with the layers");
  return absl::OkStatus();
}

static std::string lineOf(const CastFact &cast) {
  std::string line = concat("\n  ", cast.value, ": ", cast.from, " to ", cast.to);
  for (const CastCause &cause : cast.causes) {
    line += concat("\n    ", cause.setting, cause.rule.empty() ? "" : concat(" (rule '", cause.rule, "')"));
    if (!cause.layer.empty())
      line += concat(" for ", cause.layer);
    if (!cause.passes.empty())
      line += concat(", made by ", cause.passes);
  }
  return line;
}

/// A line for each cast that `select` takes; empty if there is none.
template <typename Select> static std::string castLines(const Report &report, Select select) {
  std::string lines;
  for (const CastFact &cast : report.casts)
    if (select(cast))
      lines += lineOf(cast);
  return lines;
}

static std::string offenders(const Report &report, std::string_view name) {
  if (name == kCacheCast)
    return castLines(report, [](const CastFact &cast) { return cast.isOnCache; });
  if (name == kKernelCast)
    return castLines(report, [](const CastFact &cast) { return cast.fate == CastFate::Kernel; });
  std::string lines;
  if (name == kConverted) {
    for (const WeightFact &weight : report.weights)
      if (weight.residency != "in place")
        lines += concat("\n  ", weight.name, ": ", weight.stored, " in the file, ", weight.used, " in memory, ", weight.bytes,
                        " bytes: ", weight.reason);
  } else {
    // A cross slot belongs to the encoder's graph, and without a cache there is nothing to fuse with.
    for (const Decision &decision : report.decisions)
      if (decision.pass == "layer-fuse-cache" && !decision.isDone && decision.key != "missed-cross" &&
          decision.key != "missed-no-slot")
        lines += concat("\n  ", decision.layer, ": ", decision.text, " (", decision.pass, ", ", decision.key, ")");
  }
  return lines;
}

absl::Status checkLimits(const Report &report, const CompileOptions &options) {
  std::string broken;
  const auto add = [&](std::string text) { broken += (broken.empty() ? "contract: " : "\ncontract: ") + text; };
  if (options.maxCasts && int64_t(report.casts.size()) > *options.maxCasts)
    add(concat("casts must be at most ", *options.maxCasts, ", got ", report.casts.size(),
               castLines(report, [](const CastFact &) { return true; })));
  for (const std::string &name : options.deny)
    if (std::string lines = offenders(report, name); !lines.empty())
      add(concat("'", name, "' is denied, got", lines));
  return broken.empty() ? absl::OkStatus() : absl::AbortedError(broken);
}

} // namespace graphc
