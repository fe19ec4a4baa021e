// Edit distance with one row of the table, and the selection of the nearest.
#include "Support/Nearest.h"
#include "Support/Message.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <unordered_set>

namespace graphc {

size_t editDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, 256);
  b = b.substr(0, 256);
  std::vector<size_t> row(b.size() + 1); // row[j]: distance of a's prefix to b[0, j)
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

std::vector<std::string_view> nearestNames(std::string_view name,
                                           std::span<const std::string_view> known,
                                           size_t count) {
  std::unordered_set<std::string_view> seen;
  std::vector<std::tuple<bool, size_t, size_t>> ranked; // (lacks `name`, distance, index)
  for (size_t i = 0; i < known.size(); ++i)
    if (seen.insert(known[i]).second)
      ranked.emplace_back(name.empty() || known[i].find(name) == std::string_view::npos,
                          editDistance(name, known[i]), i);
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string_view> nearest;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i)
    nearest.push_back(known[std::get<2>(ranked[i])]);
  return nearest;
}

std::string nearestHint(std::string_view name, std::span<const std::string_view> known,
                        size_t count, size_t within) {
  std::string hint;
  for (std::string_view candidate : nearestNames(name, known, count))
    if (editDistance(name, candidate) <= within)
      hint += concat(hint.empty() ? "; nearest: '" : ", '", candidate, "'");
  return hint;
}

} // namespace graphc
