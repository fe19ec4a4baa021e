// The graph op: its text, its signature, and the linearity of the cache.
// Linearity is checked by (root, path), so that SSA order is memory order.
#include "graphc/IR/Layer.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionImplementation.h"

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

ParseResult GraphOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> inputs, ArrayRef<Type> outputs,
                      function_interface_impl::VariadicFlag, std::string &) {
    return builder.getFunctionType(inputs, outputs);
  };
  return function_interface_impl::parseFunctionOp(parser, result, /*allowVariadic=*/false,
                                                  getFunctionTypeAttrName(result.name), buildType,
                                                  getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void GraphOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
                                           getArgAttrsAttrName(), getResAttrsAttrName());
}

void GraphOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn set) {
  if (region.empty())
    return;
  for (auto [argument, name] : llvm::zip(region.getArguments(), getInputNames()))
    set(argument, cast<StringAttr>(name).getValue());
}

OutputOp GraphOp::getOutput() { return cast<OutputOp>(getBody().front().getTerminator()); }

BlockArgument GraphOp::getInput(StringRef name) {
  for (auto [argument, key] : llvm::zip(getBody().getArguments(), getInputNames()))
    if (cast<StringAttr>(key).getValue() == name)
      return argument;
  return {};
}

void GraphOp::updateSignature() {
  setFunctionType(FunctionType::get(getContext(), getBody().getArgumentTypes(),
                                    TypeRange(getOutput().getValues())));
}

//===-- Linear cache ------------------------------------------------------------===//

namespace {
/// Where a cache value comes from: the argument or producer that holds the
/// whole cache, and the path of the part.
struct Origin {
  int64_t block = -1;
  int side = -1; // 0 self, 1 cross
  bool operator==(const Origin &) const = default;
};

class Linearity {
public:
  explicit Linearity(GraphOp graph) : graph(graph) {}

  LogicalResult check() {
    for (BlockArgument argument : graph.getBody().getArguments())
      if (failed(checkValue(argument)))
        return failure();
    for (Operation &op : graph.getBody().front()) {
      for (Value result : op.getResults())
        if (failed(checkValue(result)))
          return failure();
      if (failed(followPaths(op)))
        return failure();
    }
    return success();
  }

private:
  static bool consumes(OpOperand &use) {
    if (auto op = dyn_cast<CacheOp>(use.getOwner()))
      return op.consumesCache(use.getOperandNumber());
    return isa<OutputOp>(use.getOwner());
  }

  /// cache_c1 and cache_c2 for one value.
  LogicalResult checkValue(Value value) {
    if (!isCache(value.getType()))
      return success();
    OpOperand *consumer = nullptr;
    for (OpOperand &use : value.getUses()) {
      if (!consumes(use))
        continue;
      if (consumer) {
        const bool later = consumer->getOwner()->isBeforeInBlock(use.getOwner());
        OpOperand &first = later ? *consumer : use, &second = later ? use : *consumer;
        auto diagnostic = second.getOwner()->emitOpError("cache_c1: a cache value is consumed at most once");
        diagnostic.attachNote(first.getOwner()->getLoc()) << "also consumed here";
        return diagnostic;
      }
      consumer = &use;
    }
    for (OpOperand &use : value.getUses()) {
      if (!consumer || &use == consumer || !consumer->getOwner()->isBeforeInBlock(use.getOwner()))
        continue;
      auto diagnostic = use.getOwner()->emitOpError("cache_c2: reads a cache value after its in-place update");
      diagnostic.attachNote(consumer->getOwner()->getLoc()) << "updated here";
      return diagnostic;
    }
    return success();
  }

  /// cache_c3 and cache_c4: what is out, and what comes back.
  LogicalResult followPaths(Operation &op) {
    if (auto get = dyn_cast<GetBlockCacheOp>(op)) {
      origins[get.getPart()] = {int64_t(get.getBlock()), -1};
      return take(op, origins[get.getPart()], get.getPart().getType());
    }
    if (auto get = dyn_cast<GetAttentionCacheOp>(op)) {
      Origin origin = origins.lookup(get.getCache());
      origin.side = get.getCross();
      origins[get.getPart()] = origin;
      return take(op, origin, get.getPart().getType());
    }
    if (auto append = dyn_cast<CacheAppendOp>(op)) {
      origins[append.getUpdated()] = origins.lookup(append.getCache());
      return success();
    }
    if (auto store = dyn_cast<CacheStoreOp>(op)) {
      origins[store.getUpdated()] = origins.lookup(store.getCache());
      return success();
    }
    if (auto put = dyn_cast<PutAttentionCacheOp>(op)) {
      Origin origin = origins.lookup(put.getCache());
      origins[put.getUpdated()] = origin;
      origin.side = put.getCross();
      return putBack(op, origin, origins.lookup(put.getPart()), put.getPart().getType());
    }
    if (auto put = dyn_cast<PutBlockCacheOp>(op))
      return putBack(op, {int64_t(put.getBlock()), -1}, origins.lookup(put.getPart()), put.getPart().getType());
    return success();
  }

  LogicalResult take(Operation &op, Origin origin, Type part) {
    if (!isCache(part))
      return success();
    for (auto &[where, taken] : out)
      if (where == origin) {
        auto diagnostic = op.emitOpError("cache_c3: this part of the cache is already out");
        diagnostic.attachNote(taken->getLoc()) << "taken out here";
        return diagnostic;
      }
    out.emplace_back(origin, &op);
    return success();
  }

  LogicalResult putBack(Operation &op, Origin expected, Origin got, Type part) {
    if (!isCache(part))
      return success();
    if (!(expected == got))
      return op.emitOpError("cache_c4: a put returns what came from the get of the same path");
    llvm::erase_if(out, [&](auto &entry) { return entry.first == expected; });
    return success();
  }

  GraphOp graph;
  llvm::DenseMap<Value, Origin> origins;
  SmallVector<std::pair<Origin, Operation *>> out;
};
} // namespace

LogicalResult GraphOp::verifyRegions() {
  Block &body = getBody().front();
  auto output = dyn_cast<OutputOp>(body.getTerminator());
  if (!output || TypeRange(output.getValues()) != TypeRange(getResultTypes()))
    return emitOpError("graph_c1: output types must be the signature's");
  if (getInputNames().size() != body.getNumArguments())
    return emitOpError("graph_c2: expected one input name per argument, got ")
           << getInputNames().size() << " for " << body.getNumArguments();
  llvm::DenseMap<StringRef, Operation *> names;
  for (Operation &op : body) {
    auto named = dyn_cast<NamedLayer>(op);
    if (!named || isa<ContainerOp, OptionalOp>(op))
      continue;
    auto [entry, fresh] = names.try_emplace(named.getLayerName(), &op);
    if (fresh)
      continue;
    auto diagnostic = op.emitOpError("graph_c3: layer name '") << named.getLayerName() << "' is taken";
    diagnostic.attachNote(entry->second->getLoc()) << "by this layer";
    return diagnostic;
  }
  return Linearity(*this).check();
}
