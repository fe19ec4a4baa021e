// Axon's rule for where values are rounded, a second time and from its documentation
// alone: each layer casts its operands and parameters to compute, works in compute,
// and casts its result to output. Straight loops over one whole sequence: no graph, no
// casts that could be folded, and no cache.
#pragma once

#include "Decoder.h"

#include "Support/DType.h"

#include <functional>
#include <optional>
#include <span>

namespace graphc::properties {

/// What a policy asks of one kind of layer; nothing: no cast.
struct LayerTypes {
  std::optional<DType> params, compute, output;
};

/// Values of the tokens of one sequence, (tokens, width), heads beside one another.
struct Rows {
  int64_t width = 0;
  std::vector<double> data;
};

class AxonModel {
public:
  /// `types` of a kind of layer, as the graph's text calls it. An attention must have
  /// a compute type of 16 bits: in f32 graphc's own definition of it takes over.
  AxonModel(const Decoder &decoder, const std::map<std::string, reference::Tensor> &parameters,
            std::function<LayerTypes(std::string_view kind)> types)
      : decoder(decoder), parameters(parameters), types(std::move(types)) {}

  /// What each block got, what the head got, and the logits.
  struct Outputs {
    std::vector<Rows> states;
    Rows logits;
  };
  Outputs run(std::span<const int32_t> ids) const;

private:
  Rows parameter(const LayerTypes &kind, const std::string &name) const;
  Rows embedding(const std::string &name, std::span<const int32_t> rows) const;
  /// Kernel and bias are those of `path`; `table`, if given, is the kernel instead.
  Rows dense(const std::string &path, const Rows &x, int64_t outputs, bool bias, bool inputMajor,
             const std::string &table = "") const;
  Rows norm(const std::string &path, const Rows &x, const Norm &norm, int64_t width) const;
  Rows rotate(const Block &block, const Rows &x) const;
  Rows attend(const Block &block, const Rows &query, const Rows &key, const Rows &value) const;
  Rows attention(size_t index, const Rows &x) const;
  Rows feedForward(const std::string &at, const Block &block, const Rows &x) const;
  Rows block(size_t index, Rows stream) const;
  /// f(x), element by element, as a layer of `kind`.
  Rows map(std::string_view kind, const Rows &x, double (*f)(double)) const;
  Rows pair(std::string_view kind, const Rows &a, const Rows &b, double (*f)(double, double)) const;

  const Decoder &decoder;
  const std::map<std::string, reference::Tensor> &parameters;
  std::function<LayerTypes(std::string_view)> types;
};

} // namespace graphc::properties
