// Byte pair encoding: a word is cut into code points, and the pair of neighbours with the lowest
// rank, the leftmost of equals, is merged until none is left.
//
// SentencePiece's variant by scores is the same, with every pair whose concatenation is a token as
// a merge whose rank falls with that token's score.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mezzo/import/tokenizer/vocabulary.h"

namespace mezzo {

class Bpe {
 public:
  Vocabulary vocabulary;
  std::optional<int32_t> unknown;  // for a code point that is no token; without it, it is dropped
  bool fuse_unknown = false;       // one for a run of them
  bool ignore_merges = false;      // a word that is a token is that token

  // A later one for the same pair overrides an earlier one.
  void AddMerge(int32_t left, int32_t right, int32_t rank, int32_t merged);
  // From now on the vocabulary's tokens <0x00> to <0xFF> stand for the bytes of a code point that
  // is no token, if all it needs are there.
  void UseByteTokens();

  // Appends the tokens of a word. Takes n log n steps for n code points.
  void Encode(std::string_view word, std::vector<int32_t>* ids) const;

 private:
  struct Merge {
    int32_t rank, merged;
  };
  const Merge* Find(int32_t left, int32_t right) const;
  std::vector<int32_t> CodePoints(std::string_view word) const;
  bool AppendByteTokens(std::string_view code_point, std::vector<int32_t>* ids) const;

  std::unordered_map<uint64_t, Merge> merges_;
  std::array<std::optional<int32_t>, 256> byte_tokens_;
};

}  // namespace mezzo
