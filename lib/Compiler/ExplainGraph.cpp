// The layer graph as the page shows it. Blocks that are equal up to names and
// numbers are one segment, and a segment that several stages have is kept once,
// so that the page does not grow with depth.
//
// segments: [{"block": is it a block, "nodes": [{"o": op, "n": name in the block,
//   "t": result types, "p": policy, "d": other attributes, "b": reasons of a cast,
//   "i": operands, a node's index or a name}]}]; all but "i" are places in texts
// stages: [{"title": pass, "parts": [[segment, "input", "output" or the first block, blocks]]}]
#include "Compiler/Explainer.h"

#include "IR/CastReason.h"
#include "IR/LayerNames.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using nlohmann::json;

namespace graphc {

/// "bf16 ?x?x64"; other types as they print, without the dialect's name.
static std::string typeText(Type type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    stream << tensor.getElementType();
    for (auto [index, dim] : llvm::enumerate(tensor.getShape()))
      stream << (index ? "x" : " ") << (ShapedType::isDynamic(dim) ? "?" : std::to_string(dim));
    return text;
  }
  if (auto container = dyn_cast<layer::ContainerType>(type))
    return std::to_string(container.getTypes().size()) + " values";
  if (auto cache = dyn_cast<layer::CacheType>(type))
    return "cache of " + std::to_string(cache.getBlocks().size()) + " blocks";
  if (auto slot = dyn_cast<layer::AttentionCacheType>(type)) {
    const auto element = [&](Type side) { isa<mlir::NoneType>(side) ? stream << "auto" : stream << side; };
    stream << "slot k=", element(slot.getKeys()), stream << " v=", element(slot.getValues());
    return text;
  }
  if (isa<layer::BlockCacheType>(type))
    return "block cache";
  stream << type;
  return text;
}

static std::string policyText(layer::PolicyAttr policy) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (auto [key, type] : {std::pair("params=", policy.getParams()), std::pair("compute=", policy.getCompute()),
                           std::pair("output=", policy.getOutput())})
    if (type)
      stream << (text.empty() ? "" : " ") << key << type;
  return text;
}

/// Attributes that no other field shows.
static std::string detailsOf(Operation &op) {
  std::vector<std::string> parts;
  for (NamedAttribute attribute : op.getAttrDictionary()) {
    const StringRef key = attribute.getName();
    if (llvm::is_contained({"name", "policy", "because", "ref", "names", "block", "operandSegmentSizes"}, key))
      continue;
    std::string text = key.str();
    if (!isa<UnitAttr>(attribute.getValue())) {
      llvm::raw_string_ostream stream(text);
      stream << "=";
      attribute.getValue().print(stream, /*elideType=*/true);
    }
    parts.push_back(std::move(text));
  }
  return llvm::join(parts, " ");
}

/// `name` within `block`.
static std::string relative(StringRef name, StringRef block) {
  if (!block.empty() && name.consume_front(block))
    name.consume_front(".");
  return name.str();
}

/// The same for a value that may be of another block: equal blocks stay equal.
static std::string relativeValue(StringRef name, StringRef block) {
  const StringRef home = layer::blockOf(name);
  return !block.empty() && !home.empty() && home != block ? "previous block" : relative(name, block);
}

namespace {
/// Sorts the ops of a graph into blocks, in order of appearance.
class Segments {
public:
  explicit Segments(layer::GraphOp graph) {
    Block &body = graph.getBody().front();
    StringRef current; // what serves all blocks or moves the cache goes with the layer before it
    for (Operation &op : body) {
      if (auto named = dyn_cast<layer::NamedLayer>(op))
        current = layer::blockOf(named.getLayerName());
      else if (isa<layer::CacheOp, layer::PositionsOp>(op))
        blocks[&op] = current.str();
    }
    for (Operation &op : llvm::reverse(body)) // users first: an op without a name goes with them
      if (!blocks.contains(&op))
        blocks[&op] = placeOf(&op).str();
    bool seenBlock = false;
    for (Operation &op : body) {
      StringRef block = blocks[&op];
      seenBlock |= !block.empty();
      parts[!block.empty() ? block : seenBlock ? "output" : "input"].push_back(&op);
    }
  }

  llvm::MapVector<StringRef, std::vector<Operation *>> parts; ///< By block; "input" and "output" are around them.

