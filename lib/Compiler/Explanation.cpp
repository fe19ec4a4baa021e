// The three forms of an explanation.
#include "Compiler/Explainer.h"

#include "Support/Json.h"

namespace graphc {

nlohmann::json Explanation::State::json(bool castsOnly) const {
  nlohmann::json object = reportJson(report, castsOnly);
  if (!castsOnly && !roofline.is_null())
    object["roofline"] = roofline;
  return object;
}

std::string Explanation::text(bool castsOnly) const { return reportText(state->report, castsOnly); }

std::string Explanation::json(bool castsOnly) const {
  return state->json(castsOnly).dump(2, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string Explanation::page() const { return reportPage(state->json(/*castsOnly=*/false), state->graphs); }

const std::string &Explanation::notes() const { return state->notes; }

absl::StatusOr<Explanation> Explanation::withRoofline(std::string_view profiles) const {
  absl::StatusOr<nlohmann::json> parsed = parseJson(profiles, "profiles");
  if (!parsed.ok())
    return parsed.status();
  auto measured = std::make_shared<State>(*state);
  measured->roofline = *std::move(parsed);
  return Explanation(std::move(measured));
}

} // namespace graphc
