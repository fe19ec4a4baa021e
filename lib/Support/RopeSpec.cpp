// The text form of a RopeSpec and what makes one valid. One table says which
// keys each scaling type has, so that reading, writing and errors agree.
#include "Support/Json.h"
#include "Support/Message.h"
#include "Support/Rope.h"

#include <cmath>
#include <limits>

namespace graphc {

using nlohmann::json;
using Type = RopeScaling::Type;

namespace {
constexpr int64_t kMaxDim = 1 << 16;

struct TypeName {
  Type type;
  std::string_view name;
};
constexpr TypeName kTypes[] = {{Type::None, "default"}, {Type::Linear, "linear"},
                               {Type::Dynamic, "dynamic"}, {Type::Yarn, "yarn"},
                               {Type::LongRope, "longrope"}, {Type::Llama3, "llama3"}};

std::string_view nameOf(Type type) { return kTypes[size_t(type)].name; }

constexpr unsigned bit(Type type) { return 1u << unsigned(type); }
constexpr unsigned kAll = bit(Type::Linear) | bit(Type::Dynamic) | bit(Type::Yarn) |
                          bit(Type::LongRope) | bit(Type::Llama3);

/// One key: the types that need it, those that admit it, and its field.
struct Key {
  std::string_view name;
  unsigned required, optional;
  double RopeScaling::*number = nullptr;
  std::vector<double> RopeScaling::*list = nullptr;

