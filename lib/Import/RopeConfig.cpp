// Rope settings in the spellings of transformers 4 and 5, brought to one form.
// Precedence and defaults are those of convert_rope_params_to_dict and
// standardize_rope_params in transformers' modeling_rope_utils.py.
#include "Import/Family.h"

#include "Support/Json.h"
#include "Support/Message.h"

using namespace graphc;
using namespace graphc::importer;
using nlohmann::json;

/// Moves what RopeSpec holds elsewhere out of `scaling`, and fills in what
/// transformers derives from other keys.
static absl::Status normalize(Config &config, json &scaling, int64_t maxPositions, RopeSpec &spec) {
  absl::StatusOr<std::optional<double>> base = getOptionalDouble(scaling, "rope_theta");
  if (!base.ok())
    return base.status();
  spec.base = base->value_or(spec.base);
  if (!scaling.contains("rope_type")) // as early files spell it
    scaling["rope_type"] = scaling.contains("type") ? scaling["type"] : json("default");
  for (const char *key : {"rope_theta", "type"})
    scaling.erase(key);
  if (scaling.contains("partial_rotary_factor") && scaling["partial_rotary_factor"] == 1)
    scaling.erase("partial_rotary_factor"); // any other value meets the check of keys

  const json type = scaling["rope_type"];
  const json *declared = config.value("original_max_position_embeddings"); // as Phi-3 has it
  json &original = scaling["original_max_position_embeddings"];
  if (type == "yarn" || type == "longrope" || type == "llama3") {
    if (declared)
      original = *declared;
    else if (original.is_null())
      original = maxPositions;
  } else if (type == "dynamic") { // the length is max_position_embeddings, whatever else is said
    if (!original.is_null() && original != maxPositions)
      return invalidArgument("key 'original_max_position_embeddings' must be max_position_embeddings = ", maxPositions,
                             " for rope_type dynamic, got ", describeJson(original));
    original = maxPositions;
  } else if (declared) {
    return invalidArgument("key 'original_max_position_embeddings' must be absent for rope_type ", type.dump(),
                           ", got ", describeJson(*declared));
  }
  if ((type == "yarn" || type == "longrope") && (!scaling.contains("factor") || scaling["factor"].is_null())) {
    absl::StatusOr<int64_t> trained = getInt(scaling, "original_max_position_embeddings");
    if (!trained.ok())
      return trained.status();
    scaling["factor"] = double(maxPositions) / double(*trained);
  }
  return absl::OkStatus();
}

RopeSpec graphc::importer::readRope(Config &config, int64_t dim, int64_t maxPositions) {
  RopeSpec spec;
  spec.dim = dim;
  const json *old = config.object("rope_scaling");
  const json *current = config.object("rope_parameters");
  spec.base = config.positive("rope_theta", spec.base);
  config.demand("partial_rotary_factor", 1.0, "the whole head is rotated");
  const llvm::StringRef key = old && !old->empty() ? "rope_scaling" : "rope_parameters";
  json scaling = old && !old->empty() ? *old : current ? *current : json::object();

  absl::Status status = normalize(config, scaling, maxPositions, spec);
  if (status.ok()) {
    absl::StatusOr<RopeScaling> parsed = ropeScalingFromJson(scaling, std::string_view(key));
    if (parsed.ok())
      spec.scaling = *std::move(parsed);
    status = parsed.status();
  }
  if (status.ok())
    status = checkRope(spec);
  if (status.ok())
    return spec;
  config.error(key) << std::string(status.message());
  return RopeSpec{10000, 2, false, {}};
}
