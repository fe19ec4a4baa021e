// Fusion of an attention with the cache operations on its slot. The match
// follows the slot's value from get to put; it asks nothing about names, policies
// or casts, so a policy cannot defeat it.
#include "IR/Counters.h"
#include "passes/layer/Passes.h"

#include "mlir/IR/Builders.h"

namespace graphc::layer {
#define GEN_PASS_DEF_FUSECACHE
#include "passes/layer/Passes.h.inc"
} // namespace graphc::layer

using namespace mlir;
using namespace graphc;
using namespace graphc::layer;

namespace {

/// The ops of one slot's way out of the cache and back.
struct Chain {
  GetBlockCacheOp getBlock;
  GetAttentionCacheOp getSlot;
  CacheAppendOp append;
  AttentionOp attention;
  PutAttentionCacheOp putSlot;
  PutBlockCacheOp putBlock;
};

/// The op of type Op that uses `value`, if it is the only use but for `except`.
template <typename Op>
Op onlyUser(Value value, Operation *except = nullptr) {
  Op found;
  for (Operation *user : value.getUsers()) {
    if (user == except)
      continue;
    if (found || !isa<Op>(user))
      return {};
    found = cast<Op>(user);
  }
  return found;
}

struct FuseCache : graphc::layer::impl::FuseCacheBase<FuseCache> {
  using FuseCacheBase::FuseCacheBase;

  void runOnOperation() override {
    for (AttentionOp attention :
         llvm::make_early_inc_range(getOperation().getBody().front().getOps<AttentionOp>()))
      visit(attention);
    reportCounters(getOperation(), getArgument(), report, {&numFused, &numNoSlot, &numCross, &numNotAppended,
                       &numNotPutBack, &numShared, &numPositions, &numOrder});
  }

private:
  void visit(AttentionOp attention) {
    if (!attention.getCache())
      return countMissed(attention, getArgument(), numNoSlot, attention.getLayerName(),
                         "it is over tensors: there is no cache to fuse with");
    Chain chain;
    chain.attention = attention;
    if (!match(chain))
      return;
    Operation *place = placeFor(chain);
    if (!place)
      return miss(attention, numOrder, "no place in the graph has all its operands and precedes all uses of its result");
    fuse(chain, place);
  }

  void miss(AttentionOp attention, Counter &reason, StringRef text) {
    countMissed(attention, getArgument(), reason, attention.getLayerName(), text);
    attention.emitRemark() << "attention '" << attention.getLayerName() << "' is not fused with its cache: " << text;
  }

  bool match(Chain &chain) {
    AttentionOp attention = chain.attention;
    const auto no = [&](Counter &reason, StringRef text) {
      miss(attention, reason, text);
      return false;
    };
    auto slot = dyn_cast<AttentionCacheType>(attention.getCache().getType());
    if (slot && slot.isCross()) { // no miss to tell everyone of: so it is meant
      countMissed(attention, getArgument(), numCross, attention.getLayerName(),
                  "it reads a cross slot, which belongs to the encoder");
      return false;
    }
    chain.append = attention.getCache().getDefiningOp<CacheAppendOp>();
    if (!chain.append)
      return no(numNotAppended, "no cache_append writes the slot in front of it");
    if (chain.append.getPositions() != attention.getPositions())
      return no(numPositions, "its positions are not those of the cache_append");
    chain.getSlot = chain.append.getCache().getDefiningOp<GetAttentionCacheOp>();
    chain.getBlock = chain.getSlot ? chain.getSlot.getCache().getDefiningOp<GetBlockCacheOp>() : GetBlockCacheOp();
    if (!chain.getBlock)
      return no(numNotAppended, "more than one cache_append writes the slot in front of it");
    chain.putSlot = onlyUser<PutAttentionCacheOp>(attention.getCache(), attention);
    const bool alone = chain.putSlot && onlyUser<CacheAppendOp>(chain.getSlot.getPart());
    if (!alone)
      return attention.getCache().hasNUsesOrMore(3) || !onlyUser<CacheAppendOp>(chain.getSlot.getPart())
                 ? no(numShared, "another op reads the slot")
                 : no(numNotPutBack, "the slot is not put back into its block");
    // A block with a cross slot is also read by the cross attention, before or
    // after; only the way of the self slot must lead straight back.
    chain.putBlock = onlyUser<PutBlockCacheOp>(chain.putSlot.getUpdated());
    if (!chain.putBlock || chain.putSlot.getCache() != chain.getBlock.getPart())
      return no(numNotPutBack, "the block is not put back into the cache");
    return true;
  }

  /// Where the fused op can stand: at the put, where every other read of the
  /// cache has been, or at the attention, if nothing reads the cache after it.
  Operation *placeFor(Chain &chain) {
    const auto usesFollow = [&](Operation *place) {
      return llvm::all_of(chain.attention->getUsers(), [&](Operation *user) { return place->isBeforeInBlock(user); });
    };
    if (usesFollow(chain.putBlock))
      return chain.putBlock;
    Value cache = chain.putBlock.getCache();
    Operation *maker = cache.getDefiningOp();
    if (maker && !maker->isBeforeInBlock(chain.attention))
      return nullptr;
    for (Operation *user : cache.getUsers())
      if (user != chain.getBlock && user != chain.putBlock && !user->isBeforeInBlock(chain.attention))
        return nullptr;
    return chain.attention;
  }

  void fuse(Chain &chain, Operation *place) {
    AttentionOp attention = chain.attention;
    countDone(attention, getArgument(), numFused, attention.getLayerName(),
              "get, append, attention and put are one cached_attention, which updates its slot in place");
    OpBuilder builder(place);
    auto fused = CachedAttentionOp::create(
        builder, attention.getLoc(), attention.getY().getType(), chain.putBlock.getUpdated().getType(),
        attention.getWeights() ? attention.getWeights().getType() : Type(), attention.getNameAttr(),
        attention.getPolicyAttr(), attention.getQuery(), chain.append.getKey(), chain.append.getValue(),
        attention.getPositions(), attention.getBias(), chain.putBlock.getCache(), chain.putBlock.getBlockAttr(),
        attention.getRelativeAttr(), attention.getScaleAttr(),
        attention.getCausalAttr(), attention.getWindowAttr());
    fused->setDiscardableAttrs(attention->getDiscardableAttrDictionary());
    attention.getY().replaceAllUsesWith(fused.getY());
    if (attention.getWeights())
      attention.getWeights().replaceAllUsesWith(fused.getWeights());
    chain.putBlock.getUpdated().replaceAllUsesWith(fused.getUpdated());
    // The getter of the block may stand after the attention's neighbours; erase
    // from the last use to the first.
    for (Operation *op : {chain.putBlock.getOperation(), chain.putSlot.getOperation(), attention.getOperation(),
                          chain.append.getOperation(), chain.getSlot.getOperation()})
      op->erase();
    if (chain.getBlock->use_empty())
      chain.getBlock->erase();
  }

private:
  Counter numFused{"fused"};
  Counter numNoSlot{"missed-no-slot"};
  Counter numCross{"missed-cross"};
  Counter numNotAppended{"missed-not-appended"};
  Counter numNotPutBack{"missed-not-put-back"};
  Counter numShared{"missed-shared-slot"};
  Counter numPositions{"missed-positions"};
  Counter numOrder{"missed-order"};
};
} // namespace
