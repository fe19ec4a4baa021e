// Seed mode. Every cache value becomes the list of its leaves, and every cache
// operation a node that carries the leaves that the seed's node carries.
#include "IR/Counters.h"
#include "passes/layer/Passes.h"
#include "passes/layer/Slots.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace graphc::layer {
#define GEN_PASS_DEF_EXPANDCACHE
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

namespace {

/// Keys and values of one slot.
struct SlotLeaves {
  unsigned first = 0;   // leaf of its keys, counted in the whole cache
  unsigned inBlock = 0; // the same, counted in the block
  int64_t kvHeads = 1;
  PolicyLayer reader;
};

/// What one cache argument has become.
struct Expansion {
  std::string name;                                    // of the argument
  std::map<std::pair<int64_t, bool>, SlotLeaves> slots; // by block and side
  SmallVector<unsigned> blockFirst;                    // first leaf of each block; the count of leaves at the end
  PolicyAttr policy;                                   // of nodes that carry the whole cache
  Value offset, mask;                                  // of the argument
  Value read, merged, keyPositions;                    // after the new rows are marked; null before the first append
  Value updated;                                       // offset after the advance
};

class Expander {
public:
  Expander(GraphOp graph, Counter &leaves, Counter &nodes, Counter &repeats)
      : graph(graph), builder(graph.getContext()), numLeaves(leaves), numNodes(nodes), numRepeated(repeats) {}

