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

} // namespace graphc::bench
