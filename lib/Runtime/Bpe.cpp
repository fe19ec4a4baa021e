// Merging with a heap of candidate pairs over a linked list of symbols: a
// merge only touches its neighbours, and outdated candidates are recognised
// when they are taken, so nothing is ever searched for.
#include "Runtime/Bpe.h"
#include "Runtime/Unicode.h"

#include <queue>

namespace graphc {

/// An element of the list; the right part of a merge stays in place, dead.
struct BpeModel::Symbol {
  int32_t id;
  int32_t previous, next; ///< Indices, -1 at the ends.
  bool alive = true;
};

namespace {
struct Candidate {
  uint32_t rank;
  int32_t position; ///< Of the left symbol; equal ranks merge from the left.
  int32_t merged;
  bool operator>(const Candidate &other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};
} // namespace

std::optional<int32_t> BpeModel::tokenToId(std::string_view token) const {
  const auto entry = ids.find(token);
  return entry == ids.end() ? std::nullopt : std::optional(entry->second);
}

const std::string *BpeModel::idToToken(int32_t id) const {
  return id >= 0 && id < idCount() && texts[size_t(id)] ? &*texts[size_t(id)] : nullptr;
}

std::optional<BpeModel::Merge> BpeModel::findMerge(int32_t left, int32_t right) const {
  const auto entry = merges.find(uint64_t(uint32_t(left)) << 32 | uint32_t(right));
  return entry == merges.end() ? std::nullopt : std::optional(entry->second);
}

void BpeModel::initialSymbols(std::string_view word, std::vector<Symbol> &symbols) const {
  const auto add = [&](int32_t id) {
    const auto index = int32_t(symbols.size());
    if (index)
      symbols.back().next = index;
    symbols.push_back({id, index - 1, -1});
  };
  bool unknownPending = false;
  for (size_t i = 0; i < word.size();) {
    const std::string_view character = word.substr(i, utf8Length(word[i]));
    i += character.size();
    const char32_t codePoint = codePointAt(character, 0);
    const std::optional<int32_t> id =
        codePoint < characterIds.size()
            ? (characterIds[codePoint] < 0 ? std::nullopt : std::optional(characterIds[codePoint]))
            : tokenToId(character);
    if (id) {
      if (std::exchange(unknownPending, false))
        add(*unknown);
      add(*id);
      continue;
    }
    const auto byteId = [&](char byte) { return byteIds[static_cast<unsigned char>(byte)]; };
    if (byteFallback && std::all_of(character.begin(), character.end(),
                                    [&](char byte) { return byteId(byte) >= 0; })) {
      // Goes before an unknown token that is pending, as in Hugging Face's.
      for (char byte : character)
        add(byteId(byte));
      continue;
    }
    if (unknown) {
      if (unknownPending && !fuseUnknown)
        add(*unknown);
      unknownPending = true;
    }
  }
  if (unknownPending)
    add(*unknown);
}

void BpeModel::mergeAll(std::vector<Symbol> &symbols) const {
  std::vector<Candidate> storage;
  storage.reserve(symbols.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(std::greater<>(),
                                                                               std::move(storage));
  const auto consider = [&](int32_t left, int32_t right) {
    if (left >= 0 && right >= 0)
      if (auto merge = findMerge(symbols[size_t(left)].id, symbols[size_t(right)].id))
        queue.push({merge->rank, left, merge->merged});
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    consider(int32_t(i), int32_t(i + 1));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol &left = symbols[size_t(best.position)];
    if (!left.alive || left.next < 0)
      continue;
    Symbol &right = symbols[size_t(left.next)];
    const std::optional<Merge> merge = findMerge(left.id, right.id);
    if (!merge || merge->merged != best.merged) // one of the two has changed since
      continue;
    left.id = best.merged;
    right.alive = false;
    left.next = right.next;
    if (right.next >= 0)
      symbols[size_t(right.next)].previous = best.position;
    consider(left.previous, best.position);
    consider(best.position, left.next);
  }
}

void BpeModel::encode(std::string_view word, std::vector<int32_t> &out) const {
  if (ignoreMerges)
    if (const std::optional<int32_t> id = tokenToId(word)) {
      out.push_back(*id);
      return;
    }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  initialSymbols(word, symbols);
  mergeAll(symbols);
  for (const Symbol &symbol : symbols)
    if (symbol.alive)
      out.push_back(symbol.id);
}

} // namespace graphc