  bool admits(Type type) const { return (required | optional) & bit(type); }
};
const Key kKeys[] = {
    {"factor", kAll, 0, &RopeScaling::factor},
    {"original_max_position_embeddings", kAll & ~bit(Type::Linear), 0},
    {"low_freq_factor", bit(Type::Llama3), 0, &RopeScaling::lowFreqFactor},
    {"high_freq_factor", bit(Type::Llama3), 0, &RopeScaling::highFreqFactor},
    {"attention_factor", 0, bit(Type::Yarn) | bit(Type::LongRope)},
    {"beta_fast", 0, bit(Type::Yarn), &RopeScaling::betaFast},
    {"beta_slow", 0, bit(Type::Yarn), &RopeScaling::betaSlow},
    {"mscale", 0, bit(Type::Yarn), &RopeScaling::mscale},
    {"mscale_all_dim", 0, bit(Type::Yarn), &RopeScaling::mscaleAllDim},
    {"truncate", 0, bit(Type::Yarn)},
    {"short_factor", bit(Type::LongRope), 0, nullptr, &RopeScaling::shortFactor},
    {"long_factor", bit(Type::LongRope), 0, nullptr, &RopeScaling::longFactor},
};

const Key *findKey(std::string_view name) {
  for (const Key &key : kKeys)
    if (key.name == name)
      return &key;
  return nullptr;
}

/// `where` as the beginning of a message.
std::string prefix(std::string_view where) { return where.empty() ? "" : concat(where, ": "); }

absl::Status readList(const json &object, std::string_view key, std::string_view where,
                      std::vector<double> &list) {
  absl::StatusOr<const json *> array = getArray(object, key, where);
  if (!array.ok())
    return array.status();
  if ((*array)->size() > size_t(kMaxDim))
    return invalidArgument(where, ": key '", key, "' must have at most ", kMaxDim,
                           " entries, got ", (*array)->size());
  for (const json &entry : **array) {
    absl::StatusOr<double> number = getDouble(json{{std::string(key), entry}}, key, where);
    if (!number.ok())
      return number.status();
    list.push_back(*number);
  }
  return absl::OkStatus();
}

/// Reads one key that is present.
absl::Status readKey(const json &object, const Key &key, std::string_view where,
                     RopeScaling &scaling) {
  if (key.list)
    return readList(object, key.name, where, scaling.*key.list);
  if (key.name == "truncate") {
    absl::StatusOr<bool> value = getBool(object, key.name, where);
    scaling.truncate = value.value_or(true);
    return value.status();
  }
  if (key.name == "original_max_position_embeddings") {
    absl::StatusOr<int64_t> value = getInt(object, key.name, where);
    scaling.originalMaxPositions = value.value_or(0);
    return value.status();
  }
  absl::StatusOr<double> value = getDouble(object, key.name, where);
  if (!value.ok())
    return value.status();
  if (key.number)
    scaling.*key.number = *value;
  else
    scaling.attentionFactor = *value;
  return absl::OkStatus();
}

absl::StatusOr<Type> readType(const json &object, std::string_view where) {
  absl::StatusOr<std::string> name = getString(object, "rope_type", where);
  if (!name.ok())
    return name.status();
  std::vector<std::string_view> names;
  for (const TypeName &entry : kTypes) {
    if (entry.name == *name)
      return entry.type;
    names.push_back(entry.name);
  }
  return invalidArgument(prefix(where), "key 'rope_type' must be one of ",
                         join(names), ", got '", *name, "'");
}

absl::Status checkPositive(std::string_view key, double value) {
  if (std::isfinite(value) && value > 0)
    return absl::OkStatus();
  return invalidArgument("rope key '", key, "' must be a positive number, got ", value);
}

absl::Status checkFactors(std::string_view key, const std::vector<double> &list, int64_t pairs) {
  if (list.size() != size_t(pairs))
    return invalidArgument("rope key '", key, "' must have ", pairs,
                           " entries, one a rotated pair, got ", list.size());
  for (double value : list)
    if (absl::Status status = checkPositive(key, value); !status.ok())
      return status;
  return absl::OkStatus();
}

absl::Status checkType(const RopeSpec &spec) {
  const RopeScaling &s = spec.scaling;
  if (s.type == Type::Dynamic && spec.dim <= 2)
    return invalidArgument("rope of type dynamic must rotate more than 2 dimensions, got ",
                           spec.dim);
  if (s.type == Type::Yarn && !(spec.base > 1))
    return invalidArgument("rope base must be above 1 for type yarn, got ", spec.base);
  if (s.type == Type::Yarn)
    for (auto [key, value] : {std::pair("beta_fast", s.betaFast), {"beta_slow", s.betaSlow}})
      if (absl::Status status = checkPositive(key, value); !status.ok())
        return status;
  if (s.type == Type::LongRope)
    for (auto [key, list] : {std::pair("short_factor", &s.shortFactor),
                             {"long_factor", &s.longFactor}})
      if (absl::Status status = checkFactors(key, *list, spec.dim / 2); !status.ok())
        return status;
  if (s.type == Type::Llama3) {
    if (absl::Status status = checkPositive("low_freq_factor", s.lowFreqFactor); !status.ok())
      return status;
    if (!(std::isfinite(s.highFreqFactor) && s.highFreqFactor > s.lowFreqFactor))
      return invalidArgument("rope key 'high_freq_factor' must be above low_freq_factor ",
                             s.lowFreqFactor, ", got ", s.highFreqFactor);
  }
  return absl::OkStatus();
}

/// Extreme but positive numbers can still leave the range of f32.
absl::Status checkTables(const RopeSpec &spec) {
  if (const float factor = ropeAttentionFactor(spec); !std::isfinite(factor))
    return invalidArgument("rope attention factor must be finite, got ", factor,
                           "; see keys 'factor', 'mscale' and 'mscale_all_dim'");
  for (int64_t length : {int64_t(0), std::numeric_limits<int64_t>::max()})
    for (float frequency : inverseFrequencies(spec, length))
      if (!std::isfinite(frequency))
        return invalidArgument("rope frequencies must be finite, got ", frequency,
                               "; see its base and factors");
  return absl::OkStatus();
}
} // namespace

absl::Status checkRope(const RopeSpec &spec) {
  if (spec.dim < 2 || spec.dim % 2 || spec.dim > kMaxDim)
    return invalidArgument("rope dim must be even, from 2 to ", kMaxDim, ", got ", spec.dim);
  if (!(std::isfinite(spec.base) && spec.base > 0))
    return invalidArgument("rope base must be a positive number, got ", spec.base);
  const RopeScaling &s = spec.scaling;
  if (s.type == Type::None)
    return checkTables(spec);
  if (absl::Status status = checkPositive("factor", s.factor); !status.ok())
    return status;
  if (s.type != Type::Linear && s.originalMaxPositions < 1)
    return invalidArgument("rope key 'original_max_position_embeddings' must be at least 1, got ",
                           s.originalMaxPositions);
  if (absl::Status status = checkType(spec); !status.ok())
    return status;
  return checkTables(spec);
}

absl::StatusOr<RopeScaling> ropeScalingFromJson(const json &object, std::string_view where) {
  absl::StatusOr<Type> type = readType(object, where);
  if (!type.ok())
    return type.status();
  for (const auto &[name, value] : object.items()) {
    const Key *key = findKey(name);
    if (name != "rope_type" && !(key && (value.is_null() || key->admits(*type))))
      return invalidArgument(prefix(where), "key '", name, "' must be absent for rope_type '",
                             nameOf(*type), "', got ", describeJson(value));
  }
  RopeScaling scaling;
  scaling.type = *type;
  for (const Key &key : kKeys) {
    const auto entry = object.find(key.name);
    const bool present = entry != object.end() && !entry->is_null();
    if (present || (key.required & bit(*type)))
      if (absl::Status status = readKey(object, key, where, scaling); !status.ok())
        return status;
  }
  return scaling;
}

json ropeScalingToJson(const RopeScaling &scaling) {
  const RopeScaling defaults;
  json object{{"rope_type", std::string(nameOf(scaling.type))}};
  for (const Key &key : kKeys) {
    const bool required = key.required & bit(scaling.type);
    if (!key.admits(scaling.type))
      continue;
    const std::string name(key.name);
    if (key.list)
      object[name] = scaling.*key.list;
    else if (key.number && (required || scaling.*key.number != defaults.*key.number))
      object[name] = scaling.*key.number;
    else if (name == "original_max_position_embeddings")
      object[name] = scaling.originalMaxPositions;
    else if (name == "truncate" && !scaling.truncate)
      object[name] = false;
    else if (name == "attention_factor" && scaling.attentionFactor)
      object[name] = *scaling.attentionFactor;
  }
  return object;
}

json ropeToJson(const RopeSpec &spec) {
  json object{{"base", spec.base}, {"dim", spec.dim}};
  if (spec.interleaved)
    object["interleaved"] = true;
  if (spec.scaling.type != Type::None)
    object["scaling"] = ropeScalingToJson(spec.scaling);
  return object;
}

absl::StatusOr<RopeSpec> ropeFromJson(const json &object, std::string_view where) {
  RopeSpec spec;
  absl::StatusOr<double> base = getDouble(object, "base", where);
  if (!base.ok())
    return base.status();
  spec.base = *base;
  absl::StatusOr<int64_t> dim = getInt(object, "dim", where);
  if (!dim.ok())
    return dim.status();
  spec.dim = *dim;
  auto interleaved = getOptionalBool(object, "interleaved", where);
  if (!interleaved.ok())
    return interleaved.status();
  spec.interleaved = interleaved->value_or(false);
  auto scaling = getOptionalObject(object, "scaling", where);
  if (!scaling.ok())
    return scaling.status();
  if (*scaling) {
    absl::StatusOr<RopeScaling> parsed = ropeScalingFromJson(**scaling, where);
    if (!parsed.ok())
      return parsed.status();
    spec.scaling = *std::move(parsed);
  }
  for (const auto &[name, value] : object.items())
    if (name != "base" && name != "dim" && name != "interleaved" && name != "scaling")
      return invalidArgument(prefix(where), "key '", name,
                             "' must be absent in a rope, got ", describeJson(value));
  if (absl::Status status = checkRope(spec); !status.ok())
    return invalidArgument(prefix(where), status.message());
  return spec;
}

} // namespace graphc
