// The rope attribute and the spec behind it. Both go through the JSON form, so
// that one table of keys (Support/RopeSpec.cpp) rules config, IR and manifest.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"

#include <nlohmann/json.hpp>

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;
using nlohmann::json;

/// The JSON value of an attribute of `scaling`. A kind it has no use for becomes
/// its own text, which no key accepts.
static json toJson(Attribute attribute) {
  if (auto text = dyn_cast<StringAttr>(attribute))
    return text.getValue().str();
  if (auto flag = dyn_cast<BoolAttr>(attribute))
    return flag.getValue();
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return number.getValueAsDouble();
  if (auto number = dyn_cast<IntegerAttr>(attribute); number && number.getType().isSignlessInteger(64))
    return number.getInt();
  if (auto list = dyn_cast<DenseF64ArrayAttr>(attribute))
    return std::vector<double>(list.asArrayRef().begin(), list.asArrayRef().end());
  std::string text;
  llvm::raw_string_ostream(text) << attribute;
  return text;
}

static Attribute toAttribute(Builder &builder, const json &value) {
  if (const auto *text = value.get_ptr<const std::string *>())
    return builder.getStringAttr(*text);
  if (const auto *flag = value.get_ptr<const bool *>())
    return builder.getBoolAttr(*flag);
  if (const auto *number = value.get_ptr<const double *>())
    return builder.getF64FloatAttr(*number);
  if (const auto *number = value.get_ptr<const int64_t *>())
    return builder.getI64IntegerAttr(*number);
  SmallVector<double> list;
  for (const json &entry : value)
    list.push_back(*entry.get_ptr<const double *>());
  return builder.getDenseF64ArrayAttr(list);
}

static absl::StatusOr<RopeSpec> parseRope(FloatAttr base, int64_t dim, DictionaryAttr scaling, bool interleaved) {
  json object{{"base", base.getValueAsDouble()}, {"dim", dim}, {"interleaved", interleaved}};
  if (scaling) {
    json &members = object["scaling"] = json::object();
    for (NamedAttribute entry : scaling)
      members[entry.getName().str()] = toJson(entry.getValue());
  }
  return ropeFromJson(object, "");
}

LogicalResult RopeAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError, FloatAttr base, int64_t dim,
                               DictionaryAttr scaling, UnitAttr interleaved) {
  absl::StatusOr<RopeSpec> spec = parseRope(base, dim, scaling, bool(interleaved));
  if (!spec.ok())
    return emitError() << std::string(spec.status().message());
  return success();
}

RopeSpec graphc::layer::ropeSpec(RopeAttr rope) {
  return *parseRope(rope.getBase(), rope.getDim(), rope.getScaling(), bool(rope.getInterleaved()));
}

RopeAttr graphc::layer::ropeAttr(MLIRContext *context, const RopeSpec &spec) {
  Builder builder(context);
  DictionaryAttr scaling;
  if (spec.scaling.type != RopeScaling::Type::None) {
    SmallVector<NamedAttribute> entries;
    const json object = ropeScalingToJson(spec.scaling);
    for (const auto &[name, value] : object.items())
      entries.push_back(builder.getNamedAttr(name, toAttribute(builder, value)));
    scaling = builder.getDictionaryAttr(entries);
  }
  return RopeAttr::get(context, builder.getF64FloatAttr(spec.base), spec.dim, scaling,
                       spec.interleaved ? builder.getUnitAttr() : UnitAttr());
}
