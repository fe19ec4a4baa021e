// A graph of one attention and its cache, as text, for tests that change how the
// cache is written.
#pragma once

#include "Reference/Generate.h"
#include "graphc/IR/Layer.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cmath>

namespace graphc::reference {

/// One attention with its cache. KEYS, VALUES: the slot's types. BODY sees %x
/// (batch, tokens, 8), %positions and %cache and must end with `%a`, (batch,
/// tokens, 8), and `%c`, the cache.
inline std::string attentionGraph(const std::string &keys, const std::string &values, const std::string &body,
                                  const std::string &attributes = "") {
  return "!slot = !layer.attention_cache<1 x 4, full, keys = " + keys + ", values = " + values + R"(>
!block = !layer.block_cache<self = !slot>
!cache = !layer.cache<!block>
!ids = tensor<?x?xi32>
!x = tensor<?x?x8xf32>
!q = tensor<?x2x?x4xf32>
!k = tensor<?x1x?x4xf32>
layer.parameter @table : tensor<16x8xf32>
layer.graph @main(%input_ids: !ids, %attention_mask: !ids, %cache: !cache) -> (!x, !cache)
    attributes {input_names = ["input_ids", "attention_mask", "cache"])" +
         attributes + R"(} {
  %lengths = cache_offset %cache : !cache -> tensor<?xi32>
  %positions = positions %lengths for %input_ids mask %attention_mask : (tensor<?xi32>, !ids, !ids) -> !ids
  %table = param @table : tensor<16x8xf32>
  %x = embedding "embedder"(%input_ids, %table) : (!ids, tensor<16x8xf32>) -> !x
  %q = split_heads "q"(%x) {heads = 2 : i64} : (!x) -> !q
  %k0 = slice "k0"(%x) {offset = 0 : i64, size = 4 : i64} : (!x) -> tensor<?x?x4xf32>
  %k = split_heads "k"(%k0) {heads = 1 : i64} : (tensor<?x?x4xf32>) -> !k
  %v0 = slice "v0"(%x) {offset = 4 : i64, size = 4 : i64} : (!x) -> tensor<?x?x4xf32>
  %v = split_heads "v"(%v0) {heads = 1 : i64} : (tensor<?x?x4xf32>) -> !k
)" + body + R"(
  %c1 = cache_advance %c by %positions : !cache, !ids
  %m = merge_heads "m"(%a) : (!q) -> !x
  output logits = %m : !x, cache = %c1 : !cache
})";
}

inline constexpr const char *kApart = R"(
  %b = get_block_cache %cache[0] : !cache -> !block
  %s = get_attention_cache %b self : !block -> !slot
  %s1 = cache_append %s, %k, %v at %positions : !slot, !k, !k, !ids
  %a, %w = attention "a"(%q) over %s1 at %positions {scale = 0.5, causal} POLICY : (!q, !slot, !ids) -> (!q, tensor<?x2x?x?xf32>)
  %b1 = put_attention_cache %s1 into %b self : !slot, !block
  %c = put_block_cache %b1 into %cache[0] : !block, !cache)";
inline constexpr const char *kFused = R"(
  %a, %c = cached_attention "a"(%q, %k, %v, %positions) in %cache[0] {scale = 0.5, causal} POLICY : !q, !k, !k, !ids, !cache -> !q)";

inline std::string with(std::string text, const std::string &policy) {
  return text.replace(text.find("POLICY"), 6, policy);
}

/// A parsed module and random parameters.
class Text {
public:
  /// Values of the last four columns, which are the value rows, are `valueScale` larger.
  explicit Text(const std::string &text, double valueScale = 1) {
    context.loadDialect<layer::LayerDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    Tensor table(DType::F32, {16, 8});
    for (int64_t i = 0; i < table.size(); ++i)
      table.data[i] = float(std::sin(double(i * i) * 0.37) * 3 * (i % 8 < 4 ? 1 : valueScale));
    parameters.emplace(std::map<std::string, Tensor>{{"table", table}});
  }
  Interpreter interpreter(Options options = {}) { return *Interpreter::create(*module, *parameters, options); }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<TensorParameters> parameters;
};

} // namespace graphc::reference
