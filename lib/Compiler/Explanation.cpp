// The three forms of an explanation.
#include "Compiler/Explainer.h"

namespace graphc {

std::string Explanation::text(bool castsOnly) const { return reportText(state->report, castsOnly); }

std::string Explanation::json(bool castsOnly) const {
  return reportJson(state->report, castsOnly).dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string Explanation::page() const { return reportPage(state->report, state->graphs); }

const std::string &Explanation::notes() const { return state->notes; }

} // namespace graphc
