// Numerics Q1 and Q2 on vectors: the row is read twice, once for its greatest
// magnitude and once to be divided by its scale. Magnitudes are compared as
// integers, where NaN is above infinity, so that neither is lost in a maximum.
#include "passes/cpu/QuantizeRow.h"

#include "graphc/IR/Layer.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;
using namespace graphc;
using namespace graphc::kernel;

namespace {

class RowQuantizer {
public:
  RowQuantizer(VectorEmitter &e, Value rows, Value token, Value column, MemRefType cache)
      : e(e), rows(rows), token(token), column(column), headDim(cache.getShape().back()), element(cache.getElementType()),
        most(float(info(*layer::dtypeOf(element)).greatest)) {}

  void store(Value cache, Value scales, ArrayRef<Value> place) {
    Value m = greatest();
    Value finite = arith::CmpIOp::create(e.b, e.loc, arith::CmpIPredicate::slt, m, integer(0x7f800000));
    Value size = arith::BitcastOp::create(e.b, e.loc, e.b.getF32Type(), m);
    Value counts = arith::CmpFOp::create(e.b, e.loc, arith::CmpFPredicate::OGE, size, e.constant(0x1p-100f));
    Value scale = e.select(counts, e.divf(size, e.constant(most)), e.constant(0));
    e.storeScalar(e.select(finite, scale, e.constant(std::numeric_limits<float>::quiet_NaN())), scales, place);
    Value used = arith::AndIOp::create(e.b, e.loc, finite, counts), divisor = e.broadcast(scale);
    forChunks([&](Value x, int64_t at, int64_t width) {
      Value ratio = e.maxf(e.splat(-most), arith::MinNumFOp::create(e.b, e.loc, e.splat(most), e.divf(x, divisor)));
      SmallVector<Value> to(place);
      to.push_back(e.index(at));
      e.storeRaw(round(e.select(used, ratio, e.splat(0))), cache, to, width);
    });
  }

private:
  void forChunks(llvm::function_ref<void(Value x, int64_t at, int64_t width)> body) {
    for (int64_t at = 0; at < headDim; at += e.lanes()) {
      const int64_t width = std::min(e.lanes(), headDim - at);
      body(e.loadWide(rows, {token, e.add(column, at)}, width), at, width);
    }
  }

  Value integer(uint32_t value) { return arith::ConstantOp::create(e.b, e.loc, e.b.getI32IntegerAttr(int32_t(value))); }

  /// Bits of the greatest magnitude, i32.
  Value greatest() {
    auto integers = VectorType::get({e.lanes()}, e.b.getI32Type());
    Value result = arith::ConstantOp::create(e.b, e.loc, e.b.getZeroAttr(integers));
    Value magnitude = vector::BroadcastOp::create(e.b, e.loc, integers, integer(0x7fffffff));
    forChunks([&](Value x, int64_t, int64_t) {
      Value bits = vector::BitCastOp::create(e.b, e.loc, integers, x);
      result = arith::MaxSIOp::create(e.b, e.loc, result, arith::AndIOp::create(e.b, e.loc, bits, magnitude));
    });
    return vector::ReductionOp::create(e.b, e.loc, vector::CombiningKind::MAXSI, result);
  }

  /// To the cache's element. 1.5 * 2^23 has an ulp of 1, so that the sum rounds to
  /// whole numbers, nearest even, and ends with their low bits.
  Value round(Value x) {
    auto type = VectorType::get({e.lanes()}, element);
    if (isa<FloatType>(element))
      return arith::TruncFOp::create(e.b, e.loc, type, x);
    auto integers = VectorType::get({e.lanes()}, e.b.getI32Type());
    Value sum = e.addf(x, e.splat(0x1.8p23f));
    return arith::TruncIOp::create(e.b, e.loc, type, vector::BitCastOp::create(e.b, e.loc, integers, sum));
  }

  VectorEmitter &e;
  Value rows, token, column;
  int64_t headDim;
  Type element;
  float most; // Q
};

} // namespace

void graphc::kernel::quantizeRow(VectorEmitter &e, Value rows, Value token, Value column, Value cache, Value scales,
                                 ArrayRef<Value> place) {
  RowQuantizer(e, rows, token, column, cast<MemRefType>(cache.getType())).store(cache, scales, place);
}
