// Unigram language models: of all ways to cut a word into pieces, the one with the highest sum of
// scores, found by Viterbi's algorithm. Kudo 2018, https://arxiv.org/abs/1804.10959
//
// A code point that is no piece may be unknown, for a score below all others; a run of unknown
// ones is one token. Of equal sums the one met first stays, going through the beginnings of pieces
// from the left.
#pragma once

#include "mezzo/import/tokenizer/token_model.h"
#include "mezzo/import/tokenizer/trie.h"

namespace mezzo {

class Unigram : public TokenModel {
 public:
  struct Piece {
    int32_t id;    // of a token in the vocabulary
    double score;  // no NaN
  };
  // How sums are kept, which decides between close ones: `tokenizers` has double, SentencePiece
  // (0.2.3) float, from which it takes what all have in common when that falls below -100000.
  enum class Sums { kFloat, kDouble };

  // Only the pieces are found in words. `unknown_token` is in the vocabulary.
  Unigram(Vocabulary tokens, const std::vector<Piece>& pieces, int32_t unknown_token,
          double unknown_score, Sums sums);

  void Encode(std::string_view word, std::vector<int32_t>* ids) const override;

 private:
  struct Path {  // the best one that ends at some byte
    double sum = 0;
    int32_t last = -1;    // its last piece; -1: none ends there
    uint32_t length = 0;  // of that in bytes
  };
  std::vector<Path> BestPaths(std::string_view word) const;
  double Kept(double sum) const {
    return sums_ == Sums::kFloat ? static_cast<double>(static_cast<float>(sum)) : sum;
  }

  Trie trie_;
  std::vector<double> scores_;  // by id
  double unknown_score_;
  Sums sums_;
};

}  // namespace mezzo
