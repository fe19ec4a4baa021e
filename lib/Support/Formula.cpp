#include "Support/Formula.h"
#include "Support/Message.h"

#include <algorithm>

namespace graphc {

void Formula::add(uint64_t coefficient, Factors factors) {
  if (coefficient == 0)
    return;
  std::sort(factors.begin(), factors.end());
  for (auto &[product, sum] : products)
    if (product == factors) {
      sum += coefficient;
      return;
    }
  products.emplace_back(std::move(factors), coefficient);
}

void Formula::add(const Formula &other) {
  for (const auto &[product, coefficient] : other.products)
    add(coefficient, product);
}

std::string Formula::text() const {
  std::vector<std::string> sums;
  for (const auto &[product, coefficient] : products)
    sums.push_back(product.empty() ? concat(coefficient) : concat(coefficient, " * ", join(product, " * ")));
  return sums.empty() ? "0" : join(sums, " + ");
}

} // namespace graphc
