// What a benchmark found: a table for people, and JSON whose keys are described in
// docs/Performance.md and stay.
#pragma once

#include "tools/bench/Benchmark.h"

#include <nlohmann/json.hpp>
#include <string>

namespace graphc::bench {

/// What was measured, as it was asked for.
struct Subject {
  std::string name;          ///< MODEL or the config's path.
  bool hasRandomWeights = false;
  std::vector<std::string> policy, pins;
  int64_t repeats = 0;
};

nlohmann::ordered_json reportJson(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark);
/// Ends with a newline.
std::string reportText(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark);

/// The kernels of each profile: `kernel_profiles` of the JSON, and its tables.
nlohmann::ordered_json profilesJson(const Benchmark &benchmark);
std::string profilesText(const Benchmark &benchmark);

// Lines that the table and the picture share.
/// "a decode step of 1 token behind 128, 2 threads".
std::string stepName(const Profile &profile);
/// Policy, cache, target and repeats; processor, cores and kernel.
std::string optionsText(const Subject &subject, const CompiledModel &compiled, const Benchmark &benchmark);
std::string machineText();

} // namespace graphc::bench