  LogicalResult run() {
    for (Slot &slot : collectSlots(graph))
      enterSlot(slot);
    if (failed(checkUsers()))
      return failure();
    for (auto &[root, expansion] : expansions)
      unpack(cast<BlockArgument>(root), expansion);
    for (Operation &op : llvm::make_early_inc_range(graph.getBody().front())) {
      builder.setInsertionPoint(&op);
      if (failed(visit(op)))
        return failure();
    }
    for (Operation *op : llvm::reverse(dead))
      op->erase();
    graph.updateSignature();
    return success();
  }

private:
  void enterSlot(const Slot &slot) {
    auto [entry, fresh] = expansions.try_emplace(slot.root);
    Expansion &expansion = entry->second;
    if (fresh)
      expansion.name = cast<StringAttr>(graph.getInputNames()[slot.root.getArgNumber()]).getValue().str();
    if (int64_t(expansion.blockFirst.size()) == slot.block)
      expansion.blockFirst.push_back(leafTypes[slot.root].size());
    SlotLeaves where;
    where.first = leafTypes[slot.root].size();
    where.inBlock = where.first - expansion.blockFirst.back();
    int64_t heads = where.kvHeads = slot.type.getKvHeads();
    if (!slot.readers.empty()) {
      where.reader = slot.readers.front();
      heads = cast<RankedTensorType>(where.reader->getOperand(0).getType()).getDimSize(1);
      if (!expansion.policy)
        expansion.policy = where.reader.getLayerPolicy();
    }
    Type leaf = RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic, heads, slot.type.getHeadDim()},
                                      builder.getF32Type());
    leafTypes[slot.root].append(2, leaf);
    expansion.slots[{slot.block, slot.cross}] = where;
  }

  /// A cache that something else than attention, cache operations and the output
  /// takes cannot be taken apart.
  LogicalResult checkUsers() {
    for (Operation &op : graph.getBody().front())
      if (!isa<CacheOp, AttentionOp, OutputOp>(op) && llvm::any_of(op.getOperandTypes(), isCache))
        return op.emitOpError("takes a cache; seed mode has no form for that");
    return success();
  }

  void unpack(BlockArgument argument, Expansion &expansion) {
    SmallVector<Type> types = leafTypes[argument];
    numLeaves += types.size();
    expansion.blockFirst.push_back(types.size());
    types.push_back(RankedTensorType::get({}, builder.getI32Type()));
    types.push_back(RankedTensorType::get({ShapedType::kDynamic, ShapedType::kDynamic}, builder.getI32Type()));
    argument.setType(ContainerType::get(graph.getContext(), types));
    builder.setInsertionPointToStart(&graph.getBody().front());
    auto unpacked = UnpackOp::create(builder, argument.getLoc(), types, argument);
    SmallVector<Value> values(unpacked.getYs().begin(), unpacked.getYs().end());
    expansion.mask = values.pop_back_val();
    expansion.offset = values.pop_back_val();
    leaves[argument] = values;
  }

  LogicalResult visit(Operation &op) {
    if (auto output = dyn_cast<OutputOp>(op)) {
      pack(output);
      return success();
    }
    if (auto attention = dyn_cast<AttentionOp>(op))
      return leaves.contains(attention.getCache()) ? attend(attention) : success();
    auto cache = dyn_cast<CacheOp>(op);
    if (!cache || !leaves.contains(cache.getWholeCache()))
      return success();
    dead.push_back(&op);
    const CachePath path = pathOf(cache.getWholeCache());
    Expansion &expansion = expansions[path.root];
    const Location loc = op.getLoc();
    const std::string prefix = expansion.name;
    const SmallVector<Value> whole = leaves.lookup(cache.getWholeCache());
    if (auto offset = dyn_cast<CacheOffsetOp>(op)) {
      offset.getOffset().replaceAllUsesWith(
          SeedLengthsOp::create(builder, loc, offset.getOffset().getType(),
                                expansion.updated ? expansion.merged : expansion.mask));
    } else if (auto get = dyn_cast<GetBlockCacheOp>(op)) {
      const unsigned first = expansion.blockFirst[get.getBlock()], end = expansion.blockFirst[get.getBlock() + 1];
      leaves[get.getPart()] =
          makeGet(loc, node(prefix, get.getBlock(), "get"), expansion.policy, whole, first, end - first);
    } else if (auto get = dyn_cast<GetAttentionCacheOp>(op)) {
      const SlotLeaves &slot = expansion.slots[{path.block, get.getCross()}];
      leaves[get.getPart()] = makeGet(loc, node(prefix, path.block, side(get.getCross()) + ".get"), policyOf(slot),
                                      whole, slot.inBlock, 2);
    } else if (auto append = dyn_cast<CacheAppendOp>(op)) {
      markRows(expansion, path.root, append.getPositions(), loc);
      const SlotLeaves &slot = expansion.slots[{path.block, bool(path.cross)}];
      leaves[append.getUpdated()] = {
          store(expansion, slot, path.block, "key", whole[0], append.getKey(), loc),
          store(expansion, slot, path.block, "value", whole[1], append.getValue(), loc)};
    } else if (auto put = dyn_cast<PutAttentionCacheOp>(op)) {
      const SlotLeaves &slot = expansion.slots[{path.block, put.getCross()}];
      leaves[put.getUpdated()] = makePut(loc, node(prefix, path.block, side(put.getCross()) + ".put"),
                                         policyOf(slot), whole, leaves.lookup(put.getPart()), slot.inBlock);
    } else if (auto put = dyn_cast<PutBlockCacheOp>(op)) {
      leaves[put.getUpdated()] = makePut(loc, node(prefix, put.getBlock(), "put"), expansion.policy, whole,
                                         leaves.lookup(put.getPart()), expansion.blockFirst[put.getBlock()]);
    } else if (auto advance = dyn_cast<CacheAdvanceOp>(op)) {
      markRows(expansion, path.root, advance.getPositions(), loc);
      auto next = SeedAdvanceOp::create(builder, loc, TypeRange(ValueRange(whole)), expansion.offset.getType(),
                                        builder.getStringAttr(prefix + ".advance"), expansion.policy, whole,
                                        expansion.read, advance.getPositions());
      ++numNodes;
      leaves[advance.getUpdated()] = SmallVector<Value>(next.getYs().begin(), next.getYs().end());
      expansion.updated = next.getUpdated();
    } else if (auto store = dyn_cast<CacheStoreOp>(op)) {
      return op.emitOpError("'") << store.getLayerName() << "' writes a cross slot; seed mode covers self attention";
    } else {
      dead.pop_back();
      return op.emitOpError("has no form in seed mode; run layer-expand-cache before layer-fuse-cache");
    }
    return success();
  }

  LogicalResult attend(AttentionOp attention) {
    const CachePath path = pathOf(attention.getCache());
    if (path.cross)
      return attention.emitOpError("'") << attention.getLayerName()
                                        << "' reads a cross slot; seed mode covers self attention";
    if (attention.getBias())
      return attention.emitOpError("'") << attention.getLayerName()
                                        << "' has a relative bias; seed mode covers attention without one";
    Expansion &expansion = expansions[path.root];
    markRows(expansion, path.root, attention.getPositions(), attention.getLoc());
    const SmallVector<Value> slot = leaves.lookup(attention.getCache());
    auto seed = SeedAttentionOp::create(
        builder, attention.getLoc(), attention.getY().getType(),
        attention.getWeights() ? attention.getWeights().getType() : Type(), attention.getNameAttr(),
        attention.getPolicyAttr(), attention.getQuery(), slot[0], slot[1], attention.getPositions(),
        expansion.keyPositions, attention.getScaleAttr(), attention.getCausalAttr(), attention.getWindowAttr());
    seed->setDiscardableAttrs(attention->getDiscardableAttrDictionary());
    attention.getY().replaceAllUsesWith(seed.getY());
    if (attention.getWeights())
      attention.getWeights().replaceAllUsesWith(seed.getWeights());
    ++numNodes;
    dead.push_back(attention);
    return success();
  }

  /// Before the first use of the new rows: reads the offset and marks the rows
  /// as visible.
  void markRows(Expansion &expansion, Value root, Value positions, Location loc) {
    if (expansion.read)
      return;
    expansion.read = SeedOffsetOp::create(builder, loc, expansion.offset.getType(),
                                          builder.getStringAttr(expansion.name + ".offset"), expansion.policy,
                                          leaves[root], expansion.offset);
    expansion.merged = SeedMergeMaskOp::create(builder, loc, expansion.mask.getType(), expansion.mask,
                                               expansion.read, positions);
    expansion.keyPositions = SeedKeyPositionsOp::create(builder, loc, expansion.mask.getType(), expansion.merged);
    ++numNodes;
  }

  /// Heads are repeated before the write, so the cache holds query heads.
  Value store(Expansion &expansion, const SlotLeaves &slot, int64_t block, StringRef what, Value leaf, Value rows,
              Location loc) {
    auto leafType = cast<RankedTensorType>(leaf.getType()), rowType = cast<RankedTensorType>(rows.getType());
    const int64_t times = leafType.getDimSize(2) / slot.kvHeads;
    const std::string path = slot.reader ? PolicyLayer(slot.reader).getLayerName().str() + "." + what.str()
                                         : node(expansion.name, block, "self." + what.str());
    if (times > 1) {
      SmallVector<int64_t> shape(rowType.getShape());
      shape[1] = leafType.getDimSize(2);
      rows = RepeatHeadsOp::create(builder, loc, rowType.clone(shape), builder.getStringAttr(path + ".repeat"),
                                   policyOf(slot), rows, builder.getI64IntegerAttr(times));
      ++numRepeated;
    }
    ++numNodes;
    return SeedUpdateOp::create(builder, loc, leafType, builder.getStringAttr(path + ".update"), policyOf(slot), leaf,
                                rows, expansion.read);
  }

  SmallVector<Value> makeGet(Location loc, const std::string &name, PolicyAttr policy, ArrayRef<Value> xs,
                             unsigned first, unsigned count) {
    ++numNodes;
    auto get = SeedGetOp::create(builder, loc, TypeRange(ValueRange(xs.slice(first, count))),
                                 builder.getStringAttr(name), policy, xs, builder.getI64IntegerAttr(first));
    return {get.getYs().begin(), get.getYs().end()};
  }

  SmallVector<Value> makePut(Location loc, const std::string &name, PolicyAttr policy, ArrayRef<Value> xs,
                             ArrayRef<Value> parts, unsigned first) {
    ++numNodes;
    SmallVector<Value> operands(xs);
    operands.append(parts.begin(), parts.end());
    auto put = SeedPutOp::create(builder, loc, TypeRange(ValueRange(xs)), builder.getStringAttr(name), policy,
                                 operands, builder.getI64IntegerAttr(first));
    return {put.getYs().begin(), put.getYs().end()};
  }

  /// A cache that is an output becomes a container again.
  void pack(OutputOp output) {
    for (OpOperand &operand : output->getOpOperands()) {
      auto found = leaves.find(operand.get());
      if (found == leaves.end())
        continue;
      Expansion &expansion = expansions[pathOf(operand.get()).root];
      SmallVector<Value> values(found->second);
      values.push_back(expansion.updated ? expansion.updated : expansion.offset);
      values.push_back(expansion.merged ? expansion.merged : expansion.mask);
      Type type = ContainerType::get(graph.getContext(), llvm::to_vector(TypeRange(ValueRange(values))));
      operand.set(ContainerOp::create(builder, output.getLoc(), type, builder.getStringAttr(expansion.name),
                                      PolicyAttr(), values));
    }
  }

  static std::string node(StringRef prefix, int64_t block, const std::string &what) {
    return (prefix + "." + Twine(block) + "." + what).str();
  }
  static std::string side(bool cross) { return cross ? "cross" : "self"; }
  static PolicyAttr policyOf(const SlotLeaves &slot) {
    return slot.reader ? PolicyLayer(slot.reader).getLayerPolicy() : PolicyAttr();
  }

  GraphOp graph;
  OpBuilder builder;
  llvm::MapVector<Value, Expansion> expansions;        // by argument
  llvm::DenseMap<Value, SmallVector<Type>> leafTypes;  // by argument
  llvm::DenseMap<Value, SmallVector<Value>> leaves;    // of every cache value
  SmallVector<Operation *> dead;
  Counter &numLeaves, &numNodes, &numRepeated;
};

struct ExpandCache : graphc::layer::impl::ExpandCacheBase<ExpandCache> {
  using ExpandCacheBase::ExpandCacheBase;

  void runOnOperation() override {
    for (GraphOp graph : getOperation().getOps<GraphOp>()) {
      if (collectSlots(graph).empty())
        continue;
      if (graph.getCasts() == Casts::Explicit) {
        emitError(graph.getLoc(), "cache must be expanded before casts are explicit; the policy has to reach it");
        return signalPassFailure();
      }
      if (failed(Expander(graph, numLeaves, numNodes, numRepeated).run()))
        return signalPassFailure();
    }
    reportCounters(getOperation(), getArgument(), report, {&numLeaves, &numNodes, &numRepeated});
  }

private:
  Counter numLeaves{"leaves"};
  Counter numNodes{"carrying-nodes"};
  Counter numRepeated{"repeats"};
};
} // namespace
