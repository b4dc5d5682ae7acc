// Byte pair encoding: a word is cut into code points, and the pair of neighbours with the lowest
// rank, the leftmost of equals, is merged until none is left.
//
// SentencePiece's variant by scores is the same, with every pair whose concatenation is a token as
// a merge whose rank falls with that token's score.
#pragma once

#include <unordered_map>

#include "mezzo/import/tokenizer/token_model.h"

namespace mezzo {

// A code point that is no token becomes the unknown one; without that, it is dropped.
class Bpe : public TokenModel {
 public:
  bool fuse_unknown = false;   // one for a run of code points
  bool ignore_merges = false;  // a word that is a token is that token

  // A later one for the same pair overrides an earlier one.
  void AddMerge(int32_t left, int32_t right, int32_t rank, int32_t merged);
  // Takes n log n steps for n code points.
  void Encode(std::string_view word, std::vector<int32_t>* ids) const override;

 private:
  struct Merge {
    int32_t rank, merged;
  };
  const Merge* Find(int32_t left, int32_t right) const;
  std::vector<int32_t> CodePoints(std::string_view word) const;

  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace mezzo
