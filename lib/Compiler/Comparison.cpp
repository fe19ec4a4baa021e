// A comparison as a table, as JSON and as a contract.
#include "Support/Message.h"
#include "graphc/Compiler.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace graphc {

double ValueError::relativeError() const {
  if (infinities || nans)
    return std::numeric_limits<double>::infinity();
  return maxError == 0 ? 0 : maxError / range; // a range of 0 makes any error infinite
}

static std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// `text` with blanks in front, to `width` columns.
static std::string right(const std::string &text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

std::string Comparison::text() const {
  size_t width = 5;
  for (const ValueError &value : values)
    width = std::max(width, value.name.size());
  std::string out = concat("value", std::string(width - 5, ' '), "  dtype    elements   max error  mean error       range   1 - cosine",
                           "    infinite      NaN\n");
  for (const ValueError &value : values)
    out += concat(value.name, std::string(width - value.name.size(), ' '), right(value.dtype, 7), right(std::to_string(value.elements), 12),
                  right(number(value.maxError), 12), right(number(value.meanError), 12), right(number(value.range), 12),
                  right(number(1 - value.cosine), 13), right(std::to_string(value.infinities), 12),
                  right(std::to_string(value.nans), 9), "\n");
  out += concat("next token: KL mean ", number(meanKl), ", max ", number(maxKl), " nats; the likeliest agrees at ", agreeing, " of ",
                positions, " positions\n");
  return out;
}

std::string Comparison::json() const {
  nlohmann::json rows = nlohmann::json::array(); // what is not finite becomes null
  for (const ValueError &value : values)
    rows.push_back({{"name", value.name},
                    {"dtype", value.dtype},
                    {"elements", value.elements},
                    {"max_error", value.maxError},
                    {"mean_error", value.meanError},
                    {"range", value.range},
                    {"relative_error", value.relativeError()},
                    {"cosine", value.cosine},
                    {"infinities", value.infinities},
                    {"nans", value.nans}});
  return nlohmann::json{{"policy", policy},
                        {"pin", pin},
                        {"target", target},
                        {"values", rows},
                        {"logits",
                         {{"positions", positions}, {"kl_mean", meanKl}, {"kl_max", maxKl}, {"greedy_agreement", agreeing}}},
                        {"tokens", tokens}}
             .dump(2) + "\n";
}

absl::Status Comparison::check(double maxError, double maxKl) const {
  const auto worst = std::ranges::max_element(values, {}, &ValueError::relativeError);
  if (worst != values.end() && !(worst->relativeError() <= maxError))
    return absl::AbortedError(concat(
        "accuracy: value '", worst->name, "' must be within ", number(maxError), " of its range, got ",
        worst->infinities || worst->nans ? concat(worst->infinities, " infinite and ", worst->nans, " NaN elements")
                                         : number(worst->relativeError())));
  if (!(this->maxKl <= maxKl))
    return absl::AbortedError(concat("accuracy: the next token's KL must be at most ", number(maxKl), " nats, got ", number(this->maxKl)));
  return absl::OkStatus();
}

} // namespace graphc
