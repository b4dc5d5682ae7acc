#include "mezzo/import/tokenizer/unigram.h"

#include <algorithm>

#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {

Unigram::Unigram(Vocabulary tokens, const std::vector<Piece>& pieces, int32_t unknown_token,
                 double unknown_score, Sums sums)
    : scores_(static_cast<size_t>(tokens.size())), unknown_score_(unknown_score), sums_(sums) {
  vocabulary = std::move(tokens);
  unknown = unknown_token;
  std::vector<Trie::Entry> entries;
  for (const Piece& piece : pieces) {
    entries.push_back({*vocabulary.Text(piece.id), piece.id});
    scores_[static_cast<size_t>(piece.id)] = piece.score;
  }
  trie_ = Trie(std::move(entries));
}

std::vector<Unigram::Path> Unigram::BestPaths(std::string_view word) const {
  constexpr double kRebase = -100000;
  std::vector<Path> best(word.size() + 1);
  size_t reached = 0;  // where the paths so far end at most
  const auto offer = [&](size_t begin, size_t length, int32_t piece, double score) {
    const double sum = Kept(best[begin].sum + score);
    Path& path = best[begin + length];
    if (path.last < 0 || sum > path.sum) path = {sum, piece, static_cast<uint32_t>(length)};
    reached = std::max(reached, begin + length);
  };
  for (size_t i = 0, bytes = 0; i < word.size(); i += bytes) {
    bytes = NextCodePoint(word, i).size();
    if (const double base = best[i].sum; sums_ == Sums::kFloat && base < kRebase)
      for (size_t end = i; end <= reached; ++end) best[end].sum = Kept(best[end].sum - base);
    bool known = false;
    trie_.ForEachPrefix(word.substr(i), [&](size_t length, int32_t piece) {
      offer(i, length, piece, scores_[static_cast<size_t>(piece)]);
      known |= length == bytes;
    });
    if (!known) offer(i, bytes, *unknown, unknown_score_);
  }
  return best;
}

void Unigram::Encode(std::string_view word, std::vector<int32_t>* ids) const {
  const std::vector<Path> best = BestPaths(word);
  std::vector<std::pair<int32_t, std::string_view>> pieces;  // from the last to the first
  for (size_t end = word.size(); end > 0;) {
    const auto [sum, id, length] = best[end];
    const std::string_view text = word.substr(end -= length, length);
    if (id == *unknown && !pieces.empty() && pieces.back().first == id)
      pieces.back().second = word.substr(end, length + pieces.back().second.size());
    else
      pieces.emplace_back(id, text);
  }
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    const auto [id, text] = *piece;
    // What spells the unknown token is that token, not its bytes.
    const bool in_bytes =
        id == *unknown && text != *vocabulary.Text(id) && AppendByteTokens(text, ids);
    if (!in_bytes) ids->push_back(id);
  }
}

}  // namespace mezzo
