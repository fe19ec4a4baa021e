// The manifest's text. Writing and reading stand side by side, key by key;
// unknown keys are refused, since dropping one could change what a call means.
#include "Support/Json.h"
#include "Support/Message.h"
#include "Support/Program.h"

#include <algorithm>
#include <initializer_list>

namespace graphc {

using nlohmann::json;
using Kind = Binding::Kind;

namespace {
constexpr std::string_view kKindNames[] = {"input", "parameter", "cache", "rope",
                                           "buffer", "output", "trace", "carry"};

/// Reads the keys of one object. The first error stays in `status`; every value
/// read after it is empty, so callers check once, at the end.
class Reader {
public:
  Reader(const json &object, std::string where) : object(object), where(std::move(where)) {}

  int64_t integer(std::string_view key) { return keep(getInt(object, key, where)); }
  bool boolean(std::string_view key) {
    return keep(getOptionalBool(object, key, where)).value_or(false);
  }
  std::string text(std::string_view key) { return keep(getString(object, key, where)); }
  DType dtype(std::string_view key) {
    const std::string name = text(key);
    const std::optional<DType> dtype = parseDType(name);
    if (!dtype)
      fail("key '", key, "' must be a dtype, got '", name, "'");
    return dtype.value_or(DType::F32);
  }
  const json *member(std::string_view key) { return keep(getObject(object, key, where)); }

  /// Calls `each` with every element of the array at `key`.
  template <typename Each> void elements(std::string_view key, Each each) {
    const json *array = keep(getArray(object, key, where));
    for (size_t i = 0; array && i < array->size() && status.ok(); ++i)
      each((*array)[i], concat(where, ": ", key, "[", i, "]"));
  }
  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> result;
    elements(key, [&](const json &element, const std::string &at) {
      if (const auto *string = element.get_ptr<const std::string *>())
        result.push_back(*string);
      else
        fail(at, " must be a string, got ", describeJson(element));
    });
    return result;
  }
  std::vector<int64_t> integers(std::string_view key) {
    std::vector<int64_t> result;
    elements(key, [&](const json &element, const std::string &at) {
      if (element.is_number_integer())
        result.push_back(element.get<int64_t>());
      else
        fail(at, " must be an integer, got ", describeJson(element));
    });
    return result;
  }

