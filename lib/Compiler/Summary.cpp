// What was compiled, for people: requested and effective, in a few lines.
#include "Compiler/State.h"
#include "Support/Message.h"

#include <algorithm>
#include <map>

namespace graphc {

using Kind = Binding::Kind;

/// "1.5 MiB": three digits at most, in the largest unit that leaves a whole.
static std::string readableBytes(uint64_t bytes) {
  constexpr const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = bytes;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit)
    value /= 1024;
  const int64_t tenths = int64_t(value * 10 + 0.5);
  return value < 100 && tenths % 10 ? concat(tenths / 10, ".", tenths % 10, " ", units[unit])
                                    : concat(int64_t(value + 0.5), " ", units[unit]);
}

/// "k=bf16,v=f16" of the blocks, each pair once; "bf16" for equal sides.
static std::string cacheTypes(const Program &program) {
  if (program.isSeedMode())
    return "f32 tensors";
  std::map<int64_t, std::pair<std::string_view, std::string_view>> blocks;
  for (const Binding &binding : program.bindings)
    if (binding.kind == Kind::Cache && !binding.isScales())
      (binding.isOfKeys() ? blocks[binding.block].first : blocks[binding.block].second) = info(binding.dtype).name;
  std::vector<std::string> types;
  for (const auto &[block, sides] : blocks) {
    std::string type = sides.first == sides.second ? std::string(sides.first) : concat("k=", sides.first, ",v=", sides.second);
    if (std::ranges::find(types, type) == types.end())
      types.push_back(std::move(type));
  }
  return join(types, "/");
}

uint64_t cacheBytesPerToken(const Program &program, bool ofSource) {
  uint64_t bytes = 0;
  for (const Binding &binding : program.bindings)
    if (binding.isOfCross() != ofSource)
      continue;
    else if (binding.kind == Kind::Cache)
      bytes += uint64_t(byteSize(binding.dtype)) * binding.dims[1].offset * (binding.isScales() ? 1 : binding.dims[3].offset);
    else if (binding.kind == Kind::Carry && binding.name == "before" && binding.dims.size() == 2)
      bytes += uint64_t(byteSize(binding.dtype)) * binding.dims[1].offset;
  return bytes;
}

/// Why the cache is what it is.
static std::string cacheReason(const Program &program) {
  if (program.isSeedMode())
    return "seed mode: cast by every layer that carries them";
  return program.pin.empty() ? "attention's compute type" : concat("pin ", program.pin);
}

/// What a decode step does to the cache.
static std::string trafficLine(const Program &program, const CacheTraffic &traffic) {
  std::string line = concat("a decode step reads ", traffic.readPerRow, " B");
  if (traffic.writtenPerRow)
    line += concat(" and writes ", traffic.writtenPerRow, " B");
  line += concat(" of cache for each row of the ", program.isSeedMode() ? "capacity" : "sequence");
  if (traffic.readPerSourceRow)
    line += concat(", and ", traffic.readPerSourceRow, " B for each of the source");
  if (traffic.writtenPerToken)
    line += concat(", and writes ", traffic.writtenPerToken, " B for a token");
  return concat(line, "; casts of whole cache tensors: ", traffic.casts);
}

static std::string castLines(const std::vector<std::string> &casts) {
  std::map<std::string_view, int> counts;
  for (const std::string &cast : casts)
    ++counts[cast];
  std::vector<std::string> parts;
  for (const auto &[text, count] : counts)
    parts.push_back(count == 1 ? std::string(text) : concat(count, " x ", text));
  constexpr size_t kShown = 4;
  std::string lines = concat(casts.size());
  for (size_t i = 0; i < std::min(parts.size(), kShown); ++i)
    lines += concat(i == 0 ? "   " : "\n              ", parts[i]);
  if (parts.size() > kShown)
    lines += concat("\n              and ", parts.size() - kShown, " more kinds; --emit=layer has them all");
  return lines;
}

std::string summarize(const Program &program, const Counts &counts) {
  int64_t parameters = 0, inPlace = 0;
  for (const Binding &binding : program.bindings)
    if (binding.kind == Kind::Parameter) {
      ++parameters;
      inPlace += binding.isInPlace();
    }
  const Program::Model &model = program.model;
  const std::string types = cacheTypes(program);
  return concat("model     ", model.family, ", ", model.numLayers, " layers, hidden ", model.hiddenSize, ", vocabulary ",
                model.vocabSize, "\npolicy    ", program.policy.empty() ? "as stored" : program.policy, "\ncache     ",
                types.empty() ? "none" : types, " (", cacheReason(program),
                "), ", readableBytes(cacheBytesPerToken(program)), " a token",
                program.hasEncoder() ? concat(", ", readableBytes(cacheBytesPerToken(program, /*ofSource=*/true)), " a token of the source") : "",
                "\ntraffic   ", trafficLine(program, counts.traffic), "\nkernels   ", counts.kernels, " a step, ",
                counts.distinct, " in code\ncasts     ", castLines(counts.casts), "\nweights   ", parameters, ", ", inPlace,
                " used in place\ntarget    ", program.targetName, "\noutputs   ", join(program.outputs), "\n");
}

} // namespace graphc
