#include "mezzo/import/tokenizer/bpe.h"

#include <algorithm>
#include <queue>
#include <tuple>

#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

uint64_t Key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct Symbol {
  int32_t id;              // -1: merged into an earlier one
  int32_t previous, next;  // -1: none
};

struct Candidate {
  int32_t rank, at, merged;
  bool operator<(const Candidate& other) const {  // std::priority_queue gives the largest first
    return std::tie(rank, at) > std::tie(other.rank, other.at);
  }
};

}  // namespace

void Bpe::AddMerge(int32_t left, int32_t right, int32_t rank, int32_t merged) {
  merges_[Key(left, right)] = {rank, merged};
}

const Bpe::Merge* Bpe::Find(int32_t left, int32_t right) const {
  const auto it = merges_.find(Key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<int32_t> Bpe::CodePoints(std::string_view word) const {
  std::vector<int32_t> ids;
  ids.reserve(word.size());
  bool pending =
      false;  // an unknown one, not written yet; byte tokens overtake it, as in `tokenizers`
  for (size_t i = 0; i < word.size();) {
    const std::string_view code_point = NextCodePoint(word, i);
    i += code_point.size();
    if (const auto id = vocabulary.Find(code_point)) {
      if (pending) ids.push_back(*unknown);
      pending = false;
      ids.push_back(*id);
    } else if (!AppendByteTokens(code_point, &ids) && unknown) {
      if (pending && !fuse_unknown) ids.push_back(*unknown);
      pending = true;
    }
  }
  if (pending) ids.push_back(*unknown);
  return ids;
}

void Bpe::Encode(std::string_view word, std::vector<int32_t>* ids) const {
  if (ignore_merges)
    if (const auto id = vocabulary.Find(word)) return ids->push_back(*id);

  const std::vector<int32_t> start = CodePoints(word);
  const auto n = static_cast<int32_t>(start.size());
  std::vector<Symbol> symbols(start.size());
  for (int32_t i = 0; i < n; ++i)
    symbols[static_cast<size_t>(i)] = {start[static_cast<size_t>(i)], i - 1,
                                       i + 1 < n ? i + 1 : -1};
  const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };

  std::vector<Candidate> candidates;
  const auto candidate = [&](int32_t left) -> std::optional<Candidate> {
    const int32_t right = left < 0 ? -1 : at(left).next;
    const Merge* merge = right < 0 ? nullptr : Find(at(left).id, at(right).id);
    if (!merge) return std::nullopt;
    return Candidate{merge->rank, left, merge->merged};
  };
  for (int32_t i = 0; i < n; ++i)
    if (const auto c = candidate(i)) candidates.push_back(*c);
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(candidates));

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = at(best.at);
    if (left.id < 0) continue;
    const auto now = candidate(best.at);  // its neighbours may have been merged since
    if (!now || now->merged != best.merged) continue;
    Symbol& right = at(left.next);
    left.id = best.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = best.at;
    for (const int32_t i : {left.previous, best.at})
      if (const auto c = candidate(i)) queue.push(*c);
  }
  for (const Symbol& s : symbols)
    if (s.id >= 0) ids->push_back(s.id);
}

}  // namespace mezzo