  json nodesOf(StringRef block, ArrayRef<Operation *> ops) {
    llvm::DenseMap<Operation *, size_t> index;
    json nodes = json::array();
    for (Operation *op : ops) {
      index[op] = nodes.size();
      json node = {{"o", op->getName().stripDialect().str()}, {"n", relativeValue(nameOf(op), block)}};
      std::vector<std::string> types;
      for (Type type : op->getResultTypes())
        types.push_back(typeText(type));
      node["t"] = llvm::join(types, ", ");
      if (auto policied = dyn_cast<layer::PolicyLayer>(op); policied && policied.getLayerPolicy())
        node["p"] = policyText(policied.getLayerPolicy());
      if (std::string details = detailsOf(*op); !details.empty())
        node["d"] = std::move(details);
      if (auto cast = dyn_cast<layer::CastOp>(op); cast && cast.getBecauseAttr())
        for (StringRef text : cast.getBecauseAttr().getAsValueRange<StringAttr>()) {
          auto reason = layer::parseCastReason(text);
          if (reason)
            reason->layer = relative(reason->layer, block);
          node["b"].push_back(reason ? reason->text() : text.str());
        }
      for (Value operand : op->getOperands()) {
        Operation *maker = operand.getDefiningOp();
        auto found = index.find(maker);
        if (maker && found != index.end())
          node["i"].push_back(found->second);
        else
          node["i"].push_back(relativeValue(layer::valueName(operand), block));
      }
      nodes.push_back(std::move(node));
    }
    return nodes;
  }

private:
  /// What stands for an op without a name of its own.
  static std::string nameOf(Operation *op) {
    if (auto output = dyn_cast<layer::OutputOp>(op)) {
      std::vector<std::string> names;
      for (auto name : output.getNames().getAsRange<StringAttr>())
        names.push_back(name.str());
      return llvm::join(names, ", ");
    }
    if (auto cast = dyn_cast<layer::CastOp>(op))
      return layer::valueName(cast.getX());
    return op->getNumResults() ? layer::valueName(op->getResult(0)) : "";
  }

  StringRef placeOf(Operation *op) {
    if (auto named = dyn_cast<layer::NamedLayer>(op))
      return layer::blockOf(named.getLayerName());
    if (auto reader = dyn_cast<layer::ParamOp>(op))
      return layer::blockOf(reader.getRef());
    if (isa<layer::OutputOp>(op))
      return "";
    for (Operation *user : op->getUsers()) // the first one that has a block
      if (auto found = blocks.find(user); found != blocks.end() && !found->second.empty())
        return found->second;
    for (Value operand : op->getOperands())
      if (auto named = operand.getDefiningOp<layer::NamedLayer>())
        return layer::blockOf(named.getLayerName());
    return "";
  }

  llvm::DenseMap<Operation *, std::string> blocks;
};
} // namespace

/// The number at the end of a block's name; -1 for what is no block.
static int64_t numberOf(StringRef block) {
  int64_t number = -1;
  return block.rsplit('.').second.getAsInteger(10, number) ? -1 : number;
}

/// Puts the place of `text` among all texts in its stead: nodes say much the same.
void Explainer::keepOnce(json &text) {
  auto [entry, fresh] = texts.try_emplace(text.get<std::string>(), stages["texts"].size());
  if (fresh)
    stages["texts"].push_back(text);
  text = entry->second;
}

void Explainer::snapshot(ModuleOp module, StringRef title) {
  json parts = json::array();
  int64_t last = -2; // number of the last block
  for (layer::GraphOp graph : module.getOps<layer::GraphOp>()) {
    Segments sorted(graph);
    for (auto &[name, ops] : sorted.parts) {
      const int64_t number = numberOf(name);
      const bool isBlock = number >= 0;
      const StringRef block = isBlock ? name : "";
      json nodes = sorted.nodesOf(block, ops);
      // What feeds a block from outside differs in the first block only.
      json shape = nodes;
      for (json &node : shape)
        if (node.contains("i"))
          for (json &operand : node["i"])
            if (operand.is_string() && isBlock)
              operand = "";
      const std::string key = (isBlock ? "block " : "") + shape.dump(-1, ' ', false, json::error_handler_t::replace);
      auto [entry, fresh] = segments.try_emplace(key, stages["segments"].size());
      if (fresh) {
        for (json &node : nodes)
          for (auto &[field, value] : node.items())
            if (field == "b")
              for (json &reason : value)
                keepOnce(reason);
            else if (field != "i")
              keepOnce(value);
        stages["segments"].push_back({{"block", isBlock}, {"nodes", std::move(nodes)}});
      }
      if (isBlock && !parts.empty() && parts.back()[0] == entry->second && number == last + 1)
        parts.back()[2] = parts.back()[2].get<int64_t>() + 1;
      else
        parts.push_back({entry->second, name.str(), 1});
      last = isBlock ? number : -2;
    }
  }
  stages["stages"].push_back({{"title", title.str()}, {"parts", std::move(parts)}});
}

} // namespace graphc
