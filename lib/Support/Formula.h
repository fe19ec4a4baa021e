// A size as a function of a session, in words: "1024 * batch * capacity + 4 * batch".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace graphc {

/// A sum of products of named factors. It only spells what a plan computes; the
/// tests compare its value with the plan's.
class Formula {
public:
  using Factors = std::vector<std::string>; ///< "batch", "(batch + 1)", "ring(512)".

  /// Adds `coefficient` times the product; equal products become one term.
  void add(uint64_t coefficient, Factors factors);
  void add(const Formula &other);
  const std::vector<std::pair<Factors, uint64_t>> &terms() const { return products; }
  /// In order of addition; "0" without terms.
  std::string text() const;
  bool operator==(const Formula &) const = default;

private:
  std::vector<std::pair<Factors, uint64_t>> products;
};

} // namespace graphc