  /// An error if the object has a key that is not in `known`.
  void onlyKeys(std::initializer_list<std::string_view> known) {
    if (!object.is_object())
      return;
    for (const auto &[key, value] : object.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        fail(where, ": key '", key, "' must be absent, got ", describeJson(value));
  }

  template <typename... Parts> void fail(const Parts &...parts) {
    if (status.ok())
      status = invalidArgument(parts...);
  }
  template <typename T> T keep(absl::StatusOr<T> value) {
    if (value.ok() && status.ok())
      return *std::move(value);
    if (status.ok())
      status = value.status();
    return T{};
  }

  const json &object;
  const std::string where;
  absl::Status status;
};

json dimsToJson(const std::vector<Dim> &dims) {
  json array = json::array();
  for (const Dim &dim : dims)
    array.push_back(dim.isNumber() ? json(dim.offset) : json(dimText(dim)));
  return array;
}

void readDims(Reader &reader, std::vector<Dim> &dims) {
  reader.elements("dims", [&](const json &element, const std::string &at) {
    if (const auto *text = element.get_ptr<const std::string *>()) {
      dims.push_back(reader.keep(parseDim(*text)));
    } else if (element.is_number_integer() && element.get<int64_t>() > 0) {
      dims.push_back(Dim::number(element.get<int64_t>()));
    } else {
      reader.fail(at, " must be a positive integer or a symbol, got ", describeJson(element));
    }
  });
}

json transformToJson(const Binding &binding) {
  json array = json::array();
  for (DType dtype : binding.roundings)
    array.push_back(std::string(info(dtype).name));
  if (binding.transpose)
    array.push_back("transpose");
  return array;
}

void readTransform(Reader &reader, Binding &binding) {
  for (const std::string &step : reader.texts("transform")) {
    const std::optional<DType> dtype = parseDType(step);
    if (binding.transpose || (!dtype && step != "transpose"))
      reader.fail(reader.where, ": key 'transform' must be dtypes, then 'transpose' or nothing, "
                  "got '", step, "'");
    else if (dtype)
      binding.roundings.push_back(*dtype);
    else
      binding.transpose = true;
  }
}

json bindingToJson(const Binding &binding) {
  json object{{"kind", std::string(kKindNames[size_t(binding.kind)])}, {"name", binding.name}};
  if (binding.kind == Kind::Trace)
    return object;
  object["dtype"] = std::string(info(binding.dtype).name);
  object["dims"] = dimsToJson(binding.dims);
  if (binding.kind == Kind::Parameter) {
    object["source"] = binding.source;
    object["stored"] = std::string(info(binding.stored).name);
    object["transform"] = transformToJson(binding);
  } else if (binding.kind == Kind::Cache) {
    object["block"] = binding.block;
  } else if (binding.kind == Kind::Rope) {
    object["rope"] = ropeToJson(binding.rope);
  } else if (binding.kind == Kind::Buffer) {
    object["slot"] = binding.slot;
  } else if (binding.kind == Kind::Carry) {
    object["carry"] = binding.carry;
  }
  return object;
}

absl::StatusOr<Binding> bindingFromJson(const json &object, const std::string &where) {
  Reader reader(object, where);
  Binding binding;
  const std::string kind = reader.text("kind");
  const auto *name = std::find(std::begin(kKindNames), std::end(kKindNames), kind);
  if (reader.status.ok() && name == std::end(kKindNames))
    reader.fail(where, ": key 'kind' must be one of ", join(kKindNames), ", got '", kind, "'");
  if (!reader.status.ok())
    return reader.status;
  binding.kind = Kind(name - std::begin(kKindNames));
  binding.name = reader.text("name");
  if (binding.kind == Kind::Trace) {
    reader.onlyKeys({"kind", "name"});
    return reader.status.ok() ? absl::StatusOr<Binding>(binding) : reader.status;
  }
  binding.dtype = reader.dtype("dtype");
  readDims(reader, binding.dims);
  if (binding.kind == Kind::Parameter) {
    binding.source = reader.text("source");
    binding.stored = reader.dtype("stored");
    readTransform(reader, binding);
    reader.onlyKeys({"kind", "name", "dtype", "dims", "source", "stored", "transform"});
  } else if (binding.kind == Kind::Cache) {
    binding.block = reader.integer("block");
    reader.onlyKeys({"kind", "name", "dtype", "dims", "block"});
  } else if (binding.kind == Kind::Rope) {
    if (const json *rope = reader.member("rope"))
      binding.rope = reader.keep(ropeFromJson(*rope, where));
    reader.onlyKeys({"kind", "name", "dtype", "dims", "rope"});
  } else if (binding.kind == Kind::Buffer) {
    binding.slot = reader.integer("slot");
    reader.onlyKeys({"kind", "name", "dtype", "dims", "slot"});
  } else if (binding.kind == Kind::Carry) {
    binding.carry = reader.integer("carry");
    reader.onlyKeys({"kind", "name", "dtype", "dims", "carry"});
  } else {
    reader.onlyKeys({"kind", "name", "dtype", "dims"});
  }
  if (!reader.status.ok())
    return reader.status;
  return binding;
}

json modelToJson(const Program::Model &model) {
  json object{{"family", model.family},
          {"vocab_size", model.vocabSize},
          {"hidden_size", model.hiddenSize},
          {"num_layers", model.numLayers},
          {"max_length", model.maxLength},
          {"bos_token_ids", model.bosTokenIds},
          {"eos_token_ids", model.eosTokenIds}};
  if (!model.decoderStartTokenIds.empty())
    object["decoder_start_token_ids"] = model.decoderStartTokenIds;
  if (!model.forcedBosTokenIds.empty())
    object["forced_bos_token_ids"] = model.forcedBosTokenIds;
  if (model.isExtendable)
    object["extendable"] = true;
  return object;
}

absl::StatusOr<Program::Model> modelFromJson(const json &object, const std::string &where) {
  Reader reader(object, where);
  Program::Model model;
  model.family = reader.text("family");
  model.vocabSize = reader.integer("vocab_size");
  model.hiddenSize = reader.integer("hidden_size");
  model.numLayers = reader.integer("num_layers");
  model.maxLength = reader.integer("max_length");
  model.bosTokenIds = reader.integers("bos_token_ids");
  model.eosTokenIds = reader.integers("eos_token_ids");
  if (object.contains("decoder_start_token_ids"))
    model.decoderStartTokenIds = reader.integers("decoder_start_token_ids");
  if (object.contains("forced_bos_token_ids"))
    model.forcedBosTokenIds = reader.integers("forced_bos_token_ids");
  model.isExtendable = reader.boolean("extendable");
  reader.onlyKeys({"family", "vocab_size", "hidden_size", "num_layers", "max_length", "extendable",
                   "bos_token_ids", "eos_token_ids", "decoder_start_token_ids", "forced_bos_token_ids"});
  if (!reader.status.ok())
    return reader.status;
  return model;
}

json kernelToJson(const TracedKernel &kernel) {
  json outputs = json::array();
  for (const TracedKernel::Value &value : kernel.outputs)
    outputs.push_back({{"binding", value.binding}, {"name", value.name}});
  return {{"layers", kernel.layers}, {"outputs", std::move(outputs)}};
}

absl::StatusOr<TracedKernel> kernelFromJson(const json &object, const std::string &where) {
  Reader reader(object, where);
  TracedKernel kernel;
  kernel.layers = reader.texts("layers");
  reader.elements("outputs", [&](const json &element, const std::string &at) {
    Reader value(element, at);
    kernel.outputs.push_back({value.integer("binding"), value.text("name")});
    value.onlyKeys({"binding", "name"});
    reader.status.Update(value.status);
  });
  reader.onlyKeys({"layers", "outputs"});
  if (!reader.status.ok())
    return reader.status;
  return kernel;
}

json scratchToJson(const SlotUsers &users) { return {{"slot", users.slot}, {"kernels", users.kernels}}; }

absl::StatusOr<SlotUsers> scratchFromJson(const json &object, const std::string &where) {
  Reader reader(object, where);
  SlotUsers users{reader.integer("slot"), reader.texts("kernels")};
  reader.onlyKeys({"slot", "kernels"});
  return reader.status.ok() ? absl::StatusOr<SlotUsers>(std::move(users)) : reader.status;
}

json stackToJson(const StackScratch &scratch) { return {{"kernel", scratch.kernel}, {"bytes", scratch.bytes}}; }

absl::StatusOr<StackScratch> stackFromJson(const json &object, const std::string &where) {
  Reader reader(object, where);
  StackScratch scratch{reader.text("kernel"), reader.integer("bytes")};
  reader.onlyKeys({"kernel", "bytes"});
  return reader.status.ok() ? absl::StatusOr<StackScratch>(std::move(scratch)) : reader.status;
}

absl::Status checkVersion(const json &object, std::string_view where) {
  absl::StatusOr<int64_t> version = getInt(object, "version", where);
  if (!version.ok())
    return version.status();
  if (*version != kProgramVersion)
    return invalidArgument(where, ": program version must be ", kProgramVersion, ", got ",
                           *version, "; compile the model again with this graphc");
  return absl::OkStatus();
}
} // namespace

json programToJson(const Program &program) {
  json bindings = json::array(), kernels = json::array(), scratch = json::array(), stack = json::array();
  for (const Binding &binding : program.bindings)
    bindings.push_back(bindingToJson(binding));
  for (const TracedKernel &kernel : program.kernels)
    kernels.push_back(kernelToJson(kernel));
  for (const SlotUsers &users : program.slotUsers)
    scratch.push_back(scratchToJson(users));
  for (const StackScratch &kernel : program.stack)
    stack.push_back(stackToJson(kernel));
  json object{{"version", kProgramVersion},
              {"model", modelToJson(program.model)},
              {"policy", program.policy},
              {"pin", program.pin},
              {"target", {{"name", program.targetName}, {"features", program.features}}},
              {"outputs", program.outputs},
              {"symbols", program.symbols},
              {"bindings", std::move(bindings)}};
  if (!scratch.empty())
    object["scratch"] = std::move(scratch);
  if (!stack.empty())
    object["stack"] = std::move(stack);
  if (!program.kernels.empty())
    object["kernels"] = std::move(kernels);
  return object;
}

std::string programText(const Program &program) {
  // Names come from the user's model; bytes that are no UTF-8 must not throw.
  return programToJson(program).dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<Program> parseProgram(std::string_view text, std::string_view nameForErrors) {
  absl::StatusOr<json> object = parseJson(text, nameForErrors);
  if (!object.ok())
    return object.status();
  if (absl::Status status = checkVersion(*object, nameForErrors); !status.ok())
    return status;
  Reader reader(*object, std::string(nameForErrors));
  Program program;
  if (const json *model = reader.member("model"))
    program.model = reader.keep(modelFromJson(*model, concat(nameForErrors, ": model")));
  program.policy = reader.text("policy");
  program.pin = reader.text("pin");
  if (const json *target = reader.member("target")) {
    Reader targetReader(*target, concat(nameForErrors, ": target"));
    program.targetName = targetReader.text("name");
    program.features = targetReader.texts("features");
    targetReader.onlyKeys({"name", "features"});
    reader.status.Update(targetReader.status);
  }
  program.outputs = reader.texts("outputs");
  program.symbols = reader.texts("symbols");
  reader.elements("bindings", [&](const json &element, const std::string &at) {
    program.bindings.push_back(reader.keep(bindingFromJson(element, at)));
  });
  if (object->contains("scratch"))
    reader.elements("scratch", [&](const json &element, const std::string &at) {
      program.slotUsers.push_back(reader.keep(scratchFromJson(element, at)));
    });
  if (object->contains("stack"))
    reader.elements("stack", [&](const json &element, const std::string &at) {
      program.stack.push_back(reader.keep(stackFromJson(element, at)));
    });
  if (object->contains("kernels"))
    reader.elements("kernels", [&](const json &element, const std::string &at) {
      program.kernels.push_back(reader.keep(kernelFromJson(element, at)));
    });
  reader.onlyKeys({"version", "model", "policy", "pin", "target", "outputs", "symbols", "bindings",
                   "kernels", "scratch", "stack"});
  if (!reader.status.ok())
    return reader.status;
  if (absl::Status status = checkProgram(program); !status.ok())
    return invalidArgument(nameForErrors, ": ", status.message());
  return program;
}

} // namespace graphc
