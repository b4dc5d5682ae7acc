// Tokens that are cut out of the text before anything else looks at it: <|im_start|>, </s>.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/import/tokenizer/vocabulary.h"

namespace mezzo {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = true;       // left out when decoding
  bool normalized = false;   // sought in the normalized text, after being normalized itself
  bool single_word = false;  // only where no word goes on before or after it
  bool lstrip = false, rstrip = false;  // takes the white space before or after it too
};

// Finds, from left to right, the longest of some tokens that begins there.
class AddedTokenFinder {
 public:
  // `pattern` is what is sought: the content, normalized where the token says so. False if it is
  // empty or there already.
  bool Add(const std::string& pattern, AddedToken token);

  // Calls piece(text, token) for what lies between tokens, with nullptr, and for each token.
  using Piece = std::function<void(std::string_view text, const AddedToken* token)>;
  void Split(std::string_view text, const Piece& piece) const;

 private:
  const AddedToken* At(std::string_view text, size_t at, size_t* bytes) const;

  TextMap<AddedToken> tokens_;
  std::array<std::vector<size_t>, 256> lengths_;  // of the patterns by first byte, longest first
};

}  // namespace mezzo
